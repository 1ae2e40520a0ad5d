/* SPDX-License-Identifier: MIT */
/*
 * heap_replay.c - replays one trace against one heap.
 *
 *   heap_replay traces              names of those it makes up
 *   heap_replay check HEAP TRACE    verifies, and prints "calls live-peak footprint"
 *   heap_replay run HEAP TRACE      only the calls, for an instruction counter; prints "calls"
 *   heap_replay step HEAP TRACE N   steps through the first N calls; "calls instructions longest"
 *
 * HEAP is as heap_library.h says, TRACE one of the names or the path of a recorded one. jemalloc
 * wants more room for thread data than a library that is opened late may have:
 * GLIBC_TUNABLES=glibc.rtld.optional_static_tls=65536 makes some. Exit status: 1 the heap erred, 2
 * usage, 3 there is no such heap.
 *
 * "check" fills each block with its number and looks again before it is resized or given back and
 * at the end, so blocks that overlap are found; sizes and alignment are checked by that too. The
 * footprint of a heap that does not tell is what this process holds more than before, in whole
 * pages, looked at every so many calls and after each large one.
 *
 * "run" makes every call of the heap from a function named measured_...: counting goes on at its
 * entry and off at its end. The same replay with "nothing" says what to subtract.
 *
 * "step" counts calls that copy nothing, so no resize, each for itself. It takes microseconds for
 * each instruction (step.h): half a minute for a whole trace.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "heap_library.h"
#include "heap_trace.h"
#include "step.h"

enum { LOOK_EVERY = 64, LARGE = 32768, ALIGN = 16, NO_HEAP = 3, LIMIT = 1 << 20 };

struct block {
    unsigned char *at;
    uint32_t size;
};

static struct heap_library heap;
static struct heap_trace trace;
static struct block *blocks;

_Noreturn static void broken(const char *what, uint32_t op)
{
    fprintf(stderr, "error: %s at call %u of %s\n", what, op, trace.name);
    exit(1);
}

/* ---- counted calls: no tail calls, so that each has an end of its own ------------------------ */

#define END_OF_CALL() __asm__ volatile("" ::: "memory")

[[gnu::noinline]] static void *measured_take(size_t bytes)
{
    void *at = heap.take(bytes);
    END_OF_CALL();
    return at;
}

[[gnu::noinline]] static void *measured_take_aligned(size_t align, size_t bytes)
{
    void *at = heap.take_aligned(align, bytes);
    END_OF_CALL();
    return at;
}

[[gnu::noinline]] static void *measured_resize(void *block, size_t bytes)
{
    void *at = heap.resize(block, bytes);
    END_OF_CALL();
    return at;
}

[[gnu::noinline]] static void measured_give(void *block)
{
    heap.give(block);
    END_OF_CALL();
}

static void call(const struct heap_op *op)
{
    struct block *b = &blocks[op->block];
    if (op->call == HEAP_GIVE)
        measured_give(b->at);
    else if (op->call == HEAP_RESIZE)
        b->at = measured_resize(b->at, op->size);
    else if (op->align)
        b->at = measured_take_aligned(op->align, op->size);
    else
        b->at = measured_take(op->size);
}

static void run(void)
{
    for (uint32_t i = 0; i < trace.count; i++)
        call(&trace.ops[i]);
    printf("%u\n", trace.count);
}

/* ---- stepped calls -------------------------------------------------------------------------- */

static struct step call_stepped(const struct heap_op *op)
{
    struct block *b = &blocks[op->block];
    struct step s;
    if (op->call == HEAP_GIVE)
        return step_call((step_fn *)heap.give, (uintptr_t)b->at, 0, LIMIT);
    s = op->align ? step_call((step_fn *)heap.take_aligned, op->align, op->size, LIMIT)
                  : step_call((step_fn *)heap.take, op->size, 0, LIMIT);
    b->at = (unsigned char *)s.result;
    return s;
}

static void step(uint32_t first)
{
    uint64_t sum = 0, longest = 0;
    uint32_t calls = 0;
    step_init();
    for (uint32_t i = 0; i < trace.count && i < first; i++) {
        if (trace.ops[i].call == HEAP_RESIZE) {
            call(&trace.ops[i]);
            continue;
        }
        uint64_t took = call_stepped(&trace.ops[i]).instructions;
        calls++;
        sum += took;
        longest = took > longest ? took : longest;
    }
    printf("%u %llu %llu\n", calls, (unsigned long long)sum, (unsigned long long)longest);
}

/* ---- checking ----------------------------------------------------------------------------- */

/* Bytes of memory that are this process's own, written pages: exact, unlike getrusage. */
static size_t held_by_process(void)
{
    char text[2048], *at;
    int file = open("/proc/self/smaps_rollup", O_RDONLY);
    ssize_t got = file < 0 ? -1 : read(file, text, sizeof text - 1);
    if (file >= 0)
        close(file);
    text[got < 0 ? 0 : got] = 0;
    at = strstr(text, "Private_Dirty:");
    return at ? strtoul(at + strlen("Private_Dirty:"), NULL, 10) << 10 : 0;
}

static size_t footprint(void)
{
    return heap.footprint ? heap.footprint() : held_by_process();
}

static unsigned char pattern(uint32_t block)
{
    return (unsigned char)(block * 31 + 7);
}

static void expect(uint32_t block, uint32_t size, uint32_t op)
{
    const struct block *b = &blocks[block];
    for (uint32_t i = 0; i < size && i < b->size; i++)
        if (b->at[i] != pattern(block))
            broken("a block was overwritten", op);
}

static void call_checked(uint32_t i)
{
    const struct heap_op *op = &trace.ops[i];
    struct block *b = &blocks[op->block];
    if (op->call == HEAP_GIVE)
        expect(op->block, b->size, i);
    call(op);
    if (op->call == HEAP_GIVE) {
        *b = (struct block){0};
        return;
    }
    if (!b->at)
        broken("refused", i);
    if ((uintptr_t)b->at % (op->align ? op->align : op->size < ALIGN ? ALIGN / 2 : ALIGN))
        broken("misaligned", i);
    if (op->call == HEAP_RESIZE)
        expect(op->block, op->size, i);
    b->size = op->size;
    memset(b->at, pattern(op->block), op->size);
}

static void check(void)
{
    size_t before = heap.footprint ? 0 : footprint(), most = 0;
    for (uint32_t i = 0; i < trace.count; i++) {
        call_checked(i);
        if (!heap.footprint && i % LOOK_EVERY && trace.ops[i].size < LARGE)
            continue;
        size_t now = footprint() - before;
        most = now > most ? now : most;
    }
    for (uint32_t i = 0; i < trace.blocks; i++)
        expect(i, blocks[i].size, trace.count);
    printf("%u %llu %zu\n", trace.count, (unsigned long long)trace.peak, most);
}

/* ------------------------------------------------------------------------------------------- */

static void prepare(const char *name, const char *trace_name)
{
    static char out[256];
    setvbuf(stdout, out, _IOLBF, sizeof out); /* so that printing takes nothing from the heap */
    prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0);    /* pages are counted as they are written         */
    if (!heap_trace_open(trace_name, &trace)) {
        fprintf(stderr, "heap_replay: no trace %s\n", trace_name);
        exit(2);
    }
    blocks = mmap(NULL, trace.blocks * sizeof *blocks, PROT_READ | PROT_WRITE,
                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    if (blocks == MAP_FAILED)
        broken("no memory", 0);
    if (!heap_library_open(name, &heap)) {
        const char *why = dlerror();
        fprintf(stderr, "heap_replay: there is no %s here: %s\n", name, why ? why : "no such call");
        exit(NO_HEAP);
    }
    heap.give(heap.take(100)); /* what a heap does once is not a call's */
}

int main(int argc, char **argv)
{
    if (argc == 2 && !strcmp(argv[1], "traces")) {
        for (unsigned i = 0; heap_trace_name(i); i++)
            puts(heap_trace_name(i));
        return 0;
    }
    bool checks = argc == 4 && !strcmp(argv[1], "check"),
         runs = argc == 4 && !strcmp(argv[1], "run");
    if (!checks && !runs && (argc != 5 || strcmp(argv[1], "step"))) {
        fputs("usage: heap_replay traces | check HEAP TRACE | run HEAP TRACE | step HEAP TRACE N\n",
              stderr);
        return 2;
    }
    prepare(argv[2], argv[3]);
    if (checks)
        check();
    else if (runs)
        run();
    else
        step((uint32_t)strtoul(argv[4], NULL, 10));
    return 0;
}
