/* SPDX-License-Identifier: MIT */
/*
 * heap_trace.c - five programs that never were.
 *
 *   kernel     three lifetimes at once: scratch freed in reverse, requests served about in order,
 *              objects that stay; a few page-aligned
 *   processes  clumps of objects that are born and die together
 *   server     connections with buffers, header strings for each request, an answer that grows, and
 *              a cache of entries that are replaced, oldest first
 *   vectors    arrays that grow by half again and again, list nodes between them
 *   comb       against first fit: every other small block freed, then what fits no hole
 *
 * Only integers and one generator of random numbers, so a trace is the same everywhere.
 */
#define _GNU_SOURCE
#include "heap_trace.h"

#include <string.h>
#include <sys/mman.h>

enum { OPS = 100000, SLACK = 1000 };

struct maker {
    struct heap_op *ops;
    uint32_t count, blocks;
    uint64_t random;
};

/* ---- words of the language ---------------------------------------------------------------- */

static uint32_t below(struct maker *m, uint32_t n)
{
    m->random = m->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return (uint32_t)((m->random >> 32) * n >> 32);
}

static uint32_t between(struct maker *m, uint32_t least, uint32_t most)
{
    return least + below(m, most - least + 1);
}

static bool one_in(struct maker *m, uint32_t n)
{
    return below(m, n) == 0;
}

static bool more(const struct maker *m)
{
    return m->count < OPS - SLACK;
}

static void add(struct maker *m, struct heap_op op)
{
    if (m->count < OPS)
        m->ops[m->count++] = op;
}

static uint32_t take_aligned(struct maker *m, uint32_t size, uint32_t align)
{
    uint32_t block = m->blocks++;
    add(m, (struct heap_op){.call = HEAP_TAKE, .block = block, .size = size, .align = align});
    return block;
}

static uint32_t take(struct maker *m, uint32_t size)
{
    return take_aligned(m, size, 0);
}

static void resize(struct maker *m, uint32_t block, uint32_t size)
{
    add(m, (struct heap_op){.call = HEAP_RESIZE, .block = block, .size = size});
}

static void give(struct maker *m, uint32_t block)
{
    add(m, (struct heap_op){.call = HEAP_GIVE, .block = block});
}

/* Many small, few large: half of them up to 64 bytes, one in 128 beyond 2 KiB. */
static uint32_t any_size(struct maker *m)
{
    uint32_t shift = 0;
    while (shift < 7 && below(m, 2))
        shift++;
    return between(m, 8 << shift, 64u << shift >> (shift > 5));
}

/* ---- kernel ------------------------------------------------------------------------------- */

static void scratch(struct maker *m)
{
    uint32_t mine[6], n = between(m, 1, 6);
    for (uint32_t i = 0; i < n; i++)
        mine[i] = take(m, any_size(m));
    while (n--)
        give(m, mine[n]);
}

/* An object that stays, or the end of one, or a change of its size. */
static void resident(struct maker *m, uint32_t *all, uint32_t *count, uint32_t most)
{
    static const uint32_t objects[] = {104, 152, 152, 152, 192, 192, 232, 640, 640, 1088, 4416};
    uint32_t at = *count ? below(m, *count) : 0;
    if (*count < most && below(m, 5) < 3) {
        uint32_t size = objects[below(m, sizeof objects / sizeof *objects)];
        bool page = one_in(m, 40);
        all[(*count)++] = page ? take_aligned(m, 4096, 4096) : take(m, size);
    } else if (*count && one_in(m, 12)) {
        resize(m, all[at], between(m, 64, 1500));
    } else if (*count) {
        give(m, all[at]);
        all[at] = all[--*count];
    }
}

/* Takes the place of a request among the oldest. */
static void request(struct maker *m, uint32_t *queue, uint32_t *asked, uint32_t most)
{
    uint32_t at = (*asked)++;
    if (at >= most) {
        at = (at + below(m, 8)) % most;
        give(m, queue[at]);
    }
    queue[at] = take(m, any_size(m));
}

static void make_kernel(struct maker *m)
{
    enum { STAY = 12000, QUEUE = 160 };
    static uint32_t stay[STAY], queue[QUEUE];
    uint32_t staying = 0, asked = 0;
    while (more(m)) {
        uint32_t what = below(m, 100);
        if (what < 25) {
            scratch(m);
        } else if (what < 55) {
            request(m, queue, &asked, QUEUE);
        } else {
            resident(m, stay, &staying, STAY);
        }
    }
}

/* ---- processes ---------------------------------------------------------------------------- */

struct clump {
    uint32_t count, blocks[64];
};

static void fork_clump(struct maker *m, struct clump *c)
{
    static const uint32_t fixed[] = {4416, 1088, 704, 512};
    c->count = 0;
    for (unsigned i = 0; i < sizeof fixed / sizeof *fixed; i++)
        c->blocks[c->count++] = take(m, fixed[i]);
    c->blocks[c->count++] = take_aligned(m, 4096, 4096);
    for (uint32_t n = between(m, 8, 40); n; n--)
        c->blocks[c->count++] = take(m, 152);
    for (uint32_t n = below(m, 16); n; n--)
        c->blocks[c->count++] = take(m, any_size(m));
    for (uint32_t size = 128; size <= 512 && below(m, 2); size *= 2)
        resize(m, c->blocks[3], size);
}

static void make_processes(struct maker *m)
{
    enum { MOST = 150 };
    static struct clump clumps[MOST];
    uint32_t count = 0;
    while (more(m)) {
        if (count < MOST / 3 || (count < MOST && below(m, 2))) {
            fork_clump(m, &clumps[count++]);
            continue;
        }
        uint32_t at = below(m, count);
        for (uint32_t i = 0; i < clumps[at].count; i++)
            give(m, clumps[at].blocks[i]);
        clumps[at] = clumps[--count];
    }
}

/* ---- server ------------------------------------------------------------------------------- */

struct connection {
    bool open;
    uint32_t session, in, out;
};

static void serve(struct maker *m)
{
    uint32_t strings[24], n = between(m, 6, 24);
    for (uint32_t i = 0; i < n; i++)
        strings[i] = take(m, between(m, 8, one_in(m, 6) ? 400 : 60));
    uint32_t size = 512, answer = take(m, size);
    while (size < 16384 && below(m, 3)) {
        size *= 2;
        resize(m, answer, size);
    }
    for (uint32_t i = 0; i < n; i++)
        give(m, strings[i]);
    give(m, answer);
}

static void open_or_close(struct maker *m, struct connection *c)
{
    if (!c->open) {
        *c = (struct connection){true, take(m, 720), take(m, 4096), take(m, 8192)};
    } else {
        give(m, c->in);
        give(m, c->out);
        give(m, c->session);
        c->open = false;
    }
}

static void make_server(struct maker *m)
{
    enum { CONNECTIONS = 128, CACHED = 6000 };
    static struct connection connections[CONNECTIONS];
    static uint32_t cached[CACHED];
    uint32_t stored = 0;
    memset(connections, 0, sizeof connections);
    while (more(m)) {
        struct connection *c = &connections[below(m, CONNECTIONS)];
        if (!c->open || one_in(m, 8))
            open_or_close(m, c);
        else
            serve(m);
        for (uint32_t n = below(m, 4); n; n--, stored++) {
            if (stored >= CACHED)
                give(m, cached[stored % CACHED]);
            cached[stored % CACHED] = take(m, 16 + any_size(m));
        }
    }
}

/* ---- vectors ------------------------------------------------------------------------------ */

static void grow(struct maker *m, uint32_t block, uint32_t *size)
{
    *size += *size / 2;
    if (*size > 6000)
        *size = 48; /* emptied, and shrunk to fit */
    resize(m, block, *size);
}

static void make_vectors(struct maker *m)
{
    enum { VECTORS = 1000, NODES = 8000 };
    static uint32_t vectors[VECTORS], sizes[VECTORS], nodes[NODES];
    uint32_t linked = 0;
    for (unsigned i = 0; i < VECTORS; i++)
        vectors[i] = take(m, sizes[i] = 32);
    while (more(m)) {
        uint32_t at = below(m, VECTORS);
        grow(m, vectors[at], &sizes[at]);
        for (uint32_t n = below(m, 5); n; n--) {
            if (linked < NODES && below(m, 3)) {
                nodes[linked++] = take(m, 24 + 8 * below(m, 6));
            } else if (linked) {
                at = below(m, linked);
                give(m, nodes[at]);
                nodes[at] = nodes[--linked];
            }
        }
    }
}

/* ---- comb --------------------------------------------------------------------------------- */

static void make_comb(struct maker *m)
{
    enum { TEETH = 40000, LIVE = 60 };
    static uint32_t teeth[TEETH], live[LIVE];
    for (unsigned i = 0; i < TEETH; i++)
        teeth[i] = take(m, 40 + 8 * (i & 1));
    for (unsigned i = 0; i < TEETH; i += 2)
        give(m, teeth[i]);
    for (unsigned i = 0; more(m); i++) {
        if (i >= LIVE)
            give(m, live[i % LIVE]);
        live[i % LIVE] = take(m, between(m, 64, 900));
    }
}

/* ---- all of them -------------------------------------------------------------------------- */

static const struct {
    const char *name;
    void (*make)(struct maker *);
} programs[] = {
    {"kernel", make_kernel},   {"processes", make_processes}, {"server", make_server},
    {"vectors", make_vectors}, {"comb", make_comb},
};
enum { PROGRAMS = sizeof programs / sizeof *programs };

const char *heap_trace_name(unsigned i)
{
    return i < PROGRAMS ? programs[i].name : NULL;
}

void *heap_trace_pages(size_t bytes)
{
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return room == MAP_FAILED ? NULL : room;
}

static bool make(const char *name, struct heap_trace *out)
{
    struct maker m = {.ops = heap_trace_pages(OPS * sizeof(struct heap_op)), .random = 20};
    unsigned i = 0;
    while (i < PROGRAMS && strcmp(programs[i].name, name))
        i++;
    if (i == PROGRAMS || !m.ops)
        return false;
    programs[i].make(&m);
    *out = (struct heap_trace){programs[i].name, m.ops, m.count, m.blocks, 0};
    return true;
}

static uint64_t peak_of(const struct heap_trace *trace, uint32_t *sizes)
{
    uint64_t live = 0, peak = 0;
    for (uint32_t i = 0; i < trace->count; i++) {
        const struct heap_op *op = &trace->ops[i];
        live -= sizes[op->block];
        sizes[op->block] = op->call == HEAP_GIVE ? 0 : op->size;
        live += sizes[op->block];
        peak = live > peak ? live : peak;
    }
    return peak;
}

bool heap_trace_open(const char *name, struct heap_trace *out)
{
    if (!(strchr(name, '/') ? heap_trace_read : make)(name, out))
        return false;
    uint32_t *sizes = heap_trace_pages(out->blocks * sizeof *sizes);
    if (!sizes)
        return false;
    out->peak = peak_of(out, sizes);
    return munmap(sizes, out->blocks * sizeof *sizes) == 0;
}
