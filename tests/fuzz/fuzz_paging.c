/* SPDX-License-Identifier: MIT */
/*
 * fuzz_paging.c - any mappings, any range, frames running out anywhere: the tables say what a list
 * says.
 *
 * The model is a sorted list of stretches [va, va + bytes) -> pa with flags. After every call the
 * whole tree is read from fake RAM (tables.c) and must be that list, entry bit for entry bit, in
 * tables that were all taken from the frame source. A call is refused with the error that
 * paging.c's opening puts first, and then the list is as it was. In the end every table goes back.
 */
#include <mem/paging.h>

#include "fake_machine.h"
#include "fuzz.h"
#include "mappings.h"
#include "paging_choices.h"

enum { CALLS = 60, LENT = 64, LENT_FIRST = 0x5000 };

static struct mappings model, found;
static struct aspace as;
static struct paging_features features;
static unsigned budget; /* tables that may be held at once */
static bool starved;    /* the frame source said no in this call */

/* ---- frames --------------------------------------------------------------------------------- */

static pfn_t take(void *ctx)
{
    (void)ctx;
    pfn_t f = fake.taken_count < budget ? fake_source.take(NULL) : PFN_NONE;
    starved = starved || pfn_is_none(f);
    return f;
}

static void give(void *ctx, pfn_t frame)
{
    fake_source.give(ctx, frame);
}

/* Frames for map_frames: so many, so far apart. */
static struct {
    bool out[LENT];
    unsigned next, limit, stride;
} lent;

static pfn_t lend(void *ctx)
{
    (void)ctx;
    if (lent.next >= lent.limit) {
        starved = true;
        return PFN_NONE;
    }
    lent.out[lent.next] = true;
    return PFN(LENT_FIRST + lent.next++ * lent.stride);
}

static void hand_back(void *ctx, pfn_t frame)
{
    (void)ctx;
    size_t i = (frame.v - LENT_FIRST) / lent.stride;
    CLAIM(i < LENT && lent.out[i], "frame %zx was not lent", (size_t)frame.v);
    lent.out[i] = false;
}

static bool visited(void *ctx, const struct map_stretch *s)
{
    struct mappings *l = ctx;
    unsigned flags = s->flags;
    mappings_push(l, (struct stretch){s->va.v, s->bytes, s->pa.v, flags});
    return true;
}

static void agrees(void)
{
    const char *broken;
    CLAIM(paging_holds(&as, &broken), "%s", broken);
    CLAIM(fake.kmaps == (as.leaf.table != NULL), "%u windows left open", fake.kmaps);
    size_t tables = tables_read(&as, &found);
    CLAIM(tables == as.tables && tables == fake.taken_count, "%zu tables, %zu, %u", tables,
          as.tables, fake.taken_count);
    mappings_same(&found, &model, ~0u);
}

static void visit_agrees(void)
{
    found.count = 0;
    paging_visit(&as, VA(0), VA(UINTPTR_MAX), visited, &found);
    if (!as.kernel) /* else what is effective is never the user's */
        mappings_same(&found, &model, ~0u);
}

static void look(uint64_t va)
{
    const struct stretch *s = mappings_at(&model, va);
    struct walk w;
    paddr_t pa = PA(77);
    bool canonical = !WIDE || va >> 47 == 0 || va >> 47 == 0x1ffff;
    enum mem_err err = translate(&as, VA((vword_t)va), &pa);
    CLAIM(err == (!canonical ? MEM_NOT_CANONICAL
                  : s        ? MEM_OK
                             : MEM_NOT_MAPPED),
          "%llx: %s", (unsigned long long)va, mem_err_name(err));
    CLAIM(pa.v == (s ? s->pa + (va - s->va) : 77), "%llx", (unsigned long long)va);
    paging_walk(&as, VA((vword_t)va), &w);
    CLAIM(w.mapped == (s != NULL) && !w.reserved_bit && w.canonical == canonical, "walk");
    CLAIM(!s || w.pa.v == pa.v, "walk to %llx", (unsigned long long)w.pa.v);
}

/* ---- what a call must answer ---------------------------------------------------------------- */

/* The flags as an entry can say them. */
static unsigned sayable(unsigned flags)
{
    flags &= ~(unsigned)MAP_NO_LARGE;
    if (!features.pge)
        flags &= ~(unsigned)MAP_GLOBAL;
    if (!features.nx)
        flags |= MAP_EXEC;
    if (!features.pat && (flags & MAP_CACHE_MASK) == MAP_CACHE_WC)
        flags = (flags & ~(unsigned)MAP_CACHE_MASK) | MAP_CACHE_UC;
    return flags;
}

static enum mem_err check_virtual(uint64_t va, uint64_t bytes)
{
    if (!bytes)
        return MEM_BAD_ARG;
    if ((va | bytes) % PAGE)
        return MEM_MISALIGNED;
    if (bytes - 1 > TOP - va)
        return MEM_OUT_OF_RANGE;
    uint64_t last = va + bytes - 1, half = 1ull << 47;
    if (WIDE && ((va >= half && va < -half) || (last >= half && last < -half)))
        return MEM_NOT_CANONICAL;
    return va < PAGE || (WIDE && va < half && last >= half) ? MEM_OUT_OF_RANGE : MEM_OK;
}

static enum mem_err check_map(uint64_t va, uint64_t pa, uint64_t bytes, unsigned flags)
{
    uint64_t limit = 1ull << features.phys_bits;
    if (flags & ~(unsigned)MAP_FLAGS_ALL)
        return MEM_BAD_ARG;
    if (pa % PAGE)
        return MEM_MISALIGNED;
    enum mem_err err = check_virtual(va, bytes);
    if (err)
        return err;
    if (pa >= limit || bytes > limit - pa)
        return MEM_OUT_OF_RANGE;
    if (flags & MAP_WRITE && flags & MAP_EXEC)
        return MEM_WX;
    return mappings_in(&model, va, bytes) ? MEM_MAPPED : MEM_OK;
}

static void answers(enum mem_err err, enum mem_err expected)
{
    if (!expected && starved)
        expected = MEM_NO_FRAME;
    CLAIM(err == expected, "%s for %s", mem_err_name(err), mem_err_name(expected));
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void call_map(struct choices *c, bool page)
{
    uint64_t va = pick_va(c), bytes = page ? PAGE : pick_bytes(c), pa = pick_pa(c, va, &features);
    unsigned flags = pick_flags(c);
    enum mem_err expected = check_map(va, pa, bytes, flags);
    answers(page ? map_page(&as, VA((vword_t)va), PA(pa), flags)
                 : map_range(&as, VA((vword_t)va), PA(pa), (size_t)bytes, flags),
            expected);
    if (expected || starved)
        return;
    static struct mappings add;
    add.count = 0;
    mappings_push(&add, (struct stretch){va, bytes, pa, sayable(flags)});
    mappings_change(&model, va, bytes, false, 0, &add);
    struct walk w;
    paging_walk(&as, VA((vword_t)va), &w);
    CLAIM(!(flags & MAP_NO_LARGE) || w.page_bytes == PAGE, "a large page in spite of the flag");
}

/* A range, mostly one that is mapped, whole or in part. */
static void pick_range(struct choices *c, uint64_t *va, uint64_t *bytes)
{
    uint8_t how = pick8(c);
    if (how < 64 || !model.count) {
        *va = pick_va(c);
        *bytes = pick_bytes(c);
        return;
    }
    const struct stretch *s = &model.s[how % model.count];
    uint64_t pages = s->bytes / PAGE, first = how & 64 ? 0 : pick16(c) % pages;
    *va = s->va + first * PAGE;
    *bytes = (how & 128 ? pages - first : 1 + pick16(c) % (pages - first)) * PAGE;
    if (how >= 0xfc)
        *bytes += PAGE;
}

static void call_unmap(struct choices *c, bool page)
{
    uint64_t va, bytes;
    paddr_t pa = PA(77);
    pick_range(c, &va, &bytes);
    bytes = page ? PAGE : bytes;
    const struct stretch *s = mappings_at(&model, va);
    uint64_t was = s ? s->pa + (va - s->va) : 77;
    enum mem_err expected = check_virtual(va, bytes);
    if (!expected && mappings_in(&model, va, bytes) != bytes)
        expected = MEM_NOT_MAPPED;
    answers(page ? unmap_page(&as, VA((vword_t)va), &pa)
                 : unmap_range(&as, VA((vword_t)va), (size_t)bytes),
            expected);
    bool done = !expected && !starved;
    CLAIM(!page || pa.v == (done ? was : 77), "it was at %llx", (unsigned long long)pa.v);
    if (done)
        mappings_change(&model, va, bytes, false, 0, NULL);
}

static void call_protect(struct choices *c, bool page)
{
    uint64_t va, bytes;
    pick_range(c, &va, &bytes);
    bytes = page ? PAGE : bytes;
    unsigned flags = pick_flags(c);
    enum mem_err expected =
        flags & ~(unsigned)MAP_FLAGS_ALL ? MEM_BAD_ARG : check_virtual(va, bytes);
    if (!expected && flags & MAP_WRITE && flags & MAP_EXEC)
        expected = MEM_WX;
    if (!expected && mappings_in(&model, va, bytes) != bytes)
        expected = MEM_NOT_MAPPED;
    answers(page ? protect_page(&as, VA((vword_t)va), flags)
                 : protect_range(&as, VA((vword_t)va), (size_t)bytes, flags),
            expected);
    if (!expected && !starved)
        mappings_change(&model, va, bytes, true, sayable(flags), NULL);
}

static const struct frame_source lender = {lend, hand_back, NULL};

static unsigned still_lent(void)
{
    unsigned n = 0;
    for (unsigned i = 0; i < LENT; i++)
        n += lent.out[i];
    return n;
}

/* Frames come, are mapped, and perhaps go again at once. */
static void call_frames(struct choices *c)
{
    uint64_t va = pick_va(c);
    unsigned pages = pick8(c) % 72, flags = pick_flags(c);
    uint8_t how = pick8(c);
    memset(&lent, 0, sizeof lent);
    lent.limit = how & 63;
    lent.stride = how & 64 ? 1 : 3;
    enum mem_err expected = check_map(va, 0, (uint64_t)pages * PAGE, flags);
    answers(map_frames(&as, VA((vword_t)va), pages, flags, &lender), expected);
    if (expected || starved) {
        CLAIM(!still_lent(), "%u frames were kept", still_lent());
        return;
    }
    CLAIM(still_lent() == pages, "%u frames for %u pages", still_lent(), pages);
    static struct mappings add;
    add.count = 0;
    for (unsigned i = 0; i < pages; i++)
        mappings_push(&add, (struct stretch){va + (uint64_t)i * PAGE, PAGE,
                                             (uint64_t)(LENT_FIRST + i * lent.stride) * PAGE,
                                             sayable(flags)});
    mappings_change(&model, va, (uint64_t)pages * PAGE, false, 0, &add);
    if (!(how & 128))
        return;
    agrees();
    CLAIM(unmap_frames(&as, VA((vword_t)va), pages, &lender) == MEM_OK, "unmap_frames");
    CLAIM(!still_lent(), "%u frames were kept", still_lent());
    mappings_change(&model, va, (uint64_t)pages * PAGE, false, 0, NULL);
}

/* Whoever gave the frames of a range gets each of them back, in order. */
static uint64_t due;

static void collect(void *ctx, pfn_t frame)
{
    (void)ctx;
    const struct stretch *s = mappings_at(&model, due);
    CLAIM(s && pfn_paddr(frame).v == s->pa + (due - s->va), "frame %zx for %llx", (size_t)frame.v,
          (unsigned long long)due);
    due += PAGE;
}

static void call_unmap_frames(struct choices *c)
{
    static const struct frame_source collector = {NULL, collect, NULL};
    uint64_t va, bytes;
    pick_range(c, &va, &bytes);
    bytes &= -(uint64_t)PAGE;
    bytes = bytes > 8 * LARGE ? 8 * LARGE : bytes;
    enum mem_err expected = check_virtual(va, bytes);
    if (!expected && mappings_in(&model, va, bytes) != bytes)
        expected = MEM_NOT_MAPPED;
    due = va;
    answers(unmap_frames(&as, VA((vword_t)va), (size_t)(bytes / PAGE), &collector), expected);
    bool done = !expected && !starved;
    CLAIM(due == (done ? va + bytes : va), "%llx bytes given", (unsigned long long)(due - va));
    if (done)
        mappings_change(&model, va, bytes, false, 0, NULL);
}

static void call(struct choices *c)
{
    uint8_t what = pick8(c);
    starved = false;
    switch (what % 10) {
    case 0 ... 2:
        call_map(c, what & 0x80);
        break;
    case 3:
    case 4:
        call_unmap(c, what & 0x80);
        break;
    case 5:
    case 6:
        call_protect(c, what & 0x80);
        break;
    case 7:
        if (what & 0x80)
            call_unmap_frames(c);
        else
            call_frames(c);
        break;
    case 8:
        look(pick_va(c) + (what >> 4));
        break;
    default:
        budget = 1 + pick8(c) % 48;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct choices c = {data, data + bytes};
    static bool ready;
    if (!ready)
        fake_reset();
    ready = true;
    model.count = 0;
    budget = 40;
    features = pick_features(&c);
    struct frame_source source = {take, give, NULL};
    CLAIM(paging_create(&as, pick8(&c) & 1, source, &features) == MEM_OK, "create");
    for (unsigned n = 0; n < CALLS && more(&c); n++) {
        call(&c);
        agrees();
    }
    visit_agrees();
    paging_destroy(&as);
    CLAIM(!fake.taken_count && !fake.kmaps, "%u tables are left", fake.taken_count);
    return 0;
}
