/* SPDX-License-Identifier: MIT */
/*
 * oom_calls.c - the kinds of calls that take frames, each used and undone: what oom.c tries with
 * every frame missing.
 *
 * One that was refused gives back what it has and answers MEM_NO_FRAME. They map in the middle of
 * LOOK_BYTES of user space where nobody else has mapped anything.
 */
#include <mem/kmalloc.h>
#include <mem/kmap.h>

#include "diag/oom.h"
#include "diag/refuse.h"
#include "kernel.h"
#include "layout.h"
#include "lib/string.h"

enum { LOOK_BYTES = 32 << 20 };
#define SCRATCH_LOW  0x40000000u
#define SCRATCH_HIGH 0xa0000000u
#define LARGE        ((size_t)4 << 20)

static vword_t scratch;

static bool found_one(void *ctx, const struct map_stretch *s)
{
    (void)s;
    *(bool *)ctx = true;
    return false;
}

vword_t oom_scratch(void)
{
    for (vword_t from = SCRATCH_LOW; from < SCRATCH_HIGH; from += LOOK_BYTES) {
        bool used = false;
        paging_visit(&kernel.aspace, VA(from), VA(from + LOOK_BYTES - 1), found_one, &used);
        if (!used)
            return from + LOOK_BYTES / 2;
    }
    return 0;
}

bool oom_find_scratch(void)
{
    scratch = oom_scratch();
    return scratch != 0;
}

static enum mem_err first_error(enum mem_err a, enum mem_err b)
{
    return a ? a : b;
}

static enum mem_err frames_and_window(void)
{
    enum { DEEP = 8 };
    pfn_t frame[DEEP];
    void *page[DEEP];
    unsigned n = 0;
    for (; n < DEEP && !pfn_is_none(frame[n] = test_frame_take()); n++) {
        page[n] = kmap(frame[n]);
        memset(page[n], (int)n, PAGE_SIZE);
    }
    enum mem_err err = n == DEEP ? MEM_OK : MEM_NO_FRAME;
    while (n--) {
        kunmap(page[n]);
        test_frame_give(frame[n]);
    }
    return err;
}

static enum mem_err one_page(void)
{
    enum mem_err err = map_page(&kernel.aspace, VA(scratch), PA(0x100000), MAP_READ);
    if (!err)
        err = protect_page(&kernel.aspace, VA(scratch), MAP_EXEC);
    return err ? err : unmap_page(&kernel.aspace, VA(scratch), NULL);
}

static enum mem_err small_pages(void)
{
    vaddr_t va = VA(scratch - 2 * PAGE_SIZE);
    enum mem_err err = map_range(&kernel.aspace, va, PA(0), LARGE + 4 * PAGE_SIZE, MAP_NO_LARGE);
    return err ? err : unmap_range(&kernel.aspace, va, LARGE + 4 * PAGE_SIZE);
}

/* Large pages, a hole of one page in each end: what could not be split is unmapped whole. */
static enum mem_err large_pages(void)
{
    struct aspace *as = &kernel.aspace;
    enum mem_err err = map_range(as, VA(scratch), PA(scratch), 2 * LARGE, MAP_WRITE);
    if (err)
        return err;
    err = protect_range(as, VA(scratch + PAGE_SIZE), 2 * LARGE - 2 * PAGE_SIZE, MAP_READ);
    enum mem_err hole = unmap_page(as, VA(scratch + LARGE), NULL);
    if (hole)
        return first_error(unmap_range(as, VA(scratch), 2 * LARGE), first_error(err, hole));
    enum mem_err low = unmap_range(as, VA(scratch), LARGE);
    size_t rest = LARGE - PAGE_SIZE;
    return first_error(first_error(low, unmap_range(as, VA(scratch + LARGE + PAGE_SIZE), rest)),
                       err);
}

static enum mem_err frames_of_its_own(void)
{
    enum { PAGES = 12 };
    vaddr_t va = VA(scratch - 8 * PAGE_SIZE);
    enum mem_err err = map_frames(&kernel.aspace, va, PAGES, MAP_WRITE, &test_frames);
    if (err)
        return err;
    memset(vaddr_ptr(va), 0x5a, PAGES * PAGE_SIZE);
    return unmap_frames(&kernel.aspace, va, PAGES, &test_frames);
}

static enum mem_err another_space(void)
{
    struct aspace user;
    enum mem_err err = paging_create(&user, false, kernel.aspace.source, &kernel.features);
    if (err)
        return err;
    err = paging_share_kernel(&user, &kernel.aspace, VA(KERNEL_START));
    for (unsigned i = 0; !err && i < 3; i++)
        err = map_page(&user, VA(scratch + i * LARGE), PA(0x100000), MAP_USER);
    paging_destroy(&user);
    return err;
}

static enum mem_err a_device(void)
{
    void *p;
    enum mem_err err = map_mmio(&kernel.mmio, PA(0xd0000123), 2 * LARGE, MAP_CACHE_UC, "drill", &p);
    return err ? err : unmap_mmio(&kernel.mmio, p);
}

/* More than the heap keeps, in several shapes; contents stay whatever fails. */
static enum mem_err heap_blocks(void)
{
    size_t step = (size_t)(frames_free() > 256 ? 16 : 8) << 10;
    uint8_t *a = kmalloc(2 * step), *b = kmalloc_aligned(4096, step), *c = kcalloc(3, step);
    bool all = a && b && c, whole = !c || (!c[0] && !c[3 * step - 1]);
    if (a)
        memset(a, 0xa5, 2 * step);
    uint8_t *more = a ? krealloc(a, 4 * step) : NULL;
    a = more ? more : a;
    whole = whole && (!a || (a[0] == 0xa5 && a[2 * step - 1] == 0xa5));
    kfree(b);
    kfree(a);
    kfree(c);
    return !whole ? MEM_CORRUPT : all && more ? MEM_OK : MEM_NO_FRAME;
}

/* The heap grows on the way, by large blocks among small ones. */
static enum mem_err heap_at_random(void)
{
    return heap_exercise(200, frames_free() > 256 ? 60000 : 20000, 0x600d5eed);
}

const struct selftest oom_calls[] = {
    {"frames in the window", frames_and_window},
    {"a page", one_page},
    {"small pages over tables", small_pages},
    {"large pages, split", large_pages},
    {"frames mapped one by one", frames_of_its_own},
    {"an address space", another_space},
    {"a device", a_device},
    {"heap blocks", heap_blocks},
    {"random calls of the heap", heap_at_random},
    {NULL, NULL},
};
