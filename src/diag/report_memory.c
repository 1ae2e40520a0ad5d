/* SPDX-License-Identifier: MIT */
/* report_memory.c - meminfo, pmm, mmap: how much memory there is, and whose. */
#include "diag/report.h"

#include "diag/console.h"
#include "diag/json.h"
#include "diag/ledger.h"
#include "diag/report_mmap.h"
#include "diag/units.h"
#include "kernel.h"
#include "lib/fmt.h"

bool report_error(const char *cmd, const struct shell_args *args, const char *format, ...)
{
    char text[160];
    va_list list;
    va_start(list, format);
    vfmt(text, sizeof text, format, list);
    va_end(list);
    if (args->json) {
        struct json j;
        json_begin(&j, cmd);
        json_string(&j, "error", text);
        json_finish(&j);
    } else {
        kprintf("%s%s: %s%s\n", colour(RED), cmd, text, colour(PLAIN));
    }
    return false;
}

bool report_mmap_command(const struct shell_args *args)
{
    report_mmap(&kernel.map, kernel.mbi, &kernel.boot, args->json);
    return true;
}

static void json_owners(struct json *j, const struct pmm_stats *s)
{
    json_object(j, "owners");
    for (enum frame_owner o = OWNER_NONE + 1; o < OWNER_COUNT; o++) {
        if (s->owners[o])
            json_number(j, frame_owner_name(o), s->owners[o]);
    }
    json_end(j);
}

static void json_stage(struct json *j, const struct ledger_stage *stage)
{
    const struct pmm_stats *s = &stage->frames;
    json_object(j, NULL);
    json_string(j, "after", stage->after);
    json_number(j, "total", s->total);
    json_number(j, "free", s->free);
    json_number(j, "used", s->used);
    json_number(j, "reserved", s->reserved);
    json_owners(j, s);
    json_bool(j, "exact", !stage->broken);
    if (stage->broken)
        json_string(j, "broken", stage->broken);
    json_end(j);
}

static void json_ledger(struct json *j)
{
    const struct ledger_stage now = ledger_now();
    struct bootmap_totals t = bootmap_totals(&kernel.map);
    json_array(j, "ledger");
    for (unsigned i = 0; i < ledger.count; i++)
        json_stage(j, &ledger.stage[i]);
    json_stage(j, &now);
    json_end(j);
    json_number(j, "boot_map_frames", t.usable_frames);
    json_number(j, "above_limit_frames", t.above_limit_frames);
}

static void meminfo_json(const struct pmm_stats *s, const struct heap_stats *h)
{
    struct json j;
    json_begin(&j, "meminfo");
    json_object(&j, "frames");
    json_number(&j, "total", s->total);
    json_number(&j, "free", s->free);
    json_number(&j, "used", s->used);
    json_number(&j, "reserved", s->reserved);
    json_owners(&j, s);
    json_end(&j);
    json_object(&j, "heap");
    json_number(&j, "mapped", h->mapped);
    json_number(&j, "used", h->used);
    json_number(&j, "free", h->free);
    json_number(&j, "blocks", h->blocks);
    json_number(&j, "largest", h->largest);
    json_end(&j);
    json_number(&j, "tables", kernel.aspace.tables);
    json_ledger(&j);
    json_finish(&j);
}

enum { BAR = 26 }; /* the row is 79 columns with it */

/* A bar of `part` out of `whole`; something that is there never looks like nothing. */
static void bar(uint64_t part, uint64_t whole, enum colour c)
{
    unsigned cells = permille(part, whole) * BAR / 1000;
    if (part && !cells)
        cells = 1;
    kprintf("%s", colour(c));
    for (unsigned i = 0; i < cells; i++)
        kprintf("█");
    kprintf("%s", colour(PLAIN));
}

static void row(const char *name, uint64_t frames, uint64_t total, enum colour c)
{
    unsigned p = permille(frames, total);
    kprintf("  %-18s %11llu %11s %3u.%u%%  ", name, (unsigned long long)frames,
            size_text(frames << PAGE_SHIFT).text, p / 10, p % 10);
    bar(frames, total, c);
    kprintf("\n");
}

static void stage_row(const struct ledger_stage *stage)
{
    const struct pmm_stats *s = &stage->frames;
    kprintf("  %-18s %10llu %10llu %10llu %10llu  %s%s%s\n", stage->after,
            (unsigned long long)s->free, (unsigned long long)s->used,
            (unsigned long long)s->reserved, (unsigned long long)s->total,
            colour(stage->broken ? RED : GREEN), stage->broken ? "LOST" : "exact", colour(PLAIN));
    if (stage->broken)
        kprintf("  %s\n", stage->broken);
}

static void ledger_text(void)
{
    const struct ledger_stage now = ledger_now();
    kprintf("%s  ledger after             free       used   reserved      total%s\n", colour(BOLD),
            colour(PLAIN));
    for (unsigned i = 0; i < ledger.count; i++)
        stage_row(&ledger.stage[i]);
    stage_row(&now);
}

static void meminfo_text(const struct pmm_stats *s, const struct heap_stats *h, bool whole)
{
    kprintf("%s  physical memory         frames        size%s\n", colour(BOLD), colour(PLAIN));
    row("total", s->total, s->total, DIM);
    row("free", s->free, s->total, GREEN);
    row("used", s->used, s->total, YELLOW);
    row("reserved", s->reserved, s->total, BLUE);
    kprintf("%s  owners%s\n", colour(BOLD), colour(PLAIN));
    for (enum frame_owner o = OWNER_NONE + 1; o < OWNER_COUNT; o++) {
        if (s->owners[o])
            row(frame_owner_name(o), s->owners[o], s->total,
                o < OWNER_RESERVED_END ? BLUE : YELLOW);
    }
    kprintf("%s  heap%s   %s mapped, %s used in %zu blocks, %s free\n", colour(BOLD), colour(PLAIN),
            size_text(h->mapped).text, size_text(h->used).text, h->blocks, size_text(h->free).text);
    if (!whole)
        kprintf("  %sthe heap is damaged: what lies behind is not counted%s\n", colour(RED),
                colour(PLAIN));
    kprintf("%s  tables%s %zu\n", colour(BOLD), colour(PLAIN), kernel.aspace.tables);
    ledger_text();
}

bool report_meminfo(const struct shell_args *args)
{
    struct pmm_stats s;
    struct heap_stats h;
    pmm_counts(&kernel.pmm, &s);
    bool whole = heap_stats(&kernel.heap, &h);
    if (args->json)
        meminfo_json(&s, &h);
    else
        meminfo_text(&s, &h, whole);
    return !ledger_now().broken;
}

static void pmm_json(const struct pmm_stats *s, bool holds, const char *broken)
{
    struct json j;
    json_begin(&j, "pmm");
    json_number(&j, "total", s->total);
    json_number(&j, "free", s->free);
    json_number(&j, "used", s->used);
    json_number(&j, "reserved", s->reserved);
    json_number(&j, "largest_run", s->largest_run);
    json_array(&j, "runs");
    for (unsigned order = 0; order < PMM_ORDERS; order++)
        json_number(&j, NULL, s->runs[order]);
    json_end(&j);
    json_object(&j, "refused");
    json_number(&j, "double_free", s->refused[PMM_DOUBLE_FREE]);
    json_number(&j, "not_held", s->refused[PMM_NOT_HELD]);
    json_number(&j, "out_of_range", s->refused[PMM_OUT_OF_RANGE]);
    json_number(&j, "bad_argument", s->refused[PMM_BAD_ARGUMENT]);
    json_end(&j);
    json_number(&j, "metadata_bytes", s->metadata_bytes);
    json_bool(&j, "holds", holds);
    if (!holds)
        json_string(&j, "broken", broken);
    json_finish(&j);
}

static void pmm_text(const struct pmm_stats *s, bool holds, const char *broken)
{
    kprintf("  %llu frames: %llu free, %llu used, %llu reserved\n", (unsigned long long)s->total,
            (unsigned long long)s->free, (unsigned long long)s->used,
            (unsigned long long)s->reserved);
    kprintf("  longest free run %llu frames, %s\n", (unsigned long long)s->largest_run,
            size_text(s->largest_run << PAGE_SHIFT).text);
    kprintf("%s  free blocks by size%s\n  ", colour(BOLD), colour(PLAIN));
    for (unsigned order = 0; order < PMM_ORDERS; order++)
        kprintf("%6u%c", order < 8 ? 4u << order : 1u << (order - 8), order < 8 ? 'K' : 'M');
    kprintf("\n  ");
    for (unsigned order = 0; order < PMM_ORDERS; order++)
        kprintf("%7llu", (unsigned long long)s->runs[order]);
    kprintf("\n  refused: %llu double frees, %llu not held, %llu out of range, %llu bad\n",
            (unsigned long long)s->refused[0], (unsigned long long)s->refused[1],
            (unsigned long long)s->refused[2], (unsigned long long)s->refused[3]);
    kprintf("  metadata %s; invariants %s%s%s\n", size_text(s->metadata_bytes).text,
            colour(holds ? GREEN : RED), holds ? "hold" : broken, colour(PLAIN));
}

bool report_pmm(const struct shell_args *args)
{
    struct pmm_stats s;
    const char *broken = "";
    frames_settle();
    pmm_stats(&kernel.pmm, &s);
    bool holds = pmm_holds(&kernel.pmm, &broken);
    if (args->json)
        pmm_json(&s, holds, broken);
    else
        pmm_text(&s, holds, broken);
    return holds;
}
