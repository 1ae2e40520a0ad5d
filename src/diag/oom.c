/* SPDX-License-Identifier: MIT */
/*
 * oom.c - the same calls and self-tests with every frame missing in turn, on the machine.
 *
 * An exercise uses memory and gives it back. It is run with the n-th frame that it asks for
 * missing, for n = 1, 2, 3 ... until it asks for no n-th; once with that frame alone missing, once
 * with all from there on. Whatever it could not get, afterwards
 *
 *   E1  it has either done all its work or answered MEM_NO_FRAME, because of a refusal;
 *   E2  exactly the frames are free that were free before, and each owner holds as many;
 *   E3  the page tables are the same bytes, but for accessed and dirty bits;
 *   E4  the heap's invariants hold, with the same blocks in use; and the ledger is exact;
 *   E5  and it comes to an end.
 *
 * All but ARENA frames are held meanwhile, so that it costs the same with any size of RAM. A
 * self-test can take thousands of frames, and then takes thousands of runs: `oom` and the self-test
 * refuse each of its first frames and then some, `oom all` every one. Calls always get the latter.
 */
#include "diag/oom.h"

#include <mem/kmalloc.h>

#include "diag/console.h"
#include "diag/hold.h"
#include "diag/json.h"
#include "diag/refuse.h"
#include "diag/report.h"
#include "diag/storm.h"
#include "kernel.h"
#include "lib/string.h"

enum {
    ARENA = (16 << 20) >> PAGE_SHIFT,
    ARENA_LEAST = (512 << 10) >> PAGE_SHIFT, /* every exercise has what it needs */
    EACH = 16, /* of a self-test's frames so many are refused one by one, then some further on */
    POINTS_MAX = 1 << 17,
};

/* ---- one exercise ---------------------------------------------------------------------------- */

static const char *outcome(enum mem_err err, bool happened)
{
    if (err && err != MEM_NO_FRAME)
        return "E1: it does its work or answers MEM_NO_FRAME";
    return err && !happened ? "E1: it answers MEM_NO_FRAME only after a refusal" : NULL;
}

static const char *every_point(const struct selftest *test, bool always, bool every,
                               struct oom_tally *t)
{
    for (unsigned n = 1; n < POINTS_MAX; n += every || n < EACH ? 1 : n / 8) {
        refuse_begin(n, always);
        enum mem_err err = test->run();
        struct refuse_tally refused = refuse_end();
        const char *broken = outcome(err, refused.happened);
        if (!broken)
            broken = oom_difference();
        if (broken || !refused.happened) {
            t->frames = refused.frames;
            return broken;
        }
        t->points[always]++;
        t->refused[always] += err == MEM_NO_FRAME;
    }
    return "E5: it comes to an end";
}

const char *oom_exercise(const struct selftest *test, bool every, struct oom_tally *tally)
{
    *tally = (struct oom_tally){0};
    const char *broken = every_point(test, false, every, tally);
    return broken || !tally->frames ? broken : every_point(test, true, every, tally);
}

/* ---- all of them ----------------------------------------------------------------------------- */

/* What is told, and how. */
struct report {
    bool quiet, json, every;
    struct json writer;
    unsigned exercises, points, refused;
    const char *broken, *where; /* the first rule that was, and by which exercise */
};

static void tell_json(struct json *j, const struct selftest *test, const struct oom_tally *t,
                      const char *broken)
{
    json_object(j, NULL);
    json_string(j, "name", test->name);
    json_number(j, "frames", t->frames);
    json_number(j, "points_once", t->points[0]);
    json_number(j, "refused_once", t->refused[0]);
    json_number(j, "points_always", t->points[1]);
    json_number(j, "refused_always", t->refused[1]);
    json_bool(j, "passed", !broken);
    if (broken)
        json_string(j, "why", broken);
    json_end(j);
}

/* The name comes before the work, the figures after it: one sees where it is. */
static void tell_name(const struct report *r, const char *name)
{
    if (!r->json && !r->quiet)
        kprintf("  %-49s", name);
}

static void tell_figures(const struct oom_tally *t, const char *broken)
{
    kprintf("%6u%7u%8u  %s%s%s\n", t->frames, t->points[0] + t->points[1],
            t->refused[0] + t->refused[1], colour(broken ? RED : GREEN), broken ? "FAILED" : "ok",
            colour(PLAIN));
    if (broken)
        kprintf("    %snot true: %s%s\n", colour(RED), broken, colour(PLAIN));
}

static void run_exercise(struct report *r, const struct selftest *test, bool every)
{
    struct oom_tally t;
    tell_name(r, test->name);
    const char *broken = oom_exercise(test, every, &t);
    r->exercises++;
    r->points += t.points[0] + t.points[1];
    r->refused += t.refused[0] + t.refused[1];
    if (broken && !r->broken) {
        r->broken = broken;
        r->where = test->name;
    }
    if (r->json)
        tell_json(&r->writer, test, &t, broken);
    else if (!r->quiet)
        tell_figures(&t, broken);
}

static void run_table(struct report *r, const struct selftest *test, bool every)
{
    for (; test->name && !(r->quiet && r->broken); test++)
        run_exercise(r, test, every);
}

static void run_tables(struct report *r)
{
    run_table(r, oom_calls, true);
    run_table(r, selftests_machine, r->every);
    run_table(r, selftests_memory, r->every);
    run_table(r, selftests_oom, r->every);
}

/* The map of all RAM is looked at here alone: its tables are as many as RAM is large. */
static const char *in_the_arena(void (*run)(struct report *r), struct report *r)
{
    struct hold rest = HOLD_NOTHING;
    const char *broken = NULL;
    kmalloc_trim();
    vword_t window = oom_window_digest();
    if (!oom_find_scratch())
        broken = "MEM_NO_SPACE: user space has room to try in";
    else if (hold_all_but(&rest, ARENA))
        broken = "MEM_NO_FRAME: all frames but some can be held";
    if (!broken)
        run(r);
    if (hold_let_go(&rest))
        broken = "E2: what was held goes back";
    frames_settle();
    if (!broken && oom_window_digest() != window)
        broken = "E3: the tables that map all RAM are the same bytes";
    if (!broken && pmm_holds(&kernel.pmm, &broken) && paging_holds(&kernel.aspace, &broken))
        broken = r->broken;
    return broken;
}

static void sweep(struct report *r)
{
    r->broken = oom_remember();
    if (!r->broken)
        run_tables(r);
}

/* ---- planted mistakes ------------------------------------------------------------------------ */

static void tell_plant(void *ctx, const char *name, const char *noticed)
{
    struct report *r = ctx;
    if (r->json) {
        json_object(&r->writer, NULL);
        json_string(&r->writer, "name", name);
        json_string(&r->writer, "noticed", noticed ? noticed : "");
        json_end(&r->writer);
    } else if (!r->quiet) {
        kprintf("  %s%-8s%s%s\n", colour(noticed ? GREEN : RED), noticed ? "noticed" : "MISSED",
                colour(PLAIN), name);
        kprintf("          %s\n", noticed ? noticed : "by no rule that is there for it");
    }
    r->exercises++;
}

static void plant(struct report *r)
{
    r->broken = oom_plant(tell_plant, r);
}

/* ---- self-test and command ------------------------------------------------------------------- */

static enum mem_err every_frame_missing(void)
{
    struct report r = {.quiet = true, .where = "oom"};
    if (frames_free() < ARENA_LEAST)
        return MEM_NO_FRAME;
    const char *broken = in_the_arena(plant, &r);
    if (!broken)
        broken = in_the_arena(sweep, &r);
    return broken ? selftest_failed(r.where, 0, broken) : MEM_OK;
}

const struct selftest selftests_sweep[] = {
    {"every frame of every call missing in turn", every_frame_missing},
    {NULL, NULL},
};

static void tell_end(struct report *r, bool plants, const char *broken)
{
    if (r->json) {
        json_end(&r->writer);
        if (!plants) {
            json_number(&r->writer, "points", r->points);
            json_number(&r->writer, "refused", r->refused);
        }
        json_bool(&r->writer, "passed", !broken);
        if (broken)
            json_string(&r->writer, "why", broken);
        json_finish(&r->writer);
    } else if (broken) {
        kprintf("  %snot true: %s%s\n", colour(RED), broken, colour(PLAIN));
    } else if (plants) {
        kprintf("  %u mistakes, all noticed\n", r->exercises);
    } else {
        kprintf("  %u points in %u exercises: %u ended in MEM_NO_FRAME, %u did without\n",
                r->points, r->exercises, r->refused, r->points - r->refused);
    }
}

bool oom_command(const struct shell_args *args)
{
    const char *word = args->count ? args->word[0] : "";
    bool all = strcmp(word, "all") == 0, plants = strcmp(word, "plant") == 0;
    if (args->count > 1 || (args->count && !all && !plants))
        return report_error("oom", args, "usage: oom [all|plant]");
    if (!storm_is_over("oom", args))
        return false;
    if (frames_free() < ARENA_LEAST)
        return report_error("oom", args, "MEM_NO_FRAME: %u frames have to be free", ARENA_LEAST);
    static struct report r;
    r = (struct report){.json = args->json, .every = all};
    if (r.json) {
        json_begin(&r.writer, "oom");
        json_array(&r.writer, plants ? "planted" : "exercises");
    } else if (!plants) {
        kprintf("  %s%-49s%6s%7s%8s%s\n", colour(BOLD),
                "each frame missing: once, and from then on", "frames", "points", "refused",
                colour(PLAIN));
    }
    const char *broken = in_the_arena(plants ? plant : sweep, &r);
    tell_end(&r, plants, broken);
    return !broken;
}
