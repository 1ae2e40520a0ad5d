/* SPDX-License-Identifier: MIT */
/* selftest.c - runs the tables of tests and balances the books after each. */
#include "diag/selftest.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/ledger.h"
#include "diag/report.h"
#include "kernel.h"

struct tally {
    unsigned passed, failed;
    bool json, verbose;
    bool thorough; /* checks every invariant after each test: costs grow with RAM */
    struct json writer;
};

static const char *const no_reason = "";
static const char *reason;

bool selftest_failed(const char *file, int line, const char *condition)
{
    kprintf("%s  %s:%d: not true: %s%s\n", colour(RED), file, line, condition, colour(PLAIN));
    reason = condition;
    return false;
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

static bool all_hold(void)
{
    const char *broken = NULL;
    frames_settle();
    if (bootmap_holds(&kernel.map, &broken) && pmm_holds(&kernel.pmm, &broken) &&
        paging_holds(&kernel.aspace, &broken) && heap_check(&kernel.heap, &broken))
        return true;
    return selftest_failed("invariant", 0, broken);
}

static bool ledger_is_exact(void)
{
    struct ledger_stage now = ledger_now();
    return !now.broken || selftest_failed("ledger", 0, now.broken);
}

/* The heap may keep pages it has grown by; everybody else's frames must be as before. */
static bool books_balance(const struct books *before, bool thorough)
{
    struct books now = take_books();
    for (unsigned o = OWNER_NONE + 1; o < OWNER_COUNT; o++) {
        if (o != OWNER_HEAP && o != OWNER_TABLE)
            EXPECT(now.frames.owners[o] == before->frames.owners[o]);
    }
    EXPECT(now.heap_used == before->heap_used);
    return ledger_is_exact() && (!thorough || all_hold());
}

static void tell(struct tally *t, const char *name, bool passed)
{
    if (passed)
        t->passed++;
    else
        t->failed++;
    if (t->json) {
        json_object(&t->writer, NULL);
        json_string(&t->writer, "name", name);
        json_bool(&t->writer, "passed", passed);
        if (!passed)
            json_string(&t->writer, "why", reason);
        json_end(&t->writer);
    } else if (t->verbose || !passed) {
        kprintf("  %s%-6s%s %s\n", colour(passed ? GREEN : RED), passed ? "ok" : "FAILED",
                colour(PLAIN), name);
    }
}

static void run_table(struct tally *t, const struct selftest *table)
{
    for (; table->name; table++) {
        struct books before = take_books();
        reason = no_reason;
        bool passed = table->run();
        passed = books_balance(&before, t->thorough) && passed;
        tell(t, table->name, passed);
    }
}

static bool run_all(struct tally *t)
{
    run_table(t, selftests_machine);
    run_table(t, selftests_memory);
    run_table(t, selftests_oom);
    return ledger_note("self-test") && t->failed == 0;
}

bool selftest_smoke(void)
{
    struct tally t = {.verbose = false};
    run_table(&t, selftests_machine);
    kprintf("%s   smoke%s  %u checks, %s\n", colour(CYAN), colour(PLAIN), t.passed + t.failed,
            t.failed ? "NOT all passed" : "all passed");
    return t.failed == 0;
}

bool selftest_all(void)
{
    struct tally t = {.verbose = true, .thorough = true};
    bool passed = run_all(&t);
    kprintf("self-test: %u passed, %u failed\n", t.passed, t.failed);
    return passed;
}

bool selftest_command(const struct shell_args *args)
{
    if (!args->json)
        return selftest_all();
    static struct tally t;
    t = (struct tally){.json = true, .thorough = true};
    json_begin(&t.writer, "selftest");
    json_array(&t.writer, "tests");
    bool passed = run_all(&t);
    json_end(&t.writer);
    json_number(&t.writer, "passed", t.passed);
    json_number(&t.writer, "failed", t.failed);
    json_finish(&t.writer);
    return passed;
}
