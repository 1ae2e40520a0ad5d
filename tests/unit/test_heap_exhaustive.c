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

#include "heap_world.h"

enum {
    BYTES_MAX = 4096,
    LARGE = 1500, /* arenas of more have blocks that are too large to wait for reuse unmerged */
};

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
        if (heap_usable_size(&world.heap, live->block[i].p, NULL) < live->block[i].size)
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
    forget_states();
    calls = 0;
    may_grow = true;
    assert_int_equal(heap_init(&world.heap, world.window, sizeof world.window, &ops), MEM_OK);
    may_grow = false;
    leave_an_arena();
    world_begin();
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
