/* SPDX-License-Identifier: MIT */
/* oom_ledger.c - who holds each frame, by the sources and by the frame allocator; then and now. */
#include <string.h>

#include <mem/frames.h>

#include "mem/paging_table.h"
#include "oom_stack.h"

static void check_frame(size_t i)
{
    pfn_t frame = PFN(FAKE_FIRST + i);
    const struct boot_range *r = stack.map.ranges;
    while (r->last < pfn_paddr(frame).v)
        r++;
    bool ram = r->kind == RANGE_USABLE && r->start <= pfn_paddr(frame).v;
    CHECK(ram || owners[i] == OWNER_NONE);
    CHECK(pmm_is_free(&stack.pmm, frame) == (ram && owners[i] == OWNER_NONE));
}

static void check_sums(void)
{
    struct pmm_stats s;
    struct heap_stats h = {0};
    uint64_t sum[OWNER_COUNT] = {0}, owned = 0;
    pmm_counts(&stack.pmm, &s);
    if (stack.heap_started)
        heap_stats(&stack.heap, &h);
    for (unsigned i = 0; i < FAKE_FRAMES; i++)
        sum[owners[i]]++;
    sum[OWNER_LOW] = s.owners[OWNER_LOW]; /* no fake RAM there */
    for (unsigned o = OWNER_NONE + 1; o < OWNER_COUNT; o++) {
        CHECK(sum[o] == s.owners[o]);
        owned += sum[o];
    }
    CHECK(s.free + owned == s.total && s.used + s.reserved == owned);
    CHECK(s.total == bootmap_totals(&stack.map).usable_frames);
    CHECK(sum[OWNER_TABLE] == stack.as.tables + stack.user.tables);
    CHECK(sum[OWNER_HEAP] * PAGE == h.mapped);
}

static unsigned in_hand(void)
{
    return (stack.as.leaf.table != NULL) + (stack.user.leaf.table != NULL);
}

void check_everything(void)
{
    const char *broken = "";
    for (unsigned i = 0; i < FAKE_FRAMES; i++)
        check_frame(i);
    check_sums();
    CHECK(fake.kmaps == in_hand());
    frames_settle();
    bool holds = bootmap_holds(&stack.map, &broken) && pmm_holds(&stack.pmm, &broken) &&
                 paging_holds(&stack.as, &broken) &&
                 (!stack.heap_started || heap_check(&stack.heap, &broken)) &&
                 (!stack.user.root.v || paging_holds(&stack.user, &broken));
    if (!holds)
        oom_failed("invariant", 0, broken);
}

enum { TABLES_MAX = 256 };

static struct memory {
    enum frame_owner owner[FAKE_FRAMES];
    uint64_t table[TABLES_MAX][512]; /* by frame number */
    paddr_t root, user;
    unsigned tables;
    struct mmio_region region[MMIO_REGIONS];
    size_t regions, used, blocks, mapped;
    uint64_t heap;
} then, now;

/* The live count of the table in hand is in the struct; here it is where it will be. */
static void copy_table(uint64_t *to, pfn_t frame)
{
    memcpy(to, fake.ram[frame.v - FAKE_FIRST], PAGE);
    const struct paging_leaf *leaf[] = {&stack.as.leaf, &stack.user.leaf};
    for (unsigned i = 0; i < 2; i++) {
        if (leaf[i]->table && leaf[i]->frame.v == frame.v)
            set_live_count((entry_t *)(void *)to, (unsigned)leaf[i]->live);
    }
}

enum { SEEN_OF_A_BLOCK = 2048 };

/* Live blocks: where, how large, and what is in them. */
static bool add_block(void *ctx, const struct heap_block *b)
{
    uint64_t *hash = ctx;
    for (size_t i = 0; b->live && i < b->requested && i < SEEN_OF_A_BLOCK; i++)
        *hash = (*hash ^ ((const uint8_t *)b->payload)[i]) * 0x100000001b3u;
    if (b->live)
        *hash = (*hash ^ (uintptr_t)b->payload ^ b->size) * 0x100000001b3u;
    return true;
}

static void look(struct memory *m)
{
    struct heap_stats h = {0};
    if (stack.heap_started)
        heap_stats(&stack.heap, &h);
    memset(m->region, 0, sizeof m->region);
    memcpy(m->owner, owners, sizeof owners);
    unsigned tables = 0;
    for (unsigned i = 0; i < FAKE_FRAMES; i++) {
        CHECK(tables < TABLES_MAX);
        if (owners[i] == OWNER_TABLE)
            copy_table(m->table[tables++], PFN(FAKE_FIRST + i));
    }
    m->root = stack.as.root;
    m->user = stack.user.root;
    m->tables = tables;
    memcpy(m->region, stack.mmio.region, stack.mmio.count * sizeof m->region[0]);
    m->regions = stack.mmio.count;
    m->used = h.used;
    m->blocks = h.blocks;
    m->mapped = h.mapped;
    m->heap = 0;
    if (stack.heap_started)
        heap_walk(&stack.heap, add_block, &m->heap);
}

void remember(void)
{
    look(&then);
}

static bool same_tables(unsigned count)
{
    const uint64_t *a = then.table[0], *b = now.table[0];
    for (size_t i = 0; i < (size_t)count * 512; i++) {
        if (a[i] != b[i])
            return false;
    }
    return true;
}

void check_nothing_changed(void)
{
    look(&now);
    CHECK(memcmp(then.owner, now.owner, sizeof now.owner) == 0);
    CHECK(then.tables == now.tables && same_tables(now.tables));
    CHECK(memcmp(then.region, now.region, sizeof now.region) == 0 && then.regions == now.regions);
    CHECK(then.root.v == now.root.v && then.user.v == now.user.v);
    CHECK(then.used == now.used && then.blocks == now.blocks && then.mapped == now.mapped);
    CHECK(then.heap == now.heap);
}
