/* SPDX-License-Identifier: MIT */
/* selftest.c - runs the tables of tests and balances the books after each. */
#include "diag/selftest.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/ledger.h"
#include "diag/oom.h"
#include "diag/report.h"
#include "diag/storm.h"
#include "kernel.h"

struct tally {
    unsigned passed, refused, failed;
    bool json, verbose;
    bool thorough; /* checks every invariant after each test: costs grow with RAM */
    struct json writer;
};

static const char *const no_reason = "";
static const char *reason;

enum mem_err selftest_failed(const char *file, int line, const char *condition)
{
    kprintf("%s  %s:%d: not true: %s%s\n", colour(RED), file, line, condition, colour(PLAIN));
    reason = condition;
    return MEM_CORRUPT;
}

/* Frames by owner, tables and invariants: what a test must leave as it was. */
struct books {
    struct pmm_stats frames;
    size_t heap_used;
};

static struct books take_books(void)
{
    struct books b;
    struct heap_stats h;
    pmm_counts(&kernel.pmm, &b.frames);
    heap_stats(&kernel.heap, &h);
    b.heap_used = h.used;
    return b;
}

static enum mem_err all_hold(void)
{
    const char *broken = NULL;
    frames_settle();
    if (bootmap_holds(&kernel.map, &broken) && pmm_holds(&kernel.pmm, &broken) &&
        paging_holds(&kernel.aspace, &broken) && heap_check(&kernel.heap, &broken))
        return MEM_OK;
    return selftest_failed("invariant", 0, broken);
}

/* The heap may keep pages it has grown by; everybody else's frames must be as before. */
static enum mem_err books_balance(const struct books *before, bool thorough)
{
    struct books now = take_books();
    struct ledger_stage sums = ledger_now();
    for (unsigned o = OWNER_NONE + 1; o < OWNER_COUNT; o++) {
        if (o != OWNER_HEAP && o != OWNER_TABLE)
            EXPECT(now.frames.owners[o] == before->frames.owners[o]);
    }
    EXPECT(now.heap_used == before->heap_used);
    if (sums.broken)
        return selftest_failed("ledger", 0, sums.broken);
    return thorough ? all_hold() : MEM_OK;
}

static void tell_text(const char *name, enum mem_err err)
{
    const char *word = !err ? "ok" : err == MEM_NO_FRAME ? "--" : "FAILED";
    kprintf("  %s%-6s%s %s",
            colour(!err                  ? GREEN
                   : err == MEM_NO_FRAME ? YELLOW
                                         : RED),
            word, colour(PLAIN), name);
    kprintf(err == MEM_NO_FRAME ? ": refused: %s\n" : "\n", mem_err_name(err));
}

static void tell_json(struct json *j, const char *name, enum mem_err err)
{
    json_object(j, NULL);
    json_string(j, "name", name);
    json_bool(j, "passed", !err);
    if (err)
        json_string(j, "why", err == MEM_NO_FRAME ? mem_err_name(err) : reason);
    json_end(j);
}

static void tell(struct tally *t, const char *name, enum mem_err err)
{
    t->passed += !err;
    t->refused += err == MEM_NO_FRAME;
    t->failed += err && err != MEM_NO_FRAME;
    if (t->json)
        tell_json(&t->writer, name, err);
    else if (t->verbose || err)
        tell_text(name, err);
}

static void run_table(struct tally *t, const struct selftest *table)
{
    for (; table->name; table++) {
        struct books before = take_books();
        reason = no_reason;
        enum mem_err err = table->run(), books = books_balance(&before, t->thorough);
        tell(t, table->name, books ? books : err);
    }
}

static bool run_all(struct tally *t)
{
    run_table(t, selftests_machine);
    run_table(t, selftests_memory);
    run_table(t, selftests_oom);
    run_table(t, selftests_sweep);
    return ledger_note("self-test") && !t->refused && !t->failed;
}

bool selftest_smoke(void)
{
    struct tally t = {.verbose = false};
    run_table(&t, selftests_machine);
    unsigned checks = t.passed + t.refused + t.failed;
    kprintf("%s   smoke%s  %u checks, %s\n", colour(CYAN), colour(PLAIN), checks,
            t.passed == checks ? "all passed" : "NOT all passed");
    return t.passed == checks;
}

bool selftest_all(void)
{
    struct tally t = {.verbose = true, .thorough = true};
    bool passed = run_all(&t);
    kprintf("self-test: %u passed, %u refused, %u failed\n", t.passed, t.refused, t.failed);
    return passed;
}

bool selftest_command(const struct shell_args *args)
{
    if (!storm_is_over("selftest", args))
        return false;
    if (!args->json)
        return selftest_all();
    static struct tally t;
    t = (struct tally){.json = true, .thorough = true};
    json_begin(&t.writer, "selftest");
    json_array(&t.writer, "tests");
    bool passed = run_all(&t);
    json_end(&t.writer);
    json_number(&t.writer, "passed", t.passed);
    json_number(&t.writer, "refused", t.refused);
    json_number(&t.writer, "failed", t.failed);
    json_finish(&t.writer);
    return passed;
}
