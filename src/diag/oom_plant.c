/* SPDX-License-Identifier: MIT */
/*
 * oom_plant.c - exercises with a mistake: each must be noticed, by the rule that is there for it.
 *
 * Every one is run as any other exercise is, and its mistake is taken back afterwards.
 */
#include <mem/kmalloc.h>
#include <mem/kmap.h>
#include <platform.h>

#include "diag/oom.h"
#include "diag/refuse.h"
#include "kernel.h"
#include "lib/string.h"

static pfn_t spare, kept; /* a frame held from before; one that an exercise took */
static uint8_t *block;    /* of the heap, likewise from before                   */
static void *slot;

/* By way of the window, where no sanitizer minds. */
static void flip(paddr_t pa, uint8_t bits)
{
    uint8_t *page = kmap(paddr_pfn(pa));
    page[pa.v & (PAGE_SIZE - 1)] ^= bits;
    kunmap(page);
}

/* ---- mistakes, and how each is taken back ---------------------------------------------------- */

static enum mem_err keep_a_frame(void)
{
    kept = test_frame_take();
    return pfn_is_none(kept) ? MEM_NO_FRAME : MEM_OK;
}

static void give_it_back(void)
{
    test_frame_give(kept);
}

/* The counts are right, and yet it is not the frame that was free. */
static enum mem_err keep_another_frame(void)
{
    if (keep_a_frame())
        return MEM_NO_FRAME;
    test_frame_give(spare);
    spare = kept;
    return MEM_OK;
}

static enum mem_err rename_spare(enum frame_owner from, enum frame_owner to)
{
    enum mem_err err = frames_give(spare, from);
    frames_settle();
    return err ? err : pmm_reserve(&kernel.pmm, spare, 1, to);
}

static enum mem_err rename_a_frame(void)
{
    return rename_spare(OWNER_TEST, OWNER_USER);
}

static void name_it_again(void)
{
    enum mem_err err = rename_spare(OWNER_USER, OWNER_TEST);
    if (err)
        platform_complain("a frame that was planted: %s", mem_err_name(err));
}

/* A bit of an entry that the CPU ignores and we do not use there: 9, near the block's own page. */
static void flip_in_table(void)
{
    struct walk w;
    paging_walk(&kernel.aspace, VA(ptr_vaddr(block).v | 8 << PAGE_SHIFT), &w);
    flip(paddr_add(w.step[w.steps - 1].entry_pa, 1), 1 << 1);
}

static enum mem_err change_a_table(void)
{
    flip_in_table();
    return MEM_OK;
}

static void flip_in_header(void)
{
    struct walk w;
    paging_walk(&kernel.aspace, ptr_vaddr(block - 8), &w);
    flip(w.pa, 0x10);
}

static enum mem_err damage_a_header(void)
{
    flip_in_header();
    return MEM_OK;
}

static enum mem_err lose_a_slot(void)
{
    slot = kmap(spare);
    return MEM_OK;
}

static void find_it(void)
{
    kunmap(slot);
}

static enum mem_err refuse_unasked(void)
{
    return MEM_NO_FRAME;
}

static enum mem_err answer_wrongly(void)
{
    pfn_t frame = test_frame_take();
    if (pfn_is_none(frame))
        return MEM_NOT_MAPPED;
    test_frame_give(frame);
    return MEM_OK;
}

static void nothing(void)
{
}

static const struct plant {
    struct selftest test;
    void (*undo)(void);
    const char *rule;
} plants[] = {
    {{"a refusal that nobody caused", refuse_unasked}, nothing, "E1"},
    {{"a refusal with another name", answer_wrongly}, nothing, "E1"},
    {{"a frame that is kept", keep_a_frame}, give_it_back, "E2"},
    {{"a frame in place of another", keep_another_frame}, nothing, "E2"},
    {{"a frame under another name", rename_a_frame}, name_it_again, "E2"},
    {{"a bit of a page table", change_a_table}, flip_in_table, "E3"},
    {{"a slot of the window", lose_a_slot}, find_it, "E3"},
    {{"a byte of a header in the heap", damage_a_header}, flip_in_header, "H1"},
};

/* Where all RAM is mapped there are no slots to lose. */
static bool can_be_made(const struct plant *p)
{
    struct kmap_stats window;
    kmap_stats(&window);
    return p->undo != find_it || window.slots;
}

static const char *noticed(const struct plant *p)
{
    struct oom_tally tally;
    const char *broken = oom_remember();
    if (!broken)
        broken = oom_exercise(&p->test, true, &tally);
    p->undo();
    return broken && strncmp(broken, p->rule, 2) == 0 ? broken : NULL;
}

const char *oom_plant(void (*tell)(void *ctx, const char *name, const char *noticed), void *ctx)
{
    const char *missed = NULL;
    spare = test_frame_take();
    block = kmalloc(64);
    for (unsigned i = 0; i < sizeof plants / sizeof plants[0]; i++) {
        const struct plant *p = &plants[i];
        if (!can_be_made(p))
            continue;
        const char *by = noticed(p);
        missed = by ? missed : p->test.name;
        if (tell)
            tell(ctx, p->test.name, by);
    }
    kfree(block);
    test_frame_give(spare);
    return missed;
}
