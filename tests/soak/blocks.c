/* SPDX-License-Identifier: MIT */
/*
 * blocks.c - the heap, through kmalloc.h alone: contents, alignment, misuse, and memory running
 * out.
 *
 * The heap grows at a real address of this program, so that blocks can be written to; its pages are
 * mapped in a space of its own at the same address, and take frames from the common ones. Small
 * blocks are filled, of large ones both ends and a byte in each 64.
 */
#include "soak.h"

#include <string.h>
#include <sys/mman.h>

#include <mem/kmalloc.h>

enum { WIDE = sizeof(void *) == 8, BLOCKS = 16384, SMALL = 64, STRIDE = 64, WINDOW = 64 << 20 };
#define WINDOW_AT ((void *)(uintptr_t)(WIDE ? 0x200000000000 : 0x60000000))

/* Frames that growing may need beside the pages of the block: tables, the heap's own index, the
 * step in which it asks, and what it wants to see free before it tries. */
enum { SPARE_FRAMES = 48 };

static struct block_held {
    uint8_t *at;
    size_t size;
    uint8_t mark;
} block[BLOCKS];
static unsigned blocks;
static struct heap heap;
static size_t bytes_live;
static unsigned reports, expected_reports;
static enum heap_fault last_fault;

static void hear(const struct heap_report *r)
{
    reports++;
    last_fault = r->fault;
}

/* ---- contents ------------------------------------------------------------------------------- */

/* The last byte tells of the end of the block, whatever its size. */
static uint8_t end_mark(const struct block_held *b)
{
    return (uint8_t)(0xff - b->mark);
}

static size_t step_of(size_t size)
{
    return size <= SMALL ? 1 : STRIDE;
}

static void mark_block(struct block_held *b)
{
    b->mark = (uint8_t)soak_random();
    for (size_t i = 0; i < b->size; i += step_of(b->size))
        b->at[i] = (uint8_t)(b->mark + i / STRIDE);
    b->at[b->size - 1] = end_mark(b);
}

/* The first `size` bytes are as mark_block left them. */
static void check_block(const struct block_held *b, size_t size)
{
    bool right = size < b->size || b->at[b->size - 1] == end_mark(b);
    size_t end = size < b->size ? size : b->size - 1;
    for (size_t i = 0; i < end; i += step_of(b->size))
        right = right && b->at[i] == (uint8_t)(b->mark + i / STRIDE);
    if (!right)
        soak_wrong("block of %zu bytes at %p: its contents changed", b->size, (void *)b->at);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static size_t draw_size(void)
{
    unsigned kind = soak_below(256);
    if (kind == 0)
        return 1 + soak_below(512 << 10);
    return 1 + soak_below(kind < 12 ? 16 << 10 : kind < 96 ? 2048 : 256);
}

/* Nothing fits: only while frames for that many pages may be lacking. */
static void check_refusal(size_t size)
{
    soak.refused++;
    soak.dry++;
    if (ledger_count(OWNER_NONE) > (size >> PAGE_SHIFT) + SPARE_FRAMES)
        soak_wrong("%zu bytes refused while %zu frames are free", size,
                   (size_t)ledger_count(OWNER_NONE));
}

static void keep(void *at, size_t size, size_t align)
{
    soak_note((uintptr_t)at);
    if (!at) {
        check_refusal(size + align);
        return;
    }
    if ((uintptr_t)at % align || kmalloc_usable_size(at) < size)
        soak_wrong("%zu bytes at a multiple of %zu: got %p", size, align, at);
    block[blocks] = (struct block_held){at, size, 0};
    mark_block(&block[blocks++]);
    bytes_live += size;
}

static void allocate(void)
{
    size_t size = draw_size(), align = HEAP_ALIGN;
    unsigned how = soak_below(16);
    void *at;
    if (how == 0) {
        align = (size_t)HEAP_ALIGN << soak_below(9);
        at = kmalloc_aligned(align, size);
    } else if (how == 1) {
        at = kcalloc(size, 1);
        for (size_t i = 0; at && i < size; i++) {
            if (((uint8_t *)at)[i])
                soak_wrong("kcalloc of %zu bytes: byte %zu is not zero", size, i);
        }
    } else {
        at = kmalloc(size);
    }
    keep(at, size, align);
}

static void release(void)
{
    unsigned i = soak_below(blocks);
    struct block_held b = block[i];
    check_block(&b, b.size);
    block[i] = block[--blocks];
    bytes_live -= b.size;
    kfree(b.at);
}

static void resize(void)
{
    struct block_held *b = &block[soak_below(blocks)];
    size_t size = soak_below(4) ? draw_size() : b->size + soak_below(64);
    uint8_t *at = krealloc(b->at, size);
    soak_note((uintptr_t)at);
    if (!at) {
        check_refusal(size);
        check_block(b, b->size);
        return;
    }
    struct block_held moved = {at, b->size, b->mark};
    check_block(&moved, size);
    bytes_live += size - b->size;
    moved.size = size;
    mark_block(&moved);
    *b = moved;
}

/* A pointer into a block, or to none at all: refused by name, and the heap is as before. */
static void misuse(void)
{
    static uint64_t elsewhere[4];
    const struct block_held *b = &block[soak_below(blocks)];
    bool inside = b->size > 2 * HEAP_ALIGN && soak_below(2);
    kfree(inside ? b->at + HEAP_ALIGN : (uint8_t *)(elsewhere + 2));
    expected_reports++;
    soak.refused++;
    if (reports != expected_reports || last_fault != (inside ? HEAP_INTERIOR : HEAP_FOREIGN))
        soak_wrong("a wrong free: %u reports, %u expected, the last %s", reports, expected_reports,
                   heap_fault_name(last_fault));
    if (kmalloc(0) || kcalloc(SIZE_MAX / 2, 3) || kmalloc(SIZE_MAX - 20))
        soak_wrong("an impossible size was given");
}

/* ---- what main.c calls ---------------------------------------------------------------------- */

void blocks_start(void)
{
    if (mmap(WINDOW_AT, WINDOW, PROT_READ | PROT_WRITE,
             MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE | MAP_FIXED_NOREPLACE, -1, 0) != WINDOW_AT)
        soak_wrong("this program's memory at %p is taken", WINDOW_AT);
    enum mem_err err =
        kmalloc_init(&heap, pages_heap(), &soak_pages, ptr_vaddr(WINDOW_AT), WINDOW, hear);
    if (err)
        soak_wrong("no heap: %s", mem_err_name(err));
}

void blocks_call(void)
{
    uint64_t most = ((uint64_t)RAM_FRAMES << PAGE_SHIFT) * soak.want_heap / 16;
    bool more = blocks < BLOCKS && bytes_live < most;
    unsigned what = soak_below(4096);
    if (blocks && what == 0)
        misuse();
    else if (blocks && what < 512)
        resize();
    else if (blocks < BLOCKS && (what % 8 ? more : !more))
        allocate();
    else if (blocks)
        release();
}

/* Each page that the heap holds is mapped, to a frame that the ledger has for it. */
static void audit_frames(const struct heap_stats *s)
{
    uint64_t pages = 0;
    for (vword_t va = (vword_t)WINDOW_AT; va - (vword_t)WINDOW_AT < WINDOW; va += PAGE_SIZE) {
        paddr_t pa;
        if (translate(pages_heap(), VA(va), &pa))
            continue;
        if (ledger_owner(paddr_pfn(pa)) != OWNER_HEAP)
            soak_wrong("heap page %p is in a frame of %s", (void *)va,
                       frame_owner_name(ledger_owner(paddr_pfn(pa))));
        pages++;
    }
    if (pages != ledger_count(OWNER_HEAP) || pages != s->mapped >> PAGE_SHIFT)
        soak_wrong("the heap has %zu pages, it counts %zu, the ledger %zu", (size_t)pages,
                   s->mapped >> PAGE_SHIFT, (size_t)ledger_count(OWNER_HEAP));
}

void blocks_audit(void)
{
    const char *broken = NULL;
    struct heap_stats s;
    heap_stats(&heap, &s);
    if (!heap_check(&heap, &broken))
        soak_wrong("heap: %s", broken);
    if (s.blocks != blocks || s.used < bytes_live)
        soak_wrong("%u blocks of %zu bytes are live, the heap has %zu of %zu", blocks, bytes_live,
                   s.blocks, s.used);
    audit_frames(&s);
    for (unsigned i = 0; i < blocks; i++)
        check_block(&block[i], block[i].size);
    if (reports != expected_reports)
        soak_wrong("%u reports, %u expected", reports, expected_reports);
}

void blocks_finish(void)
{
    while (blocks)
        release();
    heap_trim(&heap);
}

uint64_t blocks_live(void)
{
    return blocks;
}

/* One byte of a live block changes. */
void blocks_plant(void)
{
    while (!blocks)
        allocate();
    block[0].at[block[0].size - 1] ^= 1;
}
