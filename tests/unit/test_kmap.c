/* SPDX-License-Identifier: MIT */
/*
 * test_kmap.c - the window's slots in a table that no CPU reads; mmio on fake RAM is
 * in test_mmio.c.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include <mem/kmap.h>
#include <platform.h>

#include "panic.h"

enum { SLOTS = 128, PAGE = 4096 };
#define WINDOW ((vword_t)0xffc00000u)

static vword_t table[SLOTS], whole[1024];
static unsigned flushes, complaints;
static const void *blamed, *blamed_caller; /* of the last complaint */

void platform_flush_page(vaddr_t va)
{
    assert_true(va.v >= WINDOW && va.v < WINDOW + SLOTS * PAGE);
    flushes++;
}

/* Interrupts come back on after every call, also one that is refused. */
enum { IRQ_STATE = 0x202 };
static bool irqs_off;

vword_t platform_irq_save(void)
{
    assert_false(irqs_off);
    irqs_off = true;
    return IRQ_STATE;
}

void platform_irq_restore(vword_t state)
{
    assert_true(irqs_off && state == IRQ_STATE);
    irqs_off = false;
}

void platform_complain(const char *format, ...)
{
    va_list args;
    (void)format; /* C23's va_start need not look at it */
    va_start(args, format);
    blamed = va_arg(args, const void *);
    blamed_caller = va_arg(args, const void *);
    va_end(args);
    complaints++;
}

static int set_up(void **state)
{
    (void)state;
    memset(table, 0, sizeof table);
    flushes = complaints = 0;
    irqs_off = false;
    physmap_init(VA(WINDOW), table, SLOTS);
    return 0;
}

static unsigned present(void)
{
    unsigned count = 0;
    for (unsigned i = 0; i < SLOTS; i++)
        count += table[i] & 1;
    return count;
}

static void a_slot_shows_its_frame(void **state)
{
    (void)state;
    vword_t p = (vword_t)kmap(PFN(0x12345));
    unsigned slot = (unsigned)((p - WINDOW) / PAGE);
    assert_true(table[slot] >> 12 == 0x12345 && (table[slot] & 3) == 3);
    assert_int_equal(flushes, 0); /* nothing stale was there */
    kunmap((void *)(p + 77));
    assert_int_equal(present(), 0);
    assert_int_equal(flushes, 1);
}

static void calls_nest_and_guards_stay_empty(void **state)
{
    (void)state;
    void *p[SLOTS / 2];
    for (unsigned i = 0; i < SLOTS / 2; i++) {
        p[i] = kmap(PFN(i + 1));
        assert_int_equal(present(), i + 1);
    }
    for (unsigned i = 1; i < SLOTS; i += 2)
        assert_int_equal(table[i], 0);
    kunmap(p[5]);
    void *again = kmap(PFN(99));
    assert_ptr_equal(again, p[5]);
    for (unsigned i = 0; i < SLOTS / 2; i++)
        kunmap(p[i]);
    struct kmap_stats s;
    kmap_stats(&s);
    assert_true(s.live == 0 && s.peak == SLOTS / 2 && s.refused == 0 && s.slots == SLOTS / 2);
}

static void overflow_is_named(void **state)
{
    (void)state;
    if (setjmp(panicked)) {
        assert_non_null(strstr(panic_text, "all 64 kmap slots"));
        return;
    }
    for (unsigned i = 0; i <= SLOTS / 2; i++)
        (void)kmap(PFN(i));
    fail();
}

static void unbalanced_use_is_refused(void **state)
{
    (void)state;
    uint8_t *p = kmap(PFN(7)), *q = kmap(PFN(8));
    kunmap(p);
    kunmap(p);
    kunmap(q + PAGE);                                 /* a guard */
    kunmap((void *)(WINDOW - 1));                     /* below */
    kunmap((void *)(WINDOW + SLOTS * (vword_t)PAGE)); /* above */
    kunmap(NULL);
    struct kmap_stats s;
    kmap_stats(&s);
    assert_true(s.refused == 5 && complaints == 5 && s.live == 1);
    assert_int_equal(present(), 1);
    kunmap(q);
}

static const void *unmapped_from; /* the caller's caller, who is not to blame */

static __attribute__((noinline)) void unmap_twice(void *p)
{
    unmapped_from = __builtin_return_address(0);
    kunmap(p);
    kunmap(p);
    __asm__ volatile(""); /* no tail call */
}

static void the_caller_is_blamed(void **state)
{
    (void)state;
    void *p = kmap(PFN(7));
    unmap_twice(p);
    assert_int_equal(complaints, 1);
    assert_ptr_equal(blamed, p);
    assert_in_range((vword_t)blamed_caller, (vword_t)unmap_twice + 1, (vword_t)unmap_twice + 200);
    assert_ptr_not_equal(blamed_caller, unmapped_from);
}

/* With all slots there are, the first address above the window has no bit in `busy`. */
static void above_the_largest_window(void **state)
{
    (void)state;
    physmap_init(VA(WINDOW), whole, 1024);
    kunmap((void *)(WINDOW + 1024 * (vword_t)PAGE));
    assert_int_equal(complaints, 1);
}

static void count_live(unsigned slot, pfn_t frame, const void *caller, void *ctx)
{
    unsigned *count = ctx;
    assert_non_null(caller);
    assert_int_equal(frame.v, 0x100 + slot);
    (*count)++;
}

static void holders_are_listed(void **state)
{
    (void)state;
    unsigned count = 0;
    for (unsigned i = 0; i < 3; i++)
        (void)kmap(PFN(0x100 + i));
    kmap_each_live(count_live, &count);
    assert_int_equal(count, 3);
}

#define TEST(name) cmocka_unit_test_setup(name, set_up)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_slot_shows_its_frame), TEST(calls_nest_and_guards_stay_empty),
        TEST(overflow_is_named),      TEST(unbalanced_use_is_refused),
        TEST(the_caller_is_blamed),   TEST(above_the_largest_window),
        TEST(holders_are_listed),
    };
    return cmocka_run_group_tests_name("kmap", tests, NULL, NULL);
}
