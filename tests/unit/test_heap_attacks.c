/* SPDX-License-Identifier: MIT */
/*
 * test_heap_attacks.c - what others' tests of hardened heaps try (hardened_malloc, Zephyr, Zircon,
 * FreeRTOS), and which test of ours tries it. Those without a name of a file are here.
 *
 *   double free: at once, later, small, large   freed_twice; test_heap_exhaustive, in every state
 *   free below, above, far, of a page that      test_heap_misuse invalid_frees_are_named,
 *     cannot be read, of stack and static         before_the_first_block_is_nothing
 *   free misaligned, interior                   test_heap_misuse; test_heap_exhaustive, each byte
 *   overflow by 1 and 8: small, large, string   overflows
 *   underflow                                   underflows
 *   write after free                            written_to_after_free; test_heap_damage_*, _edges
 *   read after free                             reads_after_free: level 3. SANITIZE=asan kernels
 *   use after reuse, no-reuse delay             not seen: the block freed last is given out first
 *   uninitialised read                          as read after free: level 3
 *   uninitialised free, realloc, size query     pointers_that_nobody_set
 *   calloc: overflow, zeroing                   test_kernel_heap
 *   impossibly large sizes, size 0              test_heap sizes_that_cannot_be: NULL, no block
 *   sized free with the wrong size              there is no sized free
 *   realloc in place, moved, overflow; growth   test_heap realloc_keeps_contents, _corners
 *   forged: size huge, 0, less; state flipped   forged_sizes, forged_states; test_heap_damage_lists
 *   forged: overlap                             a_forged_size_takes_no_block_in
 *   forged: misaligned size                     cannot be told: sizes of free blocks are in units
 *   forged: loop of links                       test_heap_invariants, _damage_lists, _tree
 *
 * Built at HEAP_HARDEN 1 to 3 (heap_level.h).
 */
#include "heap_damage.h"

static const size_t sizes[] = {1,    8,    24,    100,   104,   1096, 1097,
                               4096, 5000, 16383, 16384, 20000, 50000};
enum { SIZES = sizeof sizes / sizeof *sizes };

static void freed_twice(void **state)
{
    for (unsigned i = 0; i < SIZES; i++) {
        (void)set_stage(state);
        uint8_t *p = get(sizes[i]);
        (void)get(24);
        put(p);
        free_is_refused(p, HEAP_DOUBLE_FREE);
        for (unsigned k = 0; k < 30; k++)
            put(get(1200 + 100 * k));
        put(get(sizes[i] + 2000));
        assert_int_not_equal(heap_free(&heap, p, NULL), HEAP_OK);
        heap_trim(&heap);
        assert_int_not_equal(heap_free(&heap, p, NULL), HEAP_OK);
        holds();
    }
}

/* Named when the block that was overrun is freed; from eight bytes on, and by a byte where there is
 * no gap, also when the next one is freed: with the block before it. */
static void overflows(void **state)
{
    static const uint8_t with[] = {0, 0xff, 0xaa, 1}; /* 0: the end of a string */
    for (unsigned i = 0; i < SIZES; i++) {
        for (unsigned k = 0; k < 8; k++) {
            const void *caller = (const void *)(heap.caller_base | 0x4321);
            size_t by = k % 2 ? 8 : 1;
            (void)set_stage(state);
            uint8_t *p = heap_alloc(&heap, sizes[i], caller), *q = get(100);
            memset(p + sizes[i], with[k / 2], by);
            if (p + sizes[i] + by > q - HEADER) {
                free_is_refused(q, HEAP_BAD_HEADER);
                assert_ptr_equal(owner.last.block, p);
                assert_int_equal(owner.last.size, sizes[i]);
            }
            if (HEAP_HARDEN >= 2) {
                free_is_refused(p, HEAP_OVERRUN);
                assert_true(owner.last.live && owner.last.size == sizes[i]);
                if (sizes[i] < 16384) /* a longer one keeps its caller behind the canary */
                    assert_ptr_equal(owner.last.allocated_by, caller);
            }
        }
    }
}

static void underflows(void **state)
{
    for (unsigned i = 0; i < SIZES; i++) {
        for (size_t by = 1; by <= 8; by += 7) {
            (void)set_stage(state);
            (void)get(100);
            uint8_t *p = get(sizes[i]);
            memset(p - by, 0, by);
            free_is_refused(p, HEAP_BAD_HEADER);
            assert_int_equal(heap_usable_size(&heap, p, NULL), 0);
            assert_null(heap_realloc(&heap, p, 10, NULL));
        }
    }
}

/* All of a block that was freed: what the heap keeps there is never followed. At level 3 it is told
 * before the memory is given out. */
static void written_to_after_free(void **state)
{
    for (unsigned i = 0; i < SIZES; i++) {
        for (unsigned with = 0; with < 256; with += 51) {
            (void)set_stage(state);
            uint8_t *p = get(sizes[i]);
            (void)get(24);
            put(p);
            memset(p, (int)with, sizes[i]);
            if (HEAP_HARDEN >= 3)
                alloc_is_refused(sizes[i], HEAP_WRITE_AFTER_FREE);
            for (unsigned k = 0; k < 3; k++) {
                uint8_t *q = heap_alloc(&heap, sizes[i], NULL);
                assert_true(!q || (q >= window && q + sizes[i] <= heap.top));
            }
        }
    }
}

static void reads_after_free(void **state)
{
    (void)state;
    if (HEAP_HARDEN < 3)
        skip();
    for (unsigned i = 0; i < SIZES; i++) {
        uint8_t *p = get(sizes[i]);
        memset(p, 'k', sizes[i]);
        put(p);
        assert_null(memchr(p, 'k', sizes[i]));
        assert_null(memchr(get(sizes[i]), 'k', sizes[i]));
    }
}

static void pointers_that_nobody_set(void **state)
{
    (void)state;
    const uintptr_t values[] = {0xd5d5d5d5, 0xdfdfdfdf, 0xcccccccc, 0xdeadbeef,
                                1,          8,          16,         UINTPTR_MAX};
    (void)get(100);
    for (unsigned i = 0; i < sizeof values / sizeof *values; i++) {
        const uintptr_t twice = sizeof twice == 8 && i < 4 ? values[i] << 4 << 28 : 0;
        void *p = (void *)(values[i] | twice);
        free_is_refused(p, HEAP_FOREIGN);
        keep();
        assert_null(heap_realloc(&heap, p, 100, NULL));
        refused_as(HEAP_FOREIGN);
        keep();
        assert_int_equal(heap_usable_size(&heap, p, NULL), 0);
        refused_as(HEAP_FOREIGN);
    }
}

/* A sealed header, of a free block, with other sizes than it has. */
static void forged_sizes(void **state)
{
    (void)state;
    const size_t units[] = {0, 1, units_for(2000) - 1, WINDOW / UNIT, (size_t)1 << 27};
    for (unsigned i = 0; i < sizeof units / sizeof *units; i++) {
        leave_free(2000);
        block_seal(&heap, head(b), units[i], HEAP_FREE);
        alloc_is_refused(2000, HEAP_BAD_HEADER);
        free_is_refused(c, HEAP_UNDERRUN);
    }
}

/* And with other states, which each call looks at. */
static void forged_states(void **state)
{
    (void)state;
    leave_binned();
    uint64_t fields = block_open(&heap, head(b)) & FIELDS;
    for (enum heap_state to = HEAP_LIVE; to <= HEAP_DAMAGED; to++) {
        block_seal(&heap, head(b), fields, to);
        if (to != HEAP_BINNED)
            alloc_is_refused(100, HEAP_BAD_HEADER);
    }
    leave_free(2000);
    fields = block_open(&heap, head(b)) & FIELDS;
    for (enum heap_state to = HEAP_LIVE; to <= HEAP_DAMAGED; to++) {
        block_seal(&heap, head(b), fields, to);
        if (to != HEAP_FREE)
            alloc_is_refused(2000, HEAP_BAD_HEADER);
    }
}

/* It reaches over live blocks behind: to another, with a footer or without, to a free one of an
 * odd number of units, which PREV is as well, to the end of that, or of all. When it is not the
 * only one of its size, its neighbours in the list cannot tell how large it is. */
static void a_forged_size_takes_no_block_in(void **state)
{
    const size_t free_sizes[] = {1300, 9000};
    for (unsigned i = 0; i < 20; i++) {
        (void)set_stage(state);
        uint8_t *same = get(free_sizes[i % 2]);
        a = get(1200);
        b = get(free_sizes[i % 2]);
        c = get(300);
        uint8_t *live = get(300), *other = get(1284), *last = get(300);
        if (i >= 10)
            put(same);
        put(b);
        put(other);
        uint8_t *const ends[] = {live, live, other, last, block_payload(heap.wild)};
        unsigned way = i / 2 % 5;
        struct block *end = head(ends[way]);
        size_t units = units_between(head(b), end);
        block_seal(&heap, head(b), units, HEAP_FREE);
        if (way == 1 || way == 2)
            end[-1].word = units;
        free_is_refused(a, HEAP_WRITE_AFTER_FREE);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STAGED(freed_twice),
        STAGED(overflows),
        STAGED(underflows),
        STAGED(written_to_after_free),
        STAGED(reads_after_free),
        STAGED(pointers_that_nobody_set),
        STAGED(forged_sizes),
        STAGED(forged_states),
        STAGED(a_forged_size_takes_no_block_in),
    };
    return cmocka_run_group_tests_name("heap attacks", tests, NULL, NULL);
}
