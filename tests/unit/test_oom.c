/* SPDX-License-Identifier: MIT */
/*
 * test_oom.c - every call that takes memory, with every frame that it takes missing.
 *
 * For n = 1, 2, 3 ...: the n-th frame that the call asks for is not there; once, from then on, or
 * because n - 1 frames are left. The call must then either do its work all the same, or answer
 * MEM_NO_FRAME and have changed nothing: each frame's owner, each table's bytes, mappings and live
 * blocks are as before. What was refused must succeed when there are frames again, and be undone
 * to the last frame. A call is done with when it no longer reaches the n-th frame.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "oom_calls.h"

enum { FRAMES = 1900, POINTS_MAX = 400 };

/* ---- every point --------------------------------------------------------------------------- */

static enum outcome run_point(const void *what, enum way way, unsigned n)
{
    const struct scenario *s = what;
    static char doing[100];
    snprintf(doing, sizeof doing, "%s, frame %u missing %s", s->name, n, way_names[way]);
    oom_doing = doing;
    if (s->prepare)
        s->prepare();
    check_everything();
    remember();

    plan_failure(way, n);
    enum mem_err err = s->call();
    bool happened = end_failure();
    CHECK(err || !happened || s->tries_again);
    CHECK(!err || (err == MEM_NO_FRAME && (happened || way == LAST)));
    if (err)
        check_nothing_changed();
    check_everything();
    if (err)
        CHECK(s->call() == MEM_OK); /* there are frames again */
    check_everything();
    if (s->undo) {
        s->undo();
        check_nothing_changed();
        check_everything();
    }
    return err ? REFUSED : happened ? SURVIVED : UNTOUCHED;
}

static unsigned points[3]; /* refused, survived, done */

static void every_point(const struct scenario *s, enum way way)
{
    for (unsigned n = 1; n < POINTS_MAX; n++) {
        int outcome = in_child(run_point, s, way, n);
        assert_in_range(outcome, REFUSED, UNTOUCHED);
        points[outcome - REFUSED]++;
        if (outcome == UNTOUCHED) {
            if ((n == 1) != s->needs_none)
                print_error("%s: done after %u points\n", s->name, n);
            assert_true((n == 1) == s->needs_none);
            return;
        }
    }
    fail();
}

static void every_way(enum way way)
{
    memset(points, 0, sizeof points);
    for (unsigned i = 0; i < scenario_count; i++)
        every_point(&scenarios[i], way);
    print_message("%s: %u points refused, %u survived, over %u calls\n", way_names[way], points[0],
                  points[1], points[2]);
    assert_true(points[0] > 70);
}

static void each_frame_missing_once(void **state)
{
    (void)state;
    every_way(ONCE);
}

static void every_frame_from_one_on_missing(void **state)
{
    (void)state;
    every_way(ALWAYS);
}

static void the_last_frames(void **state)
{
    (void)state;
    every_way(LAST);
}

static int set_up(void **state)
{
    (void)state;
    return start_all(FRAMES) != MEM_OK;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_frame_missing_once),
        cmocka_unit_test(every_frame_from_one_on_missing),
        cmocka_unit_test(the_last_frames),
    };
    return cmocka_run_group_tests_name("oom", tests, set_up, NULL);
}
