/* SPDX-License-Identifier: MIT */
/*
 * heap_guard.c - what the heap checks before it believes a pointer, and how it names what is wrong.
 *
 * Nothing here changes the heap, but for the count of faults: a call that is refused leaves all as
 * it was.
 */
#include "heap_block.h"

const char *heap_fault_name(enum heap_fault fault)
{
    static const char *const names[HEAP_FAULT_COUNT] = {
        "no fault",         "double free",        "foreign pointer",
        "interior pointer", "misaligned pointer", "damaged header",
        "overrun",          "underrun",           "write after free",
    };
    return (unsigned)fault < HEAP_FAULT_COUNT ? names[fault] : "unknown fault";
}

const void *block_caller(const struct heap *h, const struct block *b)
{
    if (!WIDE || !block_is_live(b))
        return NULL;
    return (const void *)(h->caller_base + (uintptr_t)(b->word[PREVIOUS_WORD] >> CALLER_SHIFT));
}

/* ---- reports -------------------------------------------------------------------------------- */

static enum heap_fault report(struct heap *h, enum heap_fault fault, const void *address,
                              const struct block *b, const void *caller)
{
    struct heap_report r = {.fault = fault, .address = address, .caller = caller};
    if (b && fault != HEAP_BAD_HEADER) {
        r.block = block_payload(b);
        r.live = block_is_live(b);
        r.size = block_payload_bytes(b) - block_slack(b);
        r.allocated_by = block_caller(h, b);
    }
    h->stats.faults[fault]++;
    if (h->ops.report)
        h->ops.report(h->ops.ctx, &r);
    return fault;
}

/* The block whose tile holds `address`: only for reports, so a walk will do. */
static const struct block *tile_of(const struct heap *h, const void *address)
{
    const struct block *b = heap_first(h);
    while (b < heap_last(h) && block_is_intact(h, b) && block_units(b)) {
        if ((const uint8_t *)address < (const uint8_t *)block_after(b))
            return b;
        b = block_after(b);
    }
    return NULL;
}

/*
 * `p` is aligned and inside the heap, yet what stands before it is no sound header of a live block:
 * say what it is. A check of few bits can match by accident; the walk decides.
 */
static enum heap_fault name_fault(struct heap *h, const void *p, const void *caller)
{
    const struct block *tile = tile_of(h, p);
    if (!tile)
        return report(h, HEAP_BAD_HEADER, p, NULL, caller);
    if (!block_is_live(tile))
        return report(h, HEAP_DOUBLE_FREE, p, tile, caller);
    if (block_payload(tile) != p)
        return report(h, HEAP_INTERIOR, p, tile, caller);
    const struct block *next = block_after(tile);
    bool next_is_damaged = !block_is_intact(h, next) || block_previous(next) != block_units(tile);
    return report(h, next_is_damaged ? HEAP_OVERRUN : HEAP_BAD_HEADER, p, tile, caller);
}

/* Neighbours must be intact and agree about the border. */
static bool neighbours_agree(const struct heap *h, const struct block *b)
{
    const struct block *after = block_after(b);
    if (after <= b || after > heap_last(h) || !block_is_intact(h, after) ||
        block_previous(after) != block_units(b))
        return false;
    if (b == heap_first(h))
        return block_previous(b) == 0;
    const struct block *before = block_before(b);
    return before >= heap_first(h) && before < b && block_is_intact(h, before) &&
           block_units(before) == block_previous(b);
}

static bool slack_is_intact(const struct block *b)
{
    const uint8_t *end = (const uint8_t *)block_after(b);
    for (size_t i = block_slack(b); i > 0; i--) {
        if (*(end - i) != CANARY)
            return false;
    }
    return true;
}

/* The live block that starts at `p`, or NULL and a report. */
struct block *heap_check_live(struct heap *h, const void *p, const void *caller,
                              enum heap_fault *fault)
{
    const uint8_t *at = p;
    *fault = HEAP_OK;
    if (at < (uint8_t *)block_payload(heap_first(h)) || at >= (uint8_t *)heap_last(h))
        *fault = report(h, HEAP_FOREIGN, p, NULL, caller);
    else if ((uintptr_t)p % HEAP_ALIGN)
        *fault = report(h, HEAP_MISALIGNED, p, tile_of(h, p), caller);
    if (*fault)
        return NULL;

    struct block *b = block_of(p);
    if (!block_is_live(b) || !block_is_intact(h, b) ||
        (HEAP_HARDEN >= 2 && !neighbours_agree(h, b)))
        *fault = name_fault(h, p, caller);
    else if (HEAP_HARDEN >= 2 && !slack_is_intact(b))
        *fault = report(h, HEAP_OVERRUN, p, b, caller);
    return *fault ? NULL : b;
}

static bool fill_is_intact(const struct block *b)
{
    const uint8_t *at = block_payload(b);
    for (size_t i = NODE; HEAP_HARDEN >= 3 && i < block_payload_bytes(b); i++) {
        if (at[i] != FREED)
            return false;
    }
    return true;
}

bool heap_free_block_is_sound(struct heap *h, struct block *b, const void *caller)
{
    if (HEAP_HARDEN >= 2 && (!block_is_intact(h, b) || !neighbours_agree(h, b)))
        report(h, HEAP_BAD_HEADER, block_payload(b), NULL, caller);
    else if (!fill_is_intact(b))
        report(h, HEAP_WRITE_AFTER_FREE, block_payload(b), b, caller);
    else
        return true;
    return false;
}
