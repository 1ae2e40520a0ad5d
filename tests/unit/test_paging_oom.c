/* SPDX-License-Identifier: MIT */
/* test_paging_oom.c - out of tables at every step. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "paging_walker.h"

static pfn_t next_frame(void *ctx)
{
    unsigned *next = ctx;
    return PFN(0x1000 + (*next)++);
}

enum call {
    CALL_PAGE,
    CALL_RANGE,
    CALL_FRAMES,
    CALL_PIN,
    CALL_UNMAP_PART,
    CALL_PROTECT_PART,
    CALLS
};

static enum mem_err do_call(enum call call)
{
    unsigned next = 0;
    switch (call) {
    case CALL_PAGE:
        return map_page(&as, VA(BASE), PA(0), 0);
    case CALL_RANGE:
        return map_range(&as, VA(BASE + PAGE), PA(0), 3 * LARGE, 0);
    case CALL_FRAMES:
        return map_frames(&as, VA(BASE + PAGE), 2000, 0,
                          &(struct frame_source){next_frame, NULL, &next});
    case CALL_PIN:
        return paging_pin(&as, VA(BASE), 3 * LARGE);
    case CALL_UNMAP_PART:
        return unmap_range(&as, VA(BASE + 8 * LARGE + PAGE), 2 * LARGE);
    default:
        return protect_range(&as, VA(BASE + 8 * LARGE + PAGE), 2 * LARGE, 0);
    }
}

/* The frames that are in use, byte by byte; what is free may hold anything. */
static uint8_t before[FAKE_FRAMES][4096];
static bool taken_before[FAKE_FRAMES];

static void nothing_changed(void)
{
    assert_memory_equal(taken_before, fake.taken, sizeof taken_before);
    for (unsigned i = 0; i < FAKE_FRAMES; i++) {
        if (fake.taken[i])
            assert_memory_equal(before[i], fake.ram[i], 4096);
    }
}

static void running_out_changes_nothing(void **state)
{
    (void)state;
    for (enum call call = 0; call < CALLS; call++) {
        for (unsigned n = 0;; n++) {
            assert_int_equal(map_range(&as, VA(BASE + 8 * LARGE), PA(0), 4 * LARGE, MAP_WRITE),
                             MEM_OK);
            memcpy(before, fake.ram, sizeof before);
            memcpy(taken_before, fake.taken, sizeof taken_before);
            fake.fail_after = n;
            enum mem_err err = do_call(call);
            fake.fail_after = UINT_MAX;
            const char *broken;
            assert_true(paging_holds(&as, &broken));
            if (err) {
                assert_int_equal(err, MEM_NO_FRAME);
                nothing_changed();
            }
            paging_destroy(&as);
            assert_int_equal(fake.taken_count, 0);
            assert_int_equal(paging_create(&as, true, fake_source, &everything), MEM_OK);
            if (!err) {
                assert_true(n > 0 || call == CALL_PIN); /* pinned tables may be there already */
                break;
            }
        }
    }
}

#define TEST(name) cmocka_unit_test_setup_teardown(name, paging_set_up, paging_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(running_out_changes_nothing),
    };
    return cmocka_run_group_tests_name("paging_oom", tests, NULL, NULL);
}
