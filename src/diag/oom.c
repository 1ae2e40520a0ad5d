/* SPDX-License-Identifier: MIT */
/*
 * oom.c - the same calls with every frame missing in turn, on the machine.
 *
 * An exercise uses memory and gives it back. It is run with the n-th frame that it asks for
 * missing, for n = 1, 2, 3 ... until it asks for no n-th; once with that frame alone missing, once
 * with all from there on. Tables and heap pages come through frame sources, so these are put in
 * between and nothing else in the kernel knows. Whatever an exercise could not get, afterwards
 *
 *   E1  it has either done all its work or answered MEM_NO_FRAME;
 *   E2  exactly the frames are free that were free before, and each owner holds as many;
 *   E3  the same pages are mapped to the same frames with the same flags by as many tables;
 *   E4  every invariant holds.
 */
#include "diag/selftest.h"

#include <mem/kmalloc.h>
#include <mem/kmap.h>

#include "diag/console.h"
#include "diag/json.h"
#include "kernel.h"
#include "layout.h"
#include "lib/string.h"

enum { POINTS_MAX = 1000, LOOK_BYTES = 32 << 20 };
#define SCRATCH_LOW  0x40000000u
#define SCRATCH_HIGH 0xa0000000u
#define LARGE        ((size_t)4 << 20)

static struct {
    unsigned at; /* 0: nothing fails */
    bool always, happened;
    unsigned asked;
} plan;

/* In the middle of LOOK_BYTES of user space where nobody has mapped anything. */
static vword_t scratch;

/* The real sources, and the test's own frames. */
static struct frame_source tables, pages, own;

static pfn_t take(void *ctx)
{
    const struct frame_source *real = ctx;
    plan.asked++;
    bool fails = plan.at && (plan.always ? plan.asked >= plan.at : plan.asked == plan.at);
    plan.happened = plan.happened || fails;
    return fails ? PFN_NONE : real->take(real->ctx);
}

static void give(void *ctx, pfn_t frame)
{
    const struct frame_source *real = ctx;
    real->give(real->ctx, frame);
}

static pfn_t take_own(void *ctx)
{
    (void)ctx;
    return frames_take(OWNER_TEST);
}

static void give_own(void *ctx, pfn_t frame)
{
    (void)ctx;
    if (frames_give(frame, OWNER_TEST))
        selftest_failed(__FILE__, __LINE__, "a frame of the test's own goes back");
}

static struct frame_source between(struct frame_source *real)
{
    return (struct frame_source){take, give, real};
}

/* ---- exercises ------------------------------------------------------------------------------- */

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
    struct frame_source from = between(&own);
    for (; n < DEEP && !pfn_is_none(frame[n] = from.take(from.ctx)); n++) {
        page[n] = kmap(frame[n]);
        memset(page[n], (int)n, PAGE_SIZE);
    }
    enum mem_err err = n == DEEP ? MEM_OK : MEM_NO_FRAME;
    while (n--) {
        kunmap(page[n]);
        from.give(from.ctx, frame[n]);
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
    struct frame_source from = between(&own);
    vaddr_t va = VA(scratch - 8 * PAGE_SIZE);
    enum mem_err err = map_frames(&kernel.aspace, va, PAGES, MAP_WRITE, &from);
    if (err)
        return err;
    memset(vaddr_ptr(va), 0x5a, PAGES * PAGE_SIZE);
    return unmap_frames(&kernel.aspace, va, PAGES, &from);
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

static const struct exercise {
    const char *name;
    enum mem_err (*run)(void);
} exercises[] = {
    {"frames in the window", frames_and_window},
    {"a page", one_page},
    {"small pages over tables", small_pages},
    {"large pages, split", large_pages},
    {"frames mapped one by one", frames_of_its_own},
    {"an address space", another_space},
    {"a device", a_device},
    {"heap blocks", heap_blocks},
};
enum { EXERCISES = sizeof exercises / sizeof exercises[0] };

/* ---- the ledger ------------------------------------------------------------------------------ */

struct ledger {
    struct pmm_stats frames;
    uint64_t which; /* hash of the free stretches                 */
    uint64_t maps;  /* and of what is mapped, where exercises may map */
    size_t tables, heap_used, heap_blocks;
};

static uint64_t mix(uint64_t hash, uint64_t word)
{
    return (hash ^ word) * 0x100000001b3u;
}

static uint64_t hash_free_frames(void)
{
    uint64_t hash = 0xcbf29ce484222325u, length;
    uint64_t end = bootmap_totals(&kernel.map).highest_frame;
    for (uint64_t frame = 0; frame < end; frame += length) {
        bool free = pmm_stretch(&kernel.pmm, PFN((vword_t)frame), &length);
        hash = free ? mix(mix(hash, frame), length) : hash;
    }
    return hash;
}

/* Page by page: where the CPU has been, which divides stretches, is nobody's change. */
static bool add_stretch(void *ctx, const struct map_stretch *s)
{
    uint64_t *sum = ctx;
    for (uint64_t at = 0; at < s->bytes; at += PAGE_SIZE)
        *sum += mix(mix(mix(mix(1, s->va.v + at), s->pa.v + at), s->flags), s->page_bytes);
    return true;
}

static void add_maps(uint64_t *sum, vword_t from)
{
    paging_visit(&kernel.aspace, VA(from), VA(from + LOOK_BYTES - 1), add_stretch, sum);
}

static bool find_scratch(void)
{
    for (vword_t from = SCRATCH_LOW; from < SCRATCH_HIGH; from += LOOK_BYTES) {
        uint64_t sum = 0;
        add_maps(&sum, from);
        scratch = from + LOOK_BYTES / 2;
        if (!sum)
            return true;
    }
    return false;
}

static struct ledger take_ledger(void)
{
    struct ledger l = {.tables = kernel.aspace.tables};
    struct heap_stats h;
    heap_trim(&kernel.heap);
    frames_settle();
    pmm_counts(&kernel.pmm, &l.frames);
    l.which = hash_free_frames();
    heap_stats(&kernel.heap, &h);
    l.heap_used = h.used;
    l.heap_blocks = h.blocks;
    add_maps(&l.maps, scratch - LOOK_BYTES / 2);
    add_maps(&l.maps, (vword_t)HEAP_START);
    add_maps(&l.maps, (vword_t)MMIO_START);
    return l;
}

static bool same_books(const struct ledger *a, const struct ledger *b)
{
    for (unsigned o = 0; o < OWNER_COUNT; o++)
        EXPECT(a->frames.owners[o] == b->frames.owners[o]);
    EXPECT(a->which == b->which);
    EXPECT(a->maps == b->maps && a->tables == b->tables);
    EXPECT(a->heap_used == b->heap_used && a->heap_blocks == b->heap_blocks);
    return true;
}

/* ---- every point ----------------------------------------------------------------------------- */

struct tally {
    unsigned points, refused; /* of the points, those that the exercise could not get over */
};

static enum mem_err run_with(const struct exercise *e, unsigned n, bool always)
{
    plan.at = n;
    plan.always = always;
    plan.happened = false;
    plan.asked = 0;
    tables = kernel.aspace.source;
    pages = kernel.heap_pages;
    kernel.aspace.source = between(&tables);
    kernel.heap_pages = between(&pages);
    enum mem_err err = e->run();
    kernel.aspace.source = tables;
    kernel.heap_pages = pages;
    return err;
}

static bool every_point(const struct exercise *e, bool always, struct tally *t)
{
    const char *broken;
    struct ledger before = take_ledger();
    for (unsigned n = 1; n < POINTS_MAX; n++) {
        enum mem_err err = run_with(e, n, always);
        struct ledger after = take_ledger();
        EXPECT(err == MEM_OK || (err == MEM_NO_FRAME && plan.happened));
        EXPECT(heap_check(&kernel.heap, &broken));
        if (!same_books(&before, &after))
            return false;
        if (!plan.happened)
            return true;
        t->points++;
        t->refused += err != MEM_OK;
    }
    return selftest_failed(e->name, 0, "it is done before so many frames");
}

static bool run_exercise(const struct exercise *e, struct tally t[2])
{
    own = (struct frame_source){take_own, give_own, NULL};
    const char *broken;
    if (!find_scratch())
        return selftest_failed(e->name, 0, "user space has room to try in");
    if (!every_point(e, false, &t[0]) || !every_point(e, true, &t[1]))
        return false;
    EXPECT(pmm_holds(&kernel.pmm, &broken));
    return true;
}

bool oom_every_point(void)
{
    struct tally t[2] = {{0}};
    for (unsigned i = 0; i < EXERCISES; i++) {
        if (!run_exercise(&exercises[i], t))
            return selftest_failed(exercises[i].name, 0, "the exercise leaves all as it was");
    }
    EXPECT(t[1].points && t[1].points == t[1].refused); /* no frames from somewhere: no success */
    return true;
}

static void tell_json(struct json *j, const struct exercise *e, const struct tally t[2], bool good)
{
    json_object(j, NULL);
    json_string(j, "name", e->name);
    json_number(j, "points_once", t[0].points);
    json_number(j, "refused_once", t[0].refused);
    json_number(j, "points_always", t[1].points);
    json_number(j, "refused_always", t[1].refused);
    json_bool(j, "passed", good);
    json_end(j);
}

bool oom_command(const struct shell_args *args)
{
    struct json j;
    bool passed = true;
    unsigned points = 0;
    if (args->json) {
        json_begin(&j, "oom");
        json_array(&j, "exercises");
    }
    for (unsigned i = 0; i < EXERCISES; i++) {
        struct tally t[2] = {{0}};
        bool good = run_exercise(&exercises[i], t);
        passed = passed && good;
        points += t[0].points + t[1].points;
        if (args->json)
            tell_json(&j, &exercises[i], t, good);
        else
            kprintf("  %s%-6s%s %-26s %3u frames, each missing once: %3u refused; "
                    "from then on: %3u\n",
                    colour(good ? GREEN : RED), good ? "ok" : "FAILED", colour(PLAIN),
                    exercises[i].name, t[0].points, t[0].refused, t[1].refused);
    }
    const char *broken;
    passed = passed && paging_holds(&kernel.aspace, &broken);
    if (args->json) {
        json_end(&j);
        json_number(&j, "points", points);
        json_bool(&j, "passed", passed);
        json_finish(&j);
    } else {
        kprintf("  %u points\n", points);
    }
    return passed;
}
