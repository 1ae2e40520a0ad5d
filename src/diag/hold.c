/* SPDX-License-Identifier: MIT */
/* hold.c - see hold.h. Runs are powers of two, the longest first; the last frames come singly. */
#include "diag/hold.h"

#include <mem/frames.h>
#include <mem/kmap.h>

#include "diag/refuse.h"

struct link {
    pfn_t next;
    size_t frames;
};

static void push(struct hold *hold, pfn_t first, size_t frames)
{
    struct link *link = kmap(first);
    *link = (struct link){hold->first, frames};
    kunmap(link);
    hold->first = first;
}

static struct link pop(struct hold *hold)
{
    struct link *shown = kmap(hold->first), link = *shown;
    kunmap(shown);
    hold->first = link.next;
    return link;
}

/* MEM_NO_FRAME: refused. A run that is not there is no error: shorter ones are. */
static enum mem_err take_run(struct hold *hold, size_t frames, bool *there)
{
    pfn_t first;
    const struct pmm_run_request want = {.frames = frames};
    *there = !frames_take_run(&want, OWNER_TEST, &first);
    if (*there && refuse_this()) {
        enum mem_err err = frames_give_run(first, frames, OWNER_TEST);
        return err ? err : MEM_NO_FRAME;
    }
    if (*there)
        push(hold, first, frames);
    return MEM_OK;
}

static uint64_t too_many(uint64_t left)
{
    uint64_t free = frames_free();
    return free > left ? free - left : 0;
}

enum mem_err hold_all_but(struct hold *hold, uint64_t left)
{
    unsigned order = 63 - (unsigned)__builtin_clzll(too_many(left) | 1);
    for (uint64_t more; (more = too_many(left)) != 0;) {
        bool there = false;
        enum mem_err err = more >> order ? take_run(hold, (size_t)1 << order, &there) : MEM_OK;
        if (err)
            return err;
        if (!there && !order--)
            return MEM_NO_FRAME; /* fewer are there than are counted: the ledger will say so */
    }
    return MEM_OK;
}

enum mem_err hold_let_go(struct hold *hold)
{
    enum mem_err worst = MEM_OK;
    while (!pfn_is_none(hold->first)) {
        pfn_t first = hold->first;
        enum mem_err err = frames_give_run(first, pop(hold).frames, OWNER_TEST);
        worst = worst ? worst : err;
    }
    return worst;
}
