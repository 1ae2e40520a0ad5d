/* SPDX-License-Identifier: MIT */
/*
 * test_kernel_heap.c - kmalloc on real page tables and the real frame allocator.
 *
 * The window is an array of this program, so that blocks can be written; the tables that map it
 * lie in fake RAM, and nobody walks them but the tests. kmalloc's state is static: the tests run in
 * the order of the list.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mem/frames.h>
#include <mem/kmalloc.h>

#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096, WINDOW = 4 << 20 };

static const struct paging_features features = {
    .nx = WIDE, .wp = true, .phys_bits = WIDE ? 40 : 32, .virt_bits = WIDE ? 48 : 32};

static uint8_t window[WINDOW] __attribute__((aligned(4096)));
static struct boot_range ranges[1] = {
    {FAKE_FIRST * PAGE, (FAKE_FIRST + FAKE_FRAMES) * PAGE - 1, RANGE_USABLE, OWNER_NONE}};
static struct bootmap map = {.ranges = ranges, .count = 1, .capacity = 1, .finished = true};
static struct pmm pmm;
static uint64_t metadata[1 << 12] __attribute__((aligned(64)));
static struct aspace as;
static struct heap heap;
static struct heap_report last_report;

static void report(const struct heap_report *r)
{
    last_report = *r;
}

/* ctx: the owner. */
static pfn_t take(void *ctx)
{
    return frames_take(*(const enum frame_owner *)ctx);
}

static void give(void *ctx, pfn_t frame)
{
    assert_int_equal(frames_give(frame, *(const enum frame_owner *)ctx), MEM_OK);
}

static enum frame_owner table_owner = OWNER_TABLE, heap_owner = OWNER_HEAP;
static const struct frame_source tables = {take, give, &table_owner};
static const struct frame_source pages = {take, give, &heap_owner};

static int set_up_machine(void **state)
{
    (void)state;
    fake_reset();
    return pmm_init(&pmm, &map, metadata, sizeof metadata) || frames_init(&pmm) ||
           paging_create(&as, true, tables, &features);
}

/* Frames, tables and heap tell the same story. */
static void holds(void)
{
    const char *broken;
    struct pmm_stats s;
    frames_settle();
    pmm_counts(&pmm, &s);
    if (!pmm_holds(&pmm, &broken) || !paging_holds(&as, &broken) || !heap_check(&heap, &broken))
        fail_msg("%s", broken);
    struct heap_stats h;
    heap_stats(&heap, &h);
    assert_true(s.owners[OWNER_HEAP] * PAGE >= h.mapped);
    assert_true(s.owners[OWNER_TABLE] == as.tables);
}

/* ---- joined --------------------------------------------------------------------------------- */

static void it_starts_once(void **state)
{
    (void)state;
    vaddr_t at = ptr_vaddr(window);
    assert_int_equal(kmalloc_init(&heap, &as, &pages, vaddr_add(at, 1), WINDOW, report),
                     MEM_MISALIGNED);
    assert_int_equal(kmalloc_init(&heap, &as, &pages, at, WINDOW, report), MEM_OK);
    static struct heap other;
    assert_int_equal(kmalloc_init(&other, &as, &pages, at, WINDOW, report), MEM_ALREADY_INIT);
    paddr_t pa;
    at = ptr_vaddr(heap.low);
    assert_int_equal(translate(&as, at, &pa), MEM_OK);
    struct walk w;
    paging_walk(&as, at, &w);
    assert_true(w.flags & MAP_WRITE);
    assert_true(!WIDE || !(w.flags & MAP_EXEC));
    holds();
}

static void blocks_come_and_go(void **state)
{
    (void)state;
    uint8_t *a = kmalloc(100), *b = kcalloc(30, 7), *c = kmalloc_aligned(4096, 10);
    assert_true(a && b && c && (vword_t)c % 4096 == 0);
    assert_true(kmalloc_usable_size(a) >= 100);
    for (unsigned i = 0; i < 210; i++)
        assert_int_equal(b[i], 0);
    memset(a, 0x5a, 100);
    memset(b, 0xff, 210);
    a = krealloc(a, 5000);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(a[i], 0x5a);
    kfree(b);
    b = kcalloc(30, 7);
    for (unsigned i = 0; i < 210; i++)
        assert_int_equal(b[i], 0);
    kfree(a);
    kfree(b);
    kfree(c);
    kfree(NULL);
    holds();
}

static void what_no_heap_can_do(void **state)
{
    (void)state;
    assert_null(kmalloc(0));
    assert_null(kmalloc(SIZE_MAX));
    assert_null(kcalloc(SIZE_MAX / 2, 3));
    assert_null(kcalloc(WINDOW, 2));
    assert_null(kmalloc_aligned(0, 16));
    assert_null(kmalloc_aligned(24, 16));
    holds();
}

static void misuse_is_reported_with_its_caller(void **state)
{
    (void)state;
    void *a = kmalloc(40);
    kfree(a);
    last_report.fault = HEAP_OK;
    kfree(a);
    assert_int_equal(last_report.fault, HEAP_DOUBLE_FREE);
    assert_ptr_equal(last_report.address, a);
    assert_non_null(last_report.caller);
    kfree(&heap);
    assert_int_equal(last_report.fault, HEAP_FOREIGN);
    assert_int_equal(kmalloc_usable_size(&heap), 0);
    holds();
}

static const void *resized_from; /* the caller's caller, who is not to blame */

static __attribute__((noinline)) void resize_what_is_free(void *block)
{
    resized_from = __builtin_return_address(0);
    assert_null(krealloc(block, 50));
    __asm__ volatile(""); /* no tail call */
}

static void a_stale_resize_names_its_caller(void **state)
{
    (void)state;
    void *a = kmalloc(40);
    kfree(a);
    last_report = (struct heap_report){0};
    resize_what_is_free(a);
    assert_int_not_equal(last_report.fault, HEAP_OK);
    vword_t from = (vword_t)resize_what_is_free;
    assert_in_range((vword_t)last_report.caller, from + 1, from + 200);
    assert_ptr_not_equal(last_report.caller, resized_from);
    holds();
}

static __attribute__((noinline)) void ask_of_what_is_free(void *block)
{
    assert_int_equal(kmalloc_usable_size(block), 0);
    __asm__ volatile(""); /* no tail call */
}

static void a_stale_question_names_its_caller(void **state)
{
    (void)state;
    void *a = kmalloc(40);
    kfree(a);
    last_report = (struct heap_report){0};
    ask_of_what_is_free(a);
    assert_int_equal(last_report.fault, HEAP_DOUBLE_FREE);
    vword_t from = (vword_t)ask_of_what_is_free;
    assert_in_range((vword_t)last_report.caller, from + 1, from + 200);
    holds();
}

/* ---- growing and shrinking ------------------------------------------------------------------ */

static void large_blocks_take_frames_and_give_them_back(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 3; round++) {
        kmalloc_trim();
        uint64_t before = frames_free();
        uint8_t *p = kmalloc(1 << 20);
        assert_non_null(p);
        assert_true(before - frames_free() >= 240);
        memset(p, 1, 1 << 20);
        kfree(p);
        kmalloc_trim();
        assert_true(frames_free() == before);
        holds();
    }
}

/* With no word from anyone, when the last block is freed. */
static void the_last_block_gives_all_back(void **state)
{
    (void)state;
    enum { BLOCKS = 3000 };
    static void *p[BLOCKS];
    kmalloc_trim();
    uint64_t before = frames_free();
    for (unsigned i = 0; i < BLOCKS; i++) {
        p[i] = kmalloc(20 + i % 300);
        assert_non_null(p[i]);
    }
    assert_true(frames_free() < before);
    for (unsigned i = 0; i < BLOCKS; i++)
        kfree(p[i * 7 % BLOCKS]);
    assert_true(frames_free() == before);
    holds();
}

static void no_frames_no_block(void **state)
{
    (void)state;
    kmalloc_trim();
    uint64_t before = frames_free();
    assert_null(kmalloc(((size_t)before + 32) * PAGE));
    assert_true(frames_free() == before);
    void *p = kmalloc(1 << 20);
    assert_non_null(p);
    kfree(p);
    kmalloc_trim();
    holds();
}

/* As many frames as the heap asks for are enough. */
static void the_last_frame_is_used(void **state)
{
    (void)state;
    static pfn_t held[FAKE_FRAMES];
    size_t count = 0;
    kmalloc_trim();
    uint64_t before = frames_free();
    void *p = kmalloc(64 * PAGE);
    uint64_t used = before - frames_free();
    kfree(p);
    kmalloc_trim();
    assert_true(frames_free() == before && used > 0);
    while (frames_free() > used)
        held[count++] = frames_take(OWNER_DMA);
    p = kmalloc(64 * PAGE);
    assert_non_null(p);
    assert_true(frames_free() == 0);
    kfree(p);
    kmalloc_trim();
    while (count)
        assert_int_equal(frames_give(held[--count], OWNER_DMA), MEM_OK);
    assert_true(frames_free() == before);
    holds();
}

/* Something is mapped where the heap would grow: the call fails, and nothing is lost. */
static void a_window_that_is_not_empty(void **state)
{
    (void)state;
    kmalloc_trim();
    vaddr_t in_the_way = ptr_vaddr(window + (1 << 20));
    assert_int_equal(map_page(&as, in_the_way, PA(0x1000), 0), MEM_OK);
    uint64_t before = frames_free();
    assert_null(kmalloc(1 << 20));
    assert_true(frames_free() == before);
    assert_int_equal(unmap_page(&as, in_the_way, NULL), MEM_OK);
    void *p = kmalloc(1 << 20);
    assert_non_null(p);
    kfree(p);
    holds();
}

/* What cannot be: a page of the heap is gone. The last test: the lock stays held. */
static void a_page_that_is_gone(void **state)
{
    (void)state;
    static jmp_buf panicked;
    uint8_t *p = kmalloc(1 << 20);
    assert_non_null(p);
    vaddr_t inside = VA((vword_t)(p + (1 << 19)) & ~(vword_t)(PAGE - 1));
    assert_int_equal(unmap_page(&as, inside, NULL), MEM_OK);
    fake.panics_to = &panicked;
    if (!setjmp(panicked)) {
        kfree(p);
        kmalloc_trim();
        fail_msg("no panic");
    }
    assert_non_null(strstr(fake.panic_text, "heap shrink at"));
    assert_non_null(strstr(fake.panic_text, "MEM_NOT_MAPPED"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_starts_once),
        cmocka_unit_test(blocks_come_and_go),
        cmocka_unit_test(what_no_heap_can_do),
        cmocka_unit_test(misuse_is_reported_with_its_caller),
        cmocka_unit_test(a_stale_resize_names_its_caller),
        cmocka_unit_test(a_stale_question_names_its_caller),
        cmocka_unit_test(large_blocks_take_frames_and_give_them_back),
        cmocka_unit_test(the_last_block_gives_all_back),
        cmocka_unit_test(no_frames_no_block),
        cmocka_unit_test(the_last_frame_is_used),
        cmocka_unit_test(a_window_that_is_not_empty),
        cmocka_unit_test(a_page_that_is_gone),
    };
    return cmocka_run_group_tests_name("kernel heap", tests, set_up_machine, NULL);
}
