/* SPDX-License-Identifier: MIT */
/*
 * test_heap_exhaustive.c - every sequence of eight calls in a heap of a hundred bytes, or of five
 * in one of 288.
 *
 * A call is an allocation of one of ten sizes, among them none, all there is and SIZE_MAX; a free
 * of any live block; or a resize of any live block to one of the ten. In every state that can be
 * reached the invariants are checked, the blocks are walked (they tile the arena, the live ones are
 * those that were given out, their contents are whole), and a free is tried at every byte: what is
 * no live block must be refused by its right name and change nothing but a counter.
 *
 * The walk is cheap because it never replays. What the heap is made of (the struct, and the pages
 * it was given) is copied before a call and put back after it; only the lines that ever change are,
 * and that the others never do is checked. And a state that has been seen before with as many calls
 * to go is not walked again: bytes are all that the heap can depend on, so the same bytes have the
 * same future. States are told apart by 64 bits of hash: of ten million, two share one by chance
 * once in some 300,000 runs. The count that is printed is that of all the sequences, those that
 * were not walked twice included.
 *
 * The heap is looked at through heap.h alone. `make exhaustive` walks the long forms, in which ten
 * calls deep is the deepest.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mem/heap.h>

enum {
    PAGE = 4096,
    PAGES = 2, /* the least that a heap starts with */
    BYTES_MAX = 4096,
    LARGE = 1500, /* arenas of more have blocks that are too large to wait for reuse unmerged */
    DEPTH_MAX = 12,
    LIVE_MAX = 12,
    LINE = 64,
    SIZES = 10,
};

/* Everything that a heap is. */
static struct {
    uint8_t window[PAGES * PAGE] __attribute__((aligned(4096)));
    struct heap heap __attribute__((aligned(64)));
    uint8_t pad[LINE];
} world;
enum { LINES = (sizeof world - LINE) / LINE };

/* What is walked: so deep, in so many bytes, with or without resizing. */
struct form {
    size_t bytes, depth;
    bool realloc;
};
static const struct form forms[] = {
    {288, 5, false}, {96, 8, false}, {128, 5, true}, {3600, 5, false}};
static const struct form long_forms[] = {{288, 8, false}, {96, 10, false},  {128, 10, false},
                                         {128, 6, true},  {3600, 8, false}, {3600, 5, true}};

static bool at_length;
static struct form form;
static uint8_t *arena; /* the last ARENA bytes or so; all before is one block */
static size_t arena_bytes, sizes[SIZES];
static unsigned reports;
static struct heap_report last;
static bool may_grow;

static bool grow(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at, (void)bytes;
    return may_grow;
}

static void shrink(void *ctx, void *at, size_t bytes)
{
    (void)ctx, (void)at, (void)bytes;
    fail();
}

static void report(void *ctx, const struct heap_report *r)
{
    (void)ctx;
    reports++;
    last = *r;
}

/* ---- the model: what is live ----------------------------------------------------------------- */

struct live {
    unsigned count;
    struct {
        uint8_t *p;
        size_t size;
    } block[LIVE_MAX];
};

static uint8_t pattern(const uint8_t *at)
{
    return (uint8_t)(0x51 + (at - arena) * 7);
}

static void put_pattern(uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++)
        p[i] = pattern(p + i);
}

static void has_pattern(const uint8_t *p, size_t size)
{
    for (size_t i = 0; i < size; i++) {
        if (p[i] != pattern(p + i))
            fail();
    }
}

/* ---- lines ----------------------------------------------------------------------------------- */

static uint64_t start[LINES][LINE / 8];         /* as the walk began                       */
static uint64_t saved[DEPTH_MAX + 1][LINES][8]; /* of the lines that change, by calls to go */
static unsigned changing[LINES], changing_count;
static bool changes[LINES];
static size_t counter[16], counters; /* words that count refusals, by their index */

static uint64_t *line(size_t i)
{
    return (uint64_t *)(void *)((uint8_t *)&world + i * LINE);
}

static void copy_line(uint64_t *to, const uint64_t *from)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = from[i];
}

static bool same_line(const uint64_t *a, const uint64_t *b)
{
    uint64_t differ = 0;
    for (unsigned i = 0; i < 8; i++)
        differ |= a[i] ^ b[i];
    return !differ;
}

static void save(size_t left)
{
    for (unsigned i = 0; i < changing_count; i++)
        copy_line(saved[left][i], line(changing[i]));
}

static void restore(size_t left)
{
    for (unsigned i = 0; i < changing_count; i++)
        copy_line(line(changing[i]), saved[left][i]);
}

/* Refusals are counted, and counts are nobody's state. */
static void reset_counters(void)
{
    for (size_t i = 0; i < counters; i++)
        ((uint64_t *)(void *)&world)[counter[i]] = start[counter[i] / 8][counter[i] % 8];
}

static bool is_as_saved(size_t left)
{
    reset_counters();
    for (unsigned i = 0; i < changing_count; i++) {
        if (!same_line(saved[left][i], line(changing[i])))
            return false;
    }
    return true;
}

static void the_rest_is_as_it_was(void)
{
    for (size_t i = 0; i < LINES; i++) {
        if (!changes[i])
            assert_true(same_line(start[i], line(i)));
    }
}

/* ---- states seen ----------------------------------------------------------------------------- */

/* What was walked: a state with so many calls to go, or (ANY) the state itself. */
enum { ANY = DEPTH_MAX + 1 };
struct seen {
    uint64_t key; /* 0: nobody */
    uint64_t sequences;
};
static struct seen *table;
static size_t room, filled, states;

static uint64_t hash_world(void)
{
    uint64_t h = 1;
    for (unsigned i = 0; i < changing_count; i++) {
        const uint64_t *l = line(changing[i]);
        for (unsigned w = 0; w < 8; w++) {
            h = (h ^ l[w]) * 0x9e3779b97f4a7c15u;
            h ^= h >> 29;
        }
    }
    return h;
}

static uint64_t key_of(uint64_t hash, size_t left)
{
    uint64_t key = (hash ^ left * 0xa24baed4963ee407u) * 0xd6e8feb86659fd93u;
    key ^= key >> 32;
    return key ? key : 1;
}

static struct seen *slot_for(struct seen *t, size_t slots, uint64_t key)
{
    size_t i = key & (slots - 1);
    while (t[i].key && t[i].key != key)
        i = (i + 1) & (slots - 1);
    return &t[i];
}

static void make_room(void)
{
    if (filled * 2 < room)
        return;
    size_t slots = room ? room * 2 : 1 << 12;
    struct seen *more = calloc(slots, sizeof *more);
    assert_non_null(more);
    for (size_t i = 0; i < room; i++) {
        if (table[i].key)
            *slot_for(more, slots, table[i].key) = table[i];
    }
    free(table);
    table = more;
    room = slots;
}

/* True: it was there already, and its count is *sequences. */
static bool was_seen(uint64_t key, uint64_t *sequences)
{
    const struct seen *s = slot_for(table, room, key);
    *sequences = s->sequences;
    return s->key;
}

static void note_seen(uint64_t key, uint64_t sequences)
{
    make_room();
    *slot_for(table, room, key) = (struct seen){key, sequences};
    filled++;
}

/* ---- one state ------------------------------------------------------------------------------- */

static uint64_t calls;

struct walking {
    const struct live *live;
    const uint8_t *end;
    unsigned lives;
    uint8_t kind[BYTES_MAX]; /* of each byte: what a free of it must answer */
};

static bool is_live(const struct live *live, const void *p)
{
    for (unsigned i = 0; i < live->count; i++) {
        if (live->block[i].p == p)
            return true;
    }
    return false;
}

/* Blocks side by side: none overlaps, and what is between two is less than the least block. */
static bool visit(void *ctx, const struct heap_block *b)
{
    struct walking *w = ctx;
    const uint8_t *p = b->payload;
    if (p < arena)
        return true;
    if (p < w->end || (uintptr_t)p % HEAP_ALIGN || p + b->size > arena + arena_bytes)
        fail();
    w->end = p + b->size;
    w->lives += b->live;
    if (b->live != is_live(w->live, p))
        fail();
    for (const uint8_t *at = p; at < w->end; at++)
        w->kind[at - arena] = b->live ? HEAP_INTERIOR : HEAP_DOUBLE_FREE;
    return true;
}

static void check_blocks(const struct live *live, struct walking *w)
{
    const char *broken = "";
    if (!heap_check(&world.heap, &broken))
        print_error("%s\n", broken);
    assert_true(heap_check(&world.heap, &broken));
    *w = (struct walking){.live = live, .end = arena};
    heap_walk(&world.heap, visit, w);
    assert_int_equal(w->lives, live->count);
    for (unsigned i = 0; i < live->count; i++) {
        has_pattern(live->block[i].p, live->block[i].size);
        if (heap_usable_size(&world.heap, live->block[i].p) < live->block[i].size)
            fail();
    }
}

/* A free at every byte of the arena. */
static void check_wild_frees(const struct live *live, const struct walking *w, size_t left)
{
    unsigned refused = reports;
    for (size_t i = 0; i < arena_bytes; i++) {
        uint8_t *p = arena + i;
        if (is_live(live, p))
            continue;
        enum heap_fault fault = heap_free(&world.heap, p, NULL);
        enum heap_fault right = (uintptr_t)p % HEAP_ALIGN ? HEAP_MISALIGNED : w->kind[i];
        if (fault == HEAP_OK || reports != ++refused || last.fault != fault || last.address != p ||
            (right && fault != right)) {
            print_error("free at byte %zu: %s, not %s\n", i, heap_fault_name(fault),
                        heap_fault_name(right));
            fail();
        }
        calls++;
    }
    assert_true(is_as_saved(left));
}

/* ---- the walk -------------------------------------------------------------------------------- */

static uint64_t walk(const struct live *live, size_t left);

/* What a call that was refused leaves: memory may have been merged to make room, no more. */
static uint64_t refused(const struct live *live, size_t left, bool cannot_be)
{
    if (cannot_be)
        assert_true(is_as_saved(left));
    reset_counters();
    return walk(live, left - 1);
}

static uint64_t try_alloc(const struct live *live, size_t left, size_t size)
{
    calls++;
    uint8_t *p = heap_alloc(&world.heap, size, NULL);
    if (!p)
        return refused(live, left, !size || size == SIZE_MAX);
    if (live->count == LIVE_MAX || !size || p < arena || size > arena_bytes)
        fail();
    struct live now = *live;
    now.block[now.count].p = p;
    now.block[now.count++].size = size;
    put_pattern(p, size);
    return walk(&now, left - 1);
}

static uint64_t try_free(const struct live *live, size_t left, unsigned which)
{
    calls++;
    if (heap_free(&world.heap, live->block[which].p, NULL) != HEAP_OK)
        fail();
    struct live now = *live;
    now.block[which] = now.block[--now.count];
    return walk(&now, left - 1);
}

static uint64_t try_realloc(const struct live *live, size_t left, unsigned which, size_t size)
{
    calls++;
    struct live now = *live;
    uint8_t *was = now.block[which].p, *p = heap_realloc(&world.heap, was, size, NULL);
    if (!p)
        return refused(live, left, !size || size == SIZE_MAX);
    size_t kept = size < now.block[which].size ? size : now.block[which].size;
    for (size_t i = 0; i < kept; i++) {
        if (p[i] != pattern(was + i))
            fail();
    }
    now.block[which].p = p;
    now.block[which].size = size;
    put_pattern(p, size);
    return walk(&now, left - 1);
}

static uint64_t walk_on(const struct live *live, size_t left)
{
    uint64_t sequences = 0;
    for (unsigned i = 0; i < SIZES; i++) {
        if (at_length && left == form.depth)
            print_message("  %u of %u first calls, %zu states\n", i, SIZES, states);
        sequences += try_alloc(live, left, sizes[i]);
        restore(left);
    }
    for (unsigned i = 0; i < live->count; i++) {
        sequences += try_free(live, left, i);
        restore(left);
        for (unsigned s = 0; form.realloc && s < SIZES; s++) {
            sequences += try_realloc(live, left, i, sizes[s]);
            restore(left);
        }
    }
    return sequences;
}

/* A state just entered, `left` calls to go; who made the call puts the heap back. */
static uint64_t walk(const struct live *live, size_t left)
{
    uint64_t hash = hash_world(), sequences, ignored;
    if (was_seen(key_of(hash, left), &sequences))
        return sequences;
    save(left);
    if (!was_seen(key_of(hash, ANY), &ignored)) {
        struct walking w;
        check_blocks(live, &w);
        check_wild_frees(live, &w, left);
        note_seen(key_of(hash, ANY), 0);
        states++;
    }
    sequences = left ? walk_on(live, left) : 1;
    note_seen(key_of(hash, left), sequences);
    if (left + 2 == form.depth)
        the_rest_is_as_it_was();
    return sequences;
}

/* ---- getting ready --------------------------------------------------------------------------- */

/* One call that must be refused, and the word in which that is counted: one, and no other. */
static void learn_counter(uint64_t was[LINES][8], void *p, bool alloc)
{
    for (size_t i = 0; i < LINES; i++)
        copy_line(was[i], line(i));
    if (alloc)
        assert_null(heap_alloc(&world.heap, 0, NULL));
    else
        assert_int_not_equal(heap_free(&world.heap, p, NULL), HEAP_OK);
    unsigned found = 0;
    for (size_t i = 0; i < LINES * 8; i++) {
        if (was[i / 8][i % 8] == line(i / 8)[i % 8])
            continue;
        found++;
        bool known = false;
        for (size_t k = 0; k < counters; k++)
            known = known || counter[k] == i;
        if (!known)
            counter[counters++] = i;
    }
    assert_int_equal(found, 1);
}

static void learn_counters(uint8_t *freed)
{
    static uint64_t was[LINES][8];
    counters = 0;
    learn_counter(was, NULL, true);
    learn_counter(was, arena + 1, false);               /* misaligned  */
    learn_counter(was, arena - 32, false);              /* interior    */
    learn_counter(was, freed, false);                   /* freed twice */
    learn_counter(was, arena + arena_bytes - 8, false); /* whatever the end is */
    learn_counter(was, world.heap.bin, false);          /* foreign     */
}

static void note_changes(void)
{
    for (size_t l = 0; l < LINES; l++)
        changes[l] = changes[l] || !same_line(start[l], line(l));
}

/* The heap filled with blocks of one size, and emptied: as many of them free as there can be. */
static void fill_and_empty(size_t size)
{
    uint8_t *block[BYTES_MAX / HEAP_ALIGN];
    unsigned n = 0;
    while ((block[n] = heap_alloc(&world.heap, size, NULL))) {
        n++;
        note_changes();
    }
    while (n--) {
        assert_int_equal(heap_free(&world.heap, block[n], NULL), HEAP_OK);
        note_changes();
    }
}

/* Which lines change: found by filling and in many random steps from here, checked in the walk. */
static void learn_lines(void)
{
    uint8_t *block[LIVE_MAX] = {NULL};
    for (unsigned i = 0; i < SIZES; i++)
        fill_and_empty(sizes[i]);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned k = (unsigned)rand() % LIVE_MAX;
        size_t size = sizes[(unsigned)rand() % SIZES];
        if (rand() % 2) {
            assert_int_equal(heap_free(&world.heap, block[k], NULL), HEAP_OK);
            block[k] = NULL;
        } else {
            uint8_t *p = heap_realloc(&world.heap, block[k], size, NULL);
            block[k] = p ? p : block[k];
        }
        note_changes();
    }
    changing_count = 0;
    for (unsigned l = 0; l < LINES; l++) {
        if (changes[l])
            changing[changing_count++] = l;
        copy_line(line(l), start[l]);
    }
}

/* [            one block            ][arena: free] */
static void leave_an_arena(void)
{
    struct heap_stats s;
    heap_stats(&world.heap, &s);
    uint8_t *filler = heap_alloc(&world.heap, s.largest - form.bytes, NULL);
    uint8_t *freed = heap_alloc(&world.heap, 40, NULL);
    assert_non_null(filler);
    assert_int_equal(heap_free(&world.heap, freed, NULL), HEAP_OK);
    heap_trim(&world.heap);
    heap_stats(&world.heap, &s);
    arena = freed;
    arena_bytes = s.largest;
    assert_in_range(arena_bytes, form.bytes - 32, form.bytes);
    const size_t small[SIZES] = {0, 1, 16, 25, 40, 56, 88, arena_bytes, arena_bytes + 1, SIZE_MAX};
    const size_t large[SIZES] = {
        0, 1, 1105, 1200, 1336, 1500, 2100, arena_bytes, arena_bytes + 1, SIZE_MAX};
    memcpy(sizes, form.bytes > LARGE ? large : small, sizeof sizes);
    learn_counters(freed);
}

static void set_up(void)
{
    static const struct heap_ops ops = {grow, shrink, report, NULL};
    memset(&world, 0, sizeof world);
    memset(changes, 0, sizeof changes);
    free(table);
    table = NULL;
    room = filled = states = 0;
    make_room();
    calls = 0;
    may_grow = true;
    assert_int_equal(heap_init(&world.heap, world.window, sizeof world.window, &ops), MEM_OK);
    may_grow = false;
    leave_an_arena();
    for (size_t l = 0; l < LINES; l++)
        copy_line(start[l], line(l));
    srand(7);
    learn_lines();
}

static void all_sequences(const struct form *f)
{
    struct live none = {0};
    form = *f;
    set_up();
    uint64_t sequences = walk(&none, form.depth);
    print_message("%zu bytes, %zu calls%s: %llu sequences, %zu states, %llu calls made\n",
                  arena_bytes, form.depth, form.realloc ? ", resizing" : "",
                  (unsigned long long)sequences, states, (unsigned long long)calls);
    assert_true(sequences > 1000);
    the_rest_is_as_it_was();
}

static void every_sequence(void **state)
{
    (void)state;
    const struct form *all = at_length ? long_forms : forms;
    size_t count = (at_length ? sizeof long_forms : sizeof forms) / sizeof forms[0];
    for (size_t i = 0; i < count; i++)
        all_sequences(&all[i]);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_sequence),
    };
    at_length = argc > 1 && strcmp(argv[1], "long") == 0;
    return cmocka_run_group_tests_name("heap_exhaustive", tests, NULL, NULL);
}
