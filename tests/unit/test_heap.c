/* SPDX-License-Identifier: MIT */
/* test_heap.c - the heap's contract, and a long random life against a model. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <mem/heap.h>

enum { WINDOW = 4 << 20, SLOTS = 200 };

static uint8_t window[WINDOW] __attribute__((aligned(4096)));
static struct heap heap;

/* What the owner sees. */
static struct {
    size_t held; /* bytes given, in all                        */
    bool page[WINDOW / 4096];
    unsigned grows;     /* asked for                                  */
    unsigned fail_from; /* the n-th request on is refused, 0: none    */
    unsigned reports;
} owner;

/* Marks [at, at + bytes), all of which must have been `was`. */
static void mark(void *at, size_t bytes, bool was)
{
    size_t first = (size_t)((uint8_t *)at - window) / 4096;
    assert_int_equal((uintptr_t)at % 4096, 0);
    assert_int_equal(bytes % 4096, 0);
    assert_true((uint8_t *)at >= window && bytes && bytes <= WINDOW - first * 4096);
    for (size_t i = first; i < first + bytes / 4096; i++) {
        assert_int_equal(owner.page[i], was);
        owner.page[i] = !was;
    }
    memset(at, was ? 0xee : 0xd5, bytes);
}

static bool grow(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    owner.grows++;
    if (owner.fail_from && owner.grows >= owner.fail_from)
        return false;
    mark(at, bytes, false);
    owner.held += bytes;
    return true;
}

static void shrink(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    mark(at, bytes, true);
    owner.held -= bytes;
}

static void report(void *ctx, const struct heap_report *r)
{
    (void)ctx, (void)r;
    owner.reports++;
}

static const struct heap_ops ops = {grow, shrink, report, NULL};

static int set_up(void **state)
{
    (void)state;
    memset(&owner, 0, sizeof owner);
    memset(&heap, 0, sizeof heap);
    return heap_init(&heap, window, WINDOW, &ops) != MEM_OK;
}

static void holds(void)
{
    const char *broken = "";
    if (!heap_check(&heap, &broken))
        fail_msg("%s", broken);
    struct heap_stats s;
    heap_stats(&heap, &s);
    assert_int_equal(s.mapped, owner.held);
}

/* ---- the contract --------------------------------------------------------------------------- */

static void init_refuses_nonsense(void **state)
{
    (void)state;
    struct heap other = {0};
    assert_int_equal(heap_init(&heap, window, WINDOW, &ops), MEM_ALREADY_INIT);
    assert_int_equal(heap_init(&other, window + 1, WINDOW, &ops), MEM_MISALIGNED);
    assert_int_equal(heap_init(&other, window, 5000, &ops), MEM_MISALIGNED);
    assert_int_equal(heap_init(&other, window, 0, &ops), MEM_BAD_ARG);
    assert_int_equal(heap_init(&other, window, WINDOW, NULL), MEM_BAD_ARG);
    owner.fail_from = 1;
    assert_int_equal(heap_init(&other, window, WINDOW, &ops), MEM_NO_FRAME);
}

static void sizes_that_cannot_be(void **state)
{
    (void)state;
    const size_t sizes[] = {0, SIZE_MAX, SIZE_MAX - 15, SIZE_MAX / 2, WINDOW, WINDOW + 1};
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_null(heap_alloc(&heap, sizes[i], NULL));
        assert_null(heap_alloc_aligned(&heap, 64, sizes[i], NULL));
        holds();
    }
    const size_t aligns[] = {0, 3, 24, (size_t)1 << 31, SIZE_MAX};
    for (unsigned i = 0; i < sizeof aligns / sizeof *aligns; i++)
        assert_null(heap_alloc_aligned(&heap, aligns[i], 16, NULL));
    holds();
    assert_int_equal(owner.reports, 0);
}

static void alignment_at_every_power_of_two(void **state)
{
    (void)state;
    for (size_t align = 1; align <= 65536; align *= 2) {
        void *odd = heap_alloc(&heap, 40, NULL);
        uint8_t *p = heap_alloc_aligned(&heap, align, 100, NULL);
        assert_non_null(p);
        assert_int_equal((uintptr_t)p % (align < 16 ? 16 : align), 0);
        assert_true(heap_usable_size(&heap, p, NULL) >= 100);
        memset(p, 1, 100);
        holds();
        assert_int_equal(heap_free(&heap, odd, NULL), HEAP_OK);
        assert_int_equal(heap_free(&heap, p, NULL), HEAP_OK);
        holds();
    }
}

static bool lies_in(const void *p, const void *block, size_t bytes)
{
    return p >= block && (const uint8_t *)p < (const uint8_t *)block + bytes;
}

/* Up to a page:  [a][b][c][d]  ->  free b and d  ->  each request goes to the smaller of the two
 * that is large enough, to the front of it; too large for bins */
static void the_smallest_that_fits(void **state)
{
    (void)state;
    void *a = heap_alloc(&heap, 1100, NULL), *b = heap_alloc(&heap, 2000, NULL);
    void *c = heap_alloc(&heap, 1100, NULL), *d = heap_alloc(&heap, 4000, NULL);
    void *e = heap_alloc(&heap, 1100, NULL);
    assert_true(a < b && b < c && c < d && d < e);
    (void)heap_free(&heap, d, NULL);
    (void)heap_free(&heap, b, NULL);
    assert_ptr_equal(heap_alloc(&heap, 1500, NULL), b);
    assert_ptr_equal(heap_alloc(&heap, 2500, NULL), d);
    assert_true(lies_in(heap_alloc(&heap, 300, NULL), b, 2000)); /* 500 are left there */
    assert_true(lies_in(heap_alloc(&heap, 1300, NULL), d, 4000));
    assert_true(heap_alloc(&heap, 2000, NULL) > e);
    holds();
}

/* First fit, above a page:  [a][b][c][d]  ->  free d and b  ->  each request goes to the lower of
 * the two that is large enough, to the front of it, whichever was freed last or fits better */
static void the_lowest_that_fits(void **state)
{
    (void)state;
    void *a = heap_alloc(&heap, 1100, NULL), *b = heap_alloc(&heap, 30000, NULL);
    void *c = heap_alloc(&heap, 1100, NULL), *d = heap_alloc(&heap, 10000, NULL);
    void *e = heap_alloc(&heap, 1100, NULL);
    assert_true(a < b && b < c && c < d && d < e);
    (void)heap_free(&heap, b, NULL);
    (void)heap_free(&heap, d, NULL);
    assert_ptr_equal(heap_alloc(&heap, 10000, NULL), b);
    assert_true(lies_in(heap_alloc(&heap, 4097, NULL), b, 30000));
    assert_true(lies_in(heap_alloc(&heap, 15000, NULL), b, 30000)); /* 800 are left there */
    assert_ptr_equal(heap_alloc(&heap, 5100, NULL), d);
    assert_true(lies_in(heap_alloc(&heap, 700, NULL), b, 30000)); /* the smaller of the two */
    assert_true(heap_alloc(&heap, 5000, NULL) > e);
    holds();
}

/* The block that was freed last comes first, when it is asked for again; the bins have room. */
static void small_blocks_are_used_again(void **state)
{
    (void)state;
    for (size_t size = 1; size <= 1023; size++) {
        void *p = heap_alloc(&heap, size, NULL);
        assert_int_equal(heap_free(&heap, p, NULL), HEAP_OK);
        assert_ptr_equal(heap_alloc(&heap, size, NULL), p);
        assert_int_equal(heap_free(&heap, p, NULL), HEAP_OK);
        heap_trim(&heap);
    }
    holds();
}

/* While one block is live, those that wait in bins are half of what is held, give or take five; the
 * rest is merged. */
static void bins_have_an_end(void **state)
{
    (void)state;
    static void *p[8000];
    for (unsigned i = 0; i < 8000; i++)
        p[i] = heap_alloc(&heap, i < 4000 ? 8 : 500, NULL);
    for (unsigned i = 1; i < 8000; i++)
        assert_int_equal(heap_free(&heap, p[i], NULL), HEAP_OK);
    holds();
    assert_true(heap.room >= -(ptrdiff_t)(owner.held / 64));
    size_t waits = 0;
    for (unsigned units = 1; units <= HEAP_BIN_UNITS; units++) {
        for (void *at = heap.bin[units]; at; at = *(void **)at)
            waits += 16 * units;
    }
    assert_in_range(waits, owner.held / 2 - 5 * 1104, owner.held / 2 + 5 * 1104);
}

static void realloc_keeps_contents(void **state)
{
    (void)state;
    uint8_t *p = heap_realloc(&heap, NULL, 10, NULL);
    for (size_t size = 10; size < 200000; size = size * 3 / 2) {
        memset(p, (int)size, size);
        uint8_t *q = heap_realloc(&heap, p, size * 3 / 2, NULL);
        assert_non_null(q);
        for (size_t i = 0; i < size; i++)
            assert_int_equal(q[i], (uint8_t)size);
        p = q;
        holds();
    }
    assert_null(heap_realloc(&heap, p, 0, NULL));
    assert_null(heap_realloc(&heap, p, SIZE_MAX, NULL));
    p = heap_realloc(&heap, p, 5, NULL);
    assert_non_null(p);
    assert_int_equal(heap_free(&heap, p, NULL), HEAP_OK);
    holds();
}

static void it_comes_back_to_its_start(void **state)
{
    (void)state;
    size_t held = owner.held;
    static void *p[4096];
    unsigned n = 0;
    while (n < 4096 && (p[n] = heap_alloc(&heap, 3000, NULL)))
        n++;
    assert_true(owner.held > WINDOW - 70000); /* the whole window can be had */
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(heap_free(&heap, p[i], NULL), HEAP_OK);
    holds();
    assert_true(owner.held <= held + 65536);
    struct heap_stats s;
    heap_stats(&heap, &s);
    assert_int_equal(s.blocks, 0);
    assert_int_equal(s.free_blocks, 1);
    heap_trim(&heap);
    assert_int_equal(owner.held, held);
}

/* Small ones wait in bins all over the heap; heap_trim finds them. */
static void small_blocks_come_back_too(void **state)
{
    (void)state;
    size_t held = owner.held;
    static void *p[20000];
    for (unsigned i = 0; i < 20000; i++)
        p[i] = heap_alloc(&heap, 1 + i * 7 % 150, NULL);
    for (unsigned i = 0; i < 20000; i++)
        assert_int_equal(heap_free(&heap, p[i * 7919 % 20000], NULL), HEAP_OK);
    holds();
    heap_trim(&heap);
    holds();
    assert_int_equal(owner.held, held);
    struct heap_stats s;
    heap_stats(&heap, &s);
    assert_int_equal(s.free_blocks, 1);
}

static void refused_growth_changes_nothing(void **state)
{
    (void)state;
    void *p = heap_alloc(&heap, 1000, NULL);
    struct heap_stats before, now;
    heap_stats(&heap, &before);
    owner.fail_from = 1;
    assert_null(heap_alloc(&heap, 500000, NULL));
    assert_null(heap_realloc(&heap, p, 500000, NULL));
    heap_stats(&heap, &now);
    now.refused = before.refused;
    assert_memory_equal(&before, &now, sizeof now);
    holds();
}

/* The owner refuses the k-th request, for every k, until all goes well: then and before, nothing
 * is lost, and what was there is as it was. */
static void growth_refused_at_every_step(void **state)
{
    for (unsigned k = 2;; k++) {
        assert_int_equal(set_up(state), 0);
        owner.fail_from = k;
        static uint8_t *p[64];
        unsigned n = 0;
        for (size_t size = 20000; n < 64; n++, size += 1000) {
            size_t held = owner.held;
            p[n] = heap_alloc(&heap, size, NULL);
            if (!p[n]) {
                assert_int_equal(owner.held, held);
                break;
            }
            memset(p[n], (int)n, size);
        }
        holds();
        for (unsigned i = 0; i < n; i++) {
            assert_true(p[i][0] == i && p[i][19999 + i * 1000] == i);
            assert_int_equal(heap_free(&heap, p[i], NULL), HEAP_OK);
        }
        holds();
        heap_trim(&heap);
        assert_int_equal(owner.held, 65536);
        if (n == 64)
            return;
    }
}

/* ---- a model -------------------------------------------------------------------------------- */

static bool filled(const uint8_t *p, size_t size, uint8_t with)
{
    for (size_t i = 0; i < size; i++) {
        if (p[i] != with)
            return false;
    }
    return true;
}

static void a_long_random_life(void **state)
{
    (void)state;
    static uint8_t *block[SLOTS];
    static size_t size[SLOTS];
    unsigned seed = 424242;
    print_message("seed %u\n", seed);
    srand(seed);
    memset(block, 0, sizeof block);
    for (unsigned i = 0; i < 30000; i++) {
        unsigned k = (unsigned)rand() % SLOTS, what = (unsigned)rand() % 4;
        size_t want = 1 + (size_t)rand() % (rand() % 30 ? 400 : 60000);
        if (block[k])
            assert_true(filled(block[k], size[k], (uint8_t)k));
        owner.fail_from = rand() % 50 ? 0 : 1; /* sometimes the owner has nothing */
        uint8_t *p = block[k];
        if (what == 0) {
            assert_int_equal(heap_free(&heap, p, NULL), HEAP_OK);
            block[k] = NULL;
            continue;
        }
        if (what == 1 && !p)
            p = heap_alloc_aligned(&heap, (size_t)16 << rand() % 9, want, NULL);
        else
            p = heap_realloc(&heap, p, want, NULL);
        if (p) {
            block[k] = p;
            size[k] = want;
            memset(p, (int)k, want);
        }
        if (i % 32 == 0)
            holds();
    }
    for (unsigned k = 0; k < SLOTS; k++)
        assert_int_equal(heap_free(&heap, block[k], NULL), HEAP_OK);
    holds();
    assert_int_equal(owner.reports, 0);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(init_refuses_nonsense),
        TEST(sizes_that_cannot_be),
        TEST(alignment_at_every_power_of_two),
        TEST(the_smallest_that_fits),
        TEST(the_lowest_that_fits),
        TEST(small_blocks_are_used_again),
        TEST(bins_have_an_end),
        TEST(realloc_keeps_contents),
        TEST(it_comes_back_to_its_start),
        TEST(small_blocks_come_back_too),
        TEST(refused_growth_changes_nothing),
        TEST(growth_refused_at_every_step),
        TEST(a_long_random_life),
    };
    return cmocka_run_group_tests_name("heap", tests, NULL, NULL);
}
