/* SPDX-License-Identifier: MIT */
#include "oom_calls.h"

#include <string.h>

#include <mem/kmalloc.h>
#include <mem/preflight.h>

static void must(enum mem_err err)
{
    if (err)
        oom_failed(oom_doing, 0, mem_err_name(err));
}

#define AT(offset) VA(TEST_BASE + (vword_t)(offset))

/* ---- mapping --------------------------------------------------------------------------------- */

static enum mem_err one_page(void)
{
    return map_page(&stack.as, AT(0), PA(0x123000), MAP_WRITE);
}

static void unmap_one_page(void)
{
    must(unmap_page(&stack.as, AT(0), NULL));
}

/* Small pages across borders of tables on every level, so that each of them is missing once. */
#define WIDE_BORDER ((vword_t)(WIDE ? (vword_t)1 << 39 : LARGE) - PAGE)

static enum mem_err small_pages(void)
{
    return map_range(&stack.as, AT(WIDE_BORDER), PA(0x5000), 3 * LARGE, MAP_NO_LARGE);
}

static void unmap_small_pages(void)
{
    must(unmap_range(&stack.as, AT(WIDE_BORDER), 3 * LARGE));
}

/* [small][  large  ][  large  ][small] */
static enum mem_err mixed_pages(void)
{
    return map_range(&stack.as, AT(LARGE - 2 * PAGE), PA(2 * LARGE - 2 * PAGE),
                     2 * LARGE + 5 * PAGE, MAP_WRITE);
}

static void unmap_mixed_pages(void)
{
    must(unmap_range(&stack.as, AT(LARGE - 2 * PAGE), 2 * LARGE + 5 * PAGE));
}

static enum mem_err frames_one_by_one(void)
{
    return map_frames(&stack.as, AT(LARGE - 20 * PAGE), 40, MAP_WRITE, &stack.frames);
}

static void unmap_frames_again(void)
{
    must(unmap_frames(&stack.as, AT(LARGE - 20 * PAGE), 40, &stack.frames));
}

/* ---- changing part of what large pages map --------------------------------------------------- */

static void large_pages(void)
{
    must(map_range(&stack.as, AT(0), PA(4 * LARGE), 4 * LARGE, MAP_WRITE));
}

static enum mem_err unmap_the_middle(void)
{
    return unmap_range(&stack.as, AT(LARGE / 2), 2 * LARGE);
}

static enum mem_err protect_the_middle(void)
{
    return protect_range(&stack.as, AT(LARGE / 2), 2 * LARGE, MAP_READ);
}

static enum mem_err unmap_within_one(void)
{
    return unmap_range(&stack.as, AT(5 * PAGE), 3 * PAGE);
}

static enum mem_err protect_within_one(void)
{
    return protect_range(&stack.as, AT(5 * PAGE), 3 * PAGE, MAP_READ);
}

static enum mem_err unmap_a_page_of_one(void)
{
    return unmap_page(&stack.as, AT(LARGE + PAGE), NULL);
}

static enum mem_err protect_a_page_of_one(void)
{
    return protect_page(&stack.as, AT(LARGE + PAGE), MAP_EXEC);
}

/* On i386, where a GiB is many pages, the same as above. */
static void gib_page(void)
{
    must(map_range(&stack.as, AT(0), PA(1 << 30), WIDE ? (size_t)1 << 30 : LARGE, MAP_WRITE));
}

static enum mem_err unmap_all(void)
{
    return unmap_range(&stack.as, AT(0), 4 * LARGE);
}

static enum mem_err protect_all(void)
{
    return protect_range(&stack.as, AT(LARGE), 2 * LARGE, MAP_EXEC);
}

/* ---- address spaces -------------------------------------------------------------------------- */

#define USER_FAR VA((vword_t)1 << (WIDE ? 40 : 28)) /* where it has no table */

static void drop_user(void)
{
    paging_destroy(&stack.user);
    memset(&stack.user, 0, sizeof stack.user);
}

static enum mem_err user_space(void)
{
    enum mem_err err = paging_create(&stack.user, false, stack.tables, &everything);
    if (err)
        return err;
    err =
        paging_share_kernel(&stack.user, &stack.as, VA(WIDE ? 0xffff800000000000ull : 0xc0000000u));
    for (unsigned i = 0; !err && i < 3; i++)
        err = map_range(&stack.user, VA(USER_BASE + i * 8 * LARGE + PAGE), PA(0x7000), 2 * LARGE,
                        MAP_USER | MAP_WRITE);
    if (err)
        drop_user();
    return err;
}

static void with_user(void)
{
    must(user_space());
}

static enum mem_err page_of_user(void)
{
    return map_page(&stack.user, USER_FAR, PA(0x7000), MAP_USER);
}

static enum mem_err no_more_user(void)
{
    drop_user();
    return MEM_OK;
}

static enum mem_err pin(void)
{
    return paging_pin(&stack.as, AT(WIDE_BORDER + PAGE - LARGE), 2 * LARGE);
}

static enum mem_err adopt(void)
{
    return paging_adopt(&stack.user, USER_FAR, PFN(FAKE_FIRST));
}

/* ---- devices --------------------------------------------------------------------------------- */

static void *device;

static enum mem_err map_device(void)
{
    return map_mmio(&stack.mmio, PA(0xd0000123), 5 * LARGE, MAP_WRITE | MAP_CACHE_UC, "apic",
                    &device);
}

static void have_device(void)
{
    must(map_device());
}

static void unmap_device(void)
{
    must(unmap_mmio(&stack.mmio, device));
}

static enum mem_err device_goes(void)
{
    return unmap_mmio(&stack.mmio, device);
}

/* ---- heap ------------------------------------------------------------------------------------ */

static uint8_t *block[64], *got;

static enum mem_err answer(void *p, size_t bytes)
{
    got = p;
    if (p)
        memset(p, 0x5a, bytes);
    return p ? MEM_OK : MEM_NO_FRAME;
}

/* Blocks with contents, holes between them, nothing free at the end. */
static void lived_in(void)
{
    for (unsigned i = 0; i < 64; i++) {
        block[i] = kmalloc(500 + 37 * i);
        CHECK(block[i]);
        memset(block[i], (int)i, 500 + 37 * i);
    }
    for (unsigned i = 0; i < 64; i += 3)
        kfree(block[i]);
    heap_trim(&stack.heap);
}

static void free_got(void)
{
    kfree(got);
    heap_trim(&stack.heap);
}

static enum mem_err large_block(void)
{
    return answer(kmalloc(300 << 10), 300 << 10);
}

static enum mem_err aligned_block(void)
{
    return answer(kmalloc_aligned(64 << 10, 100 << 10), 100 << 10);
}

static enum mem_err zeroed_block(void)
{
    return answer(kcalloc(40, 5 << 10), 200 << 10);
}

/* Behind it is a live block: it must move. */
static enum mem_err moving_block(void)
{
    uint8_t *moved = krealloc(block[1], 150 << 10);
    if (!moved)
        return MEM_NO_FRAME;
    for (unsigned i = 0; i < 537; i++)
        CHECK(moved[i] == 1);
    block[1] = moved;
    return MEM_OK;
}

static void move_back(void)
{
    uint8_t *p = kmalloc(537);
    CHECK(p);
    memcpy(p, block[1], 537);
    kfree(block[1]);
    block[1] = p;
    heap_trim(&stack.heap);
}

/* The last block: it grows where it is, or moves. */
static void last_block(void)
{
    lived_in();
    got = kmalloc(90 << 10);
    CHECK(got);
    memset(got, 9, 90 << 10);
    heap_trim(&stack.heap);
}

static enum mem_err growing_block(void)
{
    uint8_t *p = krealloc(got, 250 << 10);
    if (!p)
        return MEM_NO_FRAME;
    CHECK(p[0] == 9 && p[(90 << 10) - 1] == 9);
    got = p;
    return MEM_OK;
}

static enum mem_err many_blocks(void)
{
    static void *many[24];
    unsigned n = 0;
    while (n < 24 && (many[n] = kmalloc(20000)))
        n++;
    enum mem_err err = n == 24 ? MEM_OK : MEM_NO_FRAME;
    while (n)
        kfree(many[--n]);
    heap_trim(&stack.heap);
    return err;
}

/* Growing across 4 MiB, where a table ends. */
static void near_a_chunk(void)
{
    got = kmalloc((4 << 20) - (160 << 10));
    CHECK(got);
    heap_trim(&stack.heap);
}

/* Growing across 3 MiB: what the heap needs to find its blocks again takes another page, too. */
static void near_a_record(void)
{
    got = kmalloc((3 << 20) - (160 << 10));
    CHECK(got);
    heap_trim(&stack.heap);
}

static enum mem_err across_a_chunk(void)
{
    uint8_t *first = got;
    enum mem_err err = answer(kmalloc(250 << 10), 250 << 10);
    if (err)
        got = first;
    return err;
}

static enum mem_err at_both_ends(void)
{
    uint8_t *low = stack.heap.low;
    enum mem_err err = across_a_chunk();
    CHECK(err ? stack.heap.low == low : stack.heap.low < low);
    return err;
}

static enum mem_err block_goes(void)
{
    kfree(block[1]);
    heap_trim(&stack.heap);
    return MEM_OK;
}

/* ---- looking --------------------------------------------------------------------------------- */

static bool count_stretch(void *ctx, const struct map_stretch *s)
{
    *(uint64_t *)ctx += s->bytes;
    return true;
}

static enum mem_err look_at_everything(void)
{
    struct preflight_need need = {.what = "heap",
                                  .va = ptr_vaddr(heap_window),
                                  .bytes = PAGE,
                                  .flags = MAP_WRITE,
                                  .kind = NEED_TOP_ENTRY};
    struct preflight flight = {.as = &stack.as,
                               .needs = &need,
                               .count = 1,
                               .flushes = true,
                               .controls = {true, true, WIDE, true, WIDE}};
    struct preflight_refusal refusal;
    struct walk w;
    paddr_t pa;
    uint64_t bytes = 0;
    CHECK(paging_preflight(&flight, &refusal));
    CHECK(translate(&stack.as, ptr_vaddr(stack.heap.low), &pa) == MEM_OK);
    paging_walk(&stack.as, AT(0), &w);
    paging_visit(&stack.as, VA(0), VA(~(vword_t)0), count_stretch, &bytes);
    return bytes ? MEM_OK : MEM_NOT_MAPPED;
}

const struct scenario scenarios[] = {
    {"map_page", NULL, one_page, unmap_one_page, false, false},
    {"map_range, small pages", NULL, small_pages, unmap_small_pages, false, false},
    {"map_range, large pages between small ones", NULL, mixed_pages, unmap_mixed_pages, false,
     false},
    {"map_frames", NULL, frames_one_by_one, unmap_frames_again, false, false},
    {"unmap_range, both ends split", large_pages, unmap_the_middle, NULL, false, false},
    {"protect_range, both ends split", large_pages, protect_the_middle, NULL, false, false},
    {"unmap_range within a large page", large_pages, unmap_within_one, NULL, false, false},
    {"unmap_page in a large page", large_pages, unmap_a_page_of_one, NULL, false, false},
    {"protect_page in a large page", large_pages, protect_a_page_of_one, NULL, false, false},
    {"unmap_range in a page of 1 GiB", gib_page, unmap_within_one, NULL, false, false},
    {"protect_range in a page of 1 GiB", gib_page, protect_within_one, NULL, false, false},
    {"an address space, made, shared, filled", NULL, user_space, drop_user, false, false},
    {"map_page in a user's space", with_user, page_of_user, NULL, false, false},
    {"paging_pin", NULL, pin, NULL, false, false},
    {"paging_adopt", with_user, adopt, NULL, !WIDE /* the root is there */, false},
    {"map_mmio", NULL, map_device, unmap_device, !WIDE /* its tables are pinned */, false},
    {"kmalloc that grows", lived_in, large_block, free_got, false, true},
    {"kmalloc_aligned that grows", lived_in, aligned_block, free_got, false, true},
    {"kcalloc that grows", lived_in, zeroed_block, free_got, false, true},
    {"krealloc that moves", lived_in, moving_block, move_back, false, true},
    {"krealloc that grows in place", last_block, growing_block, NULL, false, true},
    {"kmalloc, block after block", lived_in, many_blocks, NULL, false, true},
    {"kmalloc across 4 MiB", near_a_chunk, across_a_chunk, free_got, false, true},
    {"kmalloc that grows at both ends", near_a_record, at_both_ends, free_got, false, true},
    {"unmap_range, whole large pages", large_pages, unmap_all, NULL, true, false},
    {"protect_range, whole large pages", large_pages, protect_all, NULL, true, false},
    {"paging_destroy", with_user, no_more_user, NULL, true, false},
    {"unmap_mmio", have_device, device_goes, NULL, true, false},
    {"kfree", lived_in, block_goes, NULL, true, false},
    {"preflight, translate, walk and visit", NULL, look_at_everything, NULL, true, false},
};
const unsigned scenario_count = sizeof scenarios / sizeof scenarios[0];
