/* SPDX-License-Identifier: MIT */
/*
 * frames.c - single frames, with the cache and without it, and runs; each held frame is stamped.
 *
 * A stamp is a word at both ends of the frame that depends on its number: whoever else writes to a
 * held frame, a page table among them, is seen when the frame goes back.
 */
#include "soak.h"

#include <string.h>

enum { RUNS = 96, RUN_FRAMES = 40 };

static pfn_t single[RAM_FRAMES];
static unsigned singles;
static struct run {
    pfn_t first;
    size_t frames;
} run[RUNS];
static unsigned runs;
static uint64_t total;

static uint64_t stamp_of(pfn_t frame)
{
    return (frame.v + 1) * 0x9e3779b97f4a7c15u ^ soak.seed;
}

static void write_stamp(pfn_t frame)
{
    uint64_t stamp = stamp_of(frame);
    memcpy(machine_ram(frame), &stamp, 8);
    memcpy(machine_ram(frame) + 4088, &stamp, 8);
}

static void check_stamp(pfn_t frame)
{
    uint64_t stamp = stamp_of(frame);
    if (memcmp(machine_ram(frame), &stamp, 8) || memcmp(machine_ram(frame) + 4088, &stamp, 8))
        soak_wrong("frame 0x%zx was written to while it was held", (size_t)frame.v);
}

/* ---- single frames -------------------------------------------------------------------------- */

/* Past the cache: what it hides is found when there is nothing else. */
static pfn_t take_directly(void)
{
    pfn_t frame = pmm_alloc(&soak_pmm, OWNER_TEST);
    if (!pfn_is_none(frame))
        ledger_move(frame, OWNER_NONE, OWNER_TEST);
    else if (ledger_count(OWNER_NONE))
        soak_wrong("pmm_alloc found none of %zu free frames", (size_t)ledger_count(OWNER_NONE));
    return frame;
}

static void take_single(void)
{
    pfn_t frame = soak_below(2) ? frames_take(OWNER_TEST) : take_directly();
    soak_note(frame.v);
    if (pfn_is_none(frame)) {
        soak.refused++;
        soak.dry++;
        return;
    }
    write_stamp(frame);
    single[singles++] = frame;
}

static void give_frame(pfn_t frame, bool directly)
{
    check_stamp(frame);
    if (directly)
        ledger_move(frame, OWNER_TEST, OWNER_NONE);
    enum mem_err err =
        directly ? pmm_free(&soak_pmm, frame, OWNER_TEST) : frames_give(frame, OWNER_TEST);
    if (err)
        soak_wrong("frame 0x%zx refused: %s", (size_t)frame.v, mem_err_name(err));
}

static void give_single(void)
{
    unsigned i = soak_below(singles);
    pfn_t frame = single[i];
    single[i] = single[--singles];
    give_frame(frame, soak_below(2));
}

/* What nobody holds, or what is no RAM: refused, and nothing changes. */
static void give_wrongly(void)
{
    pfn_t frame = PFN(soak_below(RAM_FRAMES + 100));
    if (ledger_owner(frame) != OWNER_NONE)
        return;
    enum mem_err err =
        soak_below(2) ? frames_give(frame, OWNER_TEST) : pmm_free(&soak_pmm, frame, OWNER_TEST);
    if (err != (ledger_has(frame) ? MEM_NOT_HELD : MEM_OUT_OF_RANGE))
        soak_wrong("frame 0x%zx, held by nobody, given back: %s", (size_t)frame.v,
                   mem_err_name(err));
    soak.refused++;
}

/* ---- runs ----------------------------------------------------------------------------------- */

static bool fits(vword_t first, const struct pmm_run_request *want)
{
    if (first + want->frames > want->below >> PAGE_SHIFT)
        return false;
    for (size_t i = 0; i < want->frames; i++) {
        if (!ledger_has(PFN(first + i)) || ledger_owner(PFN(first + i)) != OWNER_NONE)
            return false;
    }
    return true;
}

static bool exists(const struct pmm_run_request *want)
{
    if (ledger_count(OWNER_NONE) < want->frames)
        return false;
    for (vword_t f = 0; f < RAM_FRAMES; f += (vword_t)1 << want->align_log2) {
        if (fits(f, want))
            return true;
    }
    return false;
}

static void keep_run(const struct pmm_run_request *want, pfn_t first)
{
    if (first.v % (1u << want->align_log2) || first.v + want->frames > want->below >> PAGE_SHIFT)
        soak_wrong("a run at 0x%zx is not what was asked for", (size_t)first.v);
    for (size_t i = 0; i < want->frames; i++) {
        ledger_move(pfn_add(first, i), OWNER_NONE, OWNER_TEST);
        write_stamp(pfn_add(first, i));
    }
    run[runs++] = (struct run){first, want->frames};
}

/* A run that exists is always found: that is asked of the ledger when none was. */
static void take_run(void)
{
    struct pmm_run_request want = {
        .frames = soak_below(64) ? 1 + soak_below(RUN_FRAMES) : PMM_BLOCK,
        .align_log2 = soak_below(6),
        .below = soak_below(4) ? (uint64_t)RAM_FRAMES << PAGE_SHIFT : 24u << 20,
    };
    pfn_t first = PFN_NONE;
    enum mem_err err = frames_take_run(&want, OWNER_TEST, &first);
    soak_note(first.v ^ err);
    if (!err) {
        keep_run(&want, first);
        return;
    }
    if (err != MEM_NO_FRAME || exists(&want))
        soak_wrong("no run of %zu frames, though there is one: %s", want.frames, mem_err_name(err));
    soak.refused++;
    soak.dry++;
}

/* The whole run, or its end, and then its rest. */
static void give_run(void)
{
    unsigned i = soak_below(runs);
    size_t frames = soak_below(4) ? run[i].frames : 1 + soak_below((uint32_t)run[i].frames);
    pfn_t first = pfn_add(run[i].first, run[i].frames - frames);
    for (size_t f = 0; f < frames; f++) {
        check_stamp(pfn_add(first, f));
        ledger_move(pfn_add(first, f), OWNER_TEST, OWNER_NONE);
    }
    enum mem_err err = frames_give_run(first, frames, OWNER_TEST);
    if (err)
        soak_wrong("run at 0x%zx refused: %s", (size_t)first.v, mem_err_name(err));
    run[i].frames -= frames;
    if (!run[i].frames)
        run[i] = run[--runs];
}

/* ---- what main.c calls ---------------------------------------------------------------------- */

void frames_start(void)
{
    total = ledger_count(OWNER_NONE);
}

void frames_call(void)
{
    bool more = ledger_count(OWNER_TEST) < total * soak.want_frames / 16;
    unsigned what = soak_below(64);
    if (what == 0)
        give_wrongly();
    else if (what < 6 && more && runs < RUNS)
        take_run();
    else if (what < 10 && runs && (!more || soak_below(4) == 0))
        give_run();
    else if (soak_below(8) ? more : !more)
        take_single();
    else if (singles)
        give_single();
}

void frames_audit(void)
{
    uint64_t held = singles;
    for (unsigned i = 0; i < runs; i++)
        held += run[i].frames;
    if (held != ledger_count(OWNER_TEST))
        soak_wrong("%zu frames are held, the ledger has %zu", (size_t)held,
                   (size_t)ledger_count(OWNER_TEST));
    for (unsigned i = 0; i < singles; i++)
        check_stamp(single[i]);
}

void frames_finish(void)
{
    while (singles)
        give_single();
    while (runs)
        give_run();
}

/* One frame is taken, and the ledger is not told. */
void frames_plant(void)
{
    while (pfn_is_none(pmm_alloc(&soak_pmm, OWNER_TEST)))
        give_single();
}
