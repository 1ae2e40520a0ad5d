/* SPDX-License-Identifier: MIT */
/*
 * fuzz_heap.c - any sequence of calls, hostile ones among them, against a list of live blocks.
 *
 * Only heap.h is used. What the heap gives must lie in held pages, be aligned, large enough, and
 * touch no other live block; contents stay until free; a refused call changes nothing; what is no
 * live block is refused with one report. The owner may refuse to grow at any time. The last call
 * may damage a block by one bit, which freeing it must notice. In the end all is given back.
 */
#include <limits.h>

#include <mem/heap.h>

#include "fuzz.h"

enum { WINDOW = 4 << 20, SLOTS = 48, GONE = 16, PAGE = 4096, CALLS = 300, EDGE = 512 };

static uint8_t window[WINDOW] __attribute__((aligned(4096)));
static struct heap heap;

static struct {
    uint8_t *at;
    size_t size;
    uint8_t fill;
} slot[SLOTS];
static uint8_t *gone[GONE]; /* freed some time ago */
static unsigned live, next_gone;

/* ---- the owner ------------------------------------------------------------------------------ */

static struct {
    bool page[WINDOW / PAGE];
    unsigned credit; /* so many requests are granted */
    size_t held;
    unsigned reports;
    enum heap_fault last;
} owner;

static void mark(void *at, size_t bytes, bool was)
{
    size_t offset = (size_t)((uint8_t *)at - window);
    CLAIM(offset < WINDOW && offset % PAGE == 0, "pages at %zx", offset);
    CLAIM(bytes && bytes % PAGE == 0 && bytes <= WINDOW - offset, "%zx bytes", bytes);
    for (size_t i = offset / PAGE; i < (offset + bytes) / PAGE; i++) {
        CLAIM(owner.page[i] == was, "page %zu", i);
        owner.page[i] = !was;
    }
    owner.held += was ? -bytes : bytes;
    memset(at, was ? 0xee : 0xd5, bytes);
}

static bool grow(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    if (!owner.credit)
        return false;
    owner.credit--;
    mark(at, bytes, false);
    return true;
}

static void shrink(void *ctx, void *at, size_t bytes)
{
    (void)ctx;
    mark(at, bytes, true);
}

static void report(void *ctx, const struct heap_report *r)
{
    (void)ctx;
    owner.reports++;
    owner.last = r->fault;
}

/* ---- blocks --------------------------------------------------------------------------------- */

static size_t edge(size_t size)
{
    return size < EDGE ? size : EDGE;
}

/* Both ends of a block; what lies between may be what the heap left there. */
static void fill(unsigned s)
{
    memset(slot[s].at, slot[s].fill, edge(slot[s].size));
    memset(slot[s].at + slot[s].size - edge(slot[s].size), slot[s].fill, edge(slot[s].size));
}

static void contents(const uint8_t *at, size_t size, uint8_t byte)
{
    for (size_t i = 0; i < edge(size); i++)
        CLAIM(at[i] == byte, "byte %zu is %02x, not %02x", i, at[i], byte);
}

static void is_whole(unsigned s)
{
    contents(slot[s].at, slot[s].size, slot[s].fill);
    contents(slot[s].at + slot[s].size - edge(slot[s].size), slot[s].size, slot[s].fill);
}

/* May the heap give [at, at + size)? */
static void is_sound(const uint8_t *at, size_t size, size_t align, unsigned ours)
{
    size_t offset = (size_t)(at - window);
    CLAIM(at >= window && offset < WINDOW && size <= WINDOW - offset, "%zx + %zx", offset, size);
    CLAIM((uintptr_t)at % (align < HEAP_ALIGN ? HEAP_ALIGN : align) == 0, "%zx at %zx", align,
          offset);
    for (size_t i = offset / PAGE; i <= (offset + size - 1) / PAGE; i++)
        CLAIM(owner.page[i], "page %zu is not held", i);
    for (unsigned s = 0; s < SLOTS; s++) {
        CLAIM(s == ours || !slot[s].at || at >= slot[s].at + slot[s].size ||
                  slot[s].at >= at + size,
              "%zx overlaps block %u", offset, s);
    }
}

static void take(unsigned s, void *at, size_t size, size_t align)
{
    is_sound(at, size, align, s);
    live += !slot[s].at;
    slot[s].at = at;
    slot[s].size = size;
    slot[s].fill = 0x31 + s % 4;
    fill(s);
    CLAIM(heap_usable_size(&heap, at, NULL) >= size, "usable %zu of %zu",
          heap_usable_size(&heap, at, NULL), size);
}

static void drop(unsigned s)
{
    gone[next_gone++ % GONE] = slot[s].at;
    slot[s].at = NULL;
    live--;
}

static bool is_live(const void *p)
{
    for (unsigned s = 0; s < SLOTS; s++) {
        if (slot[s].at == p && p)
            return true;
    }
    return false;
}

static void holds(void)
{
    const char *broken;
    struct heap_stats now;
    CLAIM(heap_check(&heap, &broken), "%s", broken);
    heap_stats(&heap, &now);
    CLAIM(now.mapped == owner.held, "%zu mapped, %zu held", now.mapped, owner.held);
    CLAIM(now.blocks == live, "%zu blocks, not %u", now.blocks, live);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static size_t pick_size(struct choices *c)
{
    static const size_t odd[] = {0,          SIZE_MAX, SIZE_MAX - 8, SIZE_MAX / 2, WINDOW,
                                 WINDOW / 2, 1u << 14, 16384 - 16,   65536};
    uint8_t how = pick8(c);
    switch (how >> 6) {
    case 0:
        return how & 63;
    case 1:
        return pick8(c) * 8u + (how & 7);
    case 2:
        return pick16(c);
    default:
        return odd[how % 9];
    }
}

static void call_alloc(struct choices *c, unsigned s, bool aligned)
{
    size_t size = pick_size(c), align = 1;
    uint8_t shift = aligned ? pick8(c) : 0;
    if (slot[s].at)
        return;
    align = shift & 0x80 ? shift * 3u : (size_t)1 << shift % (8 * sizeof align);
    void *at =
        aligned ? heap_alloc_aligned(&heap, align, size, NULL) : heap_alloc(&heap, size, NULL);
    if (!at)
        CLAIM(!size || size > 256 || align > 256 || owner.credit < 4 || owner.held > WINDOW / 2,
              "%zu bytes refused", size);
    else
        take(s, at, size, align);
}

static void call_realloc(struct choices *c, unsigned s)
{
    size_t size = pick_size(c), before = slot[s].size;
    uint8_t byte = slot[s].fill, *old = slot[s].at;
    uint8_t *at = heap_realloc(&heap, old, size, NULL);
    if (!at) {
        if (old)
            is_whole(s);
        return;
    }
    CLAIM(size, "a block of no size");
    is_sound(at, size, 1, s);
    if (old) {
        contents(at, size < before ? size : before, byte);
        if (size >= before)
            contents(at + before - edge(before), before, byte);
    }
    if (old && old != at)
        gone[next_gone++ % GONE] = old;
    take(s, at, size, 1);
}

static void call_free(unsigned s)
{
    if (slot[s].at)
        is_whole(s);
    enum heap_fault fault = heap_free(&heap, slot[s].at, NULL);
    CLAIM(fault == HEAP_OK, "%s", heap_fault_name(fault));
    if (slot[s].at)
        drop(s);
}

/* Something that is no live block: near one, one of old, or anywhere. */
static uint8_t *pick_stray(struct choices *c, unsigned s)
{
    static uint8_t elsewhere[64] __attribute__((aligned(16)));
    uint8_t how = pick8(c);
    switch (how % 6) {
    case 0:
        return gone[(how >> 3) % GONE];
    case 1:
        return slot[s].at ? slot[s].at + 16 * (size_t)pick8(c) : NULL;
    case 2:
        return slot[s].at ? slot[s].at - (how >> 2) : NULL;
    case 3:
        return window + pick32(c) % WINDOW;
    case 4:
        return elsewhere + (how & 32);
    default:
        return (uint8_t *)((uintptr_t)(int8_t)pick8(c) << (how >> 3));
    }
}

static void call_stray(struct choices *c, unsigned s)
{
    uint8_t *p = pick_stray(c, s), how = pick8(c);
    struct heap_stats before, now;
    if (!p || is_live(p))
        return;
    unsigned reports = owner.reports;
    heap_stats(&heap, &before);
    if (how % 4 == 0)
        CLAIM(!heap_usable_size(&heap, p, NULL), "the size of a stray pointer");
    else if (how % 4 == 1)
        CLAIM(!heap_realloc(&heap, p, 1 + how, NULL), "a stray pointer was resized");
    else
        CLAIM(heap_free(&heap, p, NULL) != HEAP_OK, "a stray pointer was freed");
    CLAIM(owner.reports == reports + 1 && owner.last != HEAP_OK, "no report");
    heap_stats(&heap, &now);
    memcpy(now.faults, before.faults, sizeof now.faults);
    now.refused = before.refused;
    CLAIM(!memcmp(&now, &before, sizeof now), "a stray pointer changed something");
}

struct behind {
    const void *block;
    bool passed, live;
};

static bool look_behind(void *ctx, const struct heap_block *b)
{
    struct behind *behind = ctx;
    behind->live = behind->passed && b->live;
    if (behind->passed)
        return false;
    behind->passed = b->payload == behind->block;
    return true;
}

/* Is what stands behind the payload the heap's: a canary, or the header of a live block? */
static bool is_guarded(unsigned s)
{
    struct behind behind = {.block = slot[s].at};
    heap_walk(&heap, look_behind, &behind);
    return heap_usable_size(&heap, slot[s].at, NULL) > slot[s].size || behind.live;
}

/* One bit of the header, or of the byte behind the payload. Nothing is promised of later calls. */
static void damage(struct choices *c, unsigned s)
{
    uint8_t how = pick8(c), bit = (uint8_t)(1 << how % 8);
    if (!slot[s].at || HEAP_HARDEN < 2)
        return;
    if (!(how & 8))
        slot[s].at[-1 - (how >> 4) % 8] ^= bit;
    else if (is_guarded(s))
        slot[s].at[slot[s].size] ^= bit;
    else
        return;
    CLAIM(heap_free(&heap, slot[s].at, NULL) != HEAP_OK, "damage was not noticed");
    CLAIM(owner.reports, "no report");
}

/* False: the heap is damaged now. */
static bool call(struct choices *c)
{
    uint8_t what = pick8(c), s = pick8(c) % SLOTS;
    switch (what % 16) {
    case 0 ... 3:
        call_alloc(c, s, false);
        break;
    case 4:
        call_alloc(c, s, true);
        break;
    case 5 ... 7:
        call_free(s);
        break;
    case 8:
    case 9:
        call_realloc(c, s);
        break;
    case 10:
    case 11:
        call_stray(c, s);
        break;
    case 12:
        heap_trim(&heap);
        break;
    case 13:
        owner.credit = what & 16 ? what >> 5 : UINT_MAX;
        break;
    case 14:
        for (unsigned i = s; i < SLOTS; i += 1 + (what >> 5))
            call_free(i);
        break;
    default:
        if (what == 0xff && c->at + 2 > c->end) {
            damage(c, s);
            return false;
        }
    }
    return true;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    static const struct heap_ops ops = {grow, shrink, report, NULL};
    struct choices c = {data, data + bytes};
    memset(&owner, 0, sizeof owner);
    owner.credit = UINT_MAX;
    memset(&heap, 0, sizeof heap);
    memset(slot, 0, sizeof slot);
    memset(gone, 0, sizeof gone);
    live = next_gone = 0;
    CLAIM(heap_init(&heap, window, WINDOW, &ops) == MEM_OK, "init");
    size_t at_first = owner.held;
    for (unsigned n = 0; n < CALLS && more(&c); n++) {
        if (!call(&c))
            return 0;
        holds();
    }
    for (unsigned s = 0; s < SLOTS; s++)
        call_free(s);
    heap_trim(&heap);
    holds();
    CLAIM(owner.held == at_first, "%zu bytes held, not %zu", owner.held, at_first);
    return 0;
}
