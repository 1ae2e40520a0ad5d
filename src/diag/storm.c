/* SPDX-License-Identifier: MIT */
/*
 * storm.c - a long, random, repeatable sequence of paging calls.
 *
 * Every number of a call comes from one generator, and every call draws the same amount of them,
 * whatever it is and whatever becomes of it: so one seed means the same calls on both targets. All
 * their results go into a hash, which is therefore equal on both, but for what is declared here:
 *
 *   D1  i386 has no NX: what may be executed is not part of the hash.
 *   D2  large pages have other sizes: page sizes and numbers of tables are not part of it, nor is
 *       anything of the place for large pages.
 *   D3  physical addresses end elsewhere: those near the end count from there.
 *
 * What is mapped is no RAM of ours but addresses from 1 GiB up and below the physical limit, and
 * nobody touches it through these mappings. User space is an address space of its own, which stays
 * loaded until `storm clear`, so that the CPU's own walker can be asked.
 */
#include "diag/storm.h"

#include <platform.h>

#include "diag/console.h"
#include "diag/json.h"
#include "diag/report.h"
#include "kernel.h"
#include "layout.h"
#include "lib/string.h"
#include "scratch.h"

enum { PLACE_BYTES = 32 << 20, LARGE_UNIT_PAGES = (4 << 20) >> 12, DRAWS = 8 };

struct storm storm;

/* ---- places ------------------------------------------------------------------------------- */

static struct storm_place place(const char *name, struct aspace *as, vword_t va, uint64_t bytes)
{
    return (struct storm_place){
        .name = name, .as = as, .va = VA(va), .pages = (uint32_t)(bytes >> PAGE_SHIFT)};
}

/* Each boundary has half of its place below and half above. */
static void lay_out(struct storm *s)
{
    struct storm_place places[STORM_PLACES] = {
        place("first pages", &s->space, 0, PLACE_BYTES),
        place("middle of user space", &s->space, SCRATCH_MIDDLE - PLACE_BYTES / 2, PLACE_BYTES),
        place("high in user space", &s->space, SCRATCH_HIGH - PLACE_BYTES / 2, PLACE_BYTES),
        place("end of user space", &s->space, USER_END - PLACE_BYTES, PLACE_BYTES),
        place("heap window", &kernel.aspace, SCRATCH_HEAP - PLACE_BYTES / 2, PLACE_BYTES),
        place("device window", &kernel.aspace, SCRATCH_DEVICE - PLACE_BYTES / 2, PLACE_BYTES),
        place("large pages", &s->space, SCRATCH_LARGE, SCRATCH_LARGE_BYTES),
    };
    places[STORM_PLACES - 1].large = true;
    memcpy(s->place, places, sizeof places);
    mmio_init(&s->mmio, &kernel.aspace, VA(SCRATCH_MMIO), STORM_MMIO_BYTES);
}

static enum mem_err begin(struct storm *s)
{
    if (s->begun)
        return MEM_OK;
    *s = (struct storm){.kernel_tables = kernel.aspace.tables,
                        .free_frames = pmm_free_frames(&kernel.pmm)};
    enum mem_err err =
        paging_create(&s->space, false, kernel.aspace.source, kernel.aspace.features);
    if (err)
        return err;
    err = paging_share_kernel(&s->space, &kernel.aspace);
    if (err) {
        paging_destroy(&s->space);
        return err;
    }
    lay_out(s);
    platform_load_root(s->space.root);
    s->begun = true;
    return MEM_OK;
}

/* ---- chance ------------------------------------------------------------------------------- */

static uint32_t random_next(uint32_t *state) /* xorshift32 */
{
    *state ^= *state << 13;
    *state ^= *state >> 17;
    return *state ^= *state << 5;
}

enum verb { MAP_PAGE, MAP_RANGE, UNMAP_PAGE, UNMAP_RANGE, PROTECT_PAGE, PROTECT_RANGE, MMIO,
            UNMMIO, VERBS };

struct call {
    enum verb verb;
    struct storm_place *at;
    struct storm_run run; /* page within the place, and how many */
    size_t odd;           /* bytes by which va, pa or the length are off the page */
    unsigned odd_which;
    paddr_t pa;
    unsigned flags;
};

/* Single pages, a few, hundreds, whole tables. */
static uint32_t draw_pages(uint32_t r)
{
    static const uint32_t at_most[] = {1, 4, 40, 600, 1024, 2048, 4096, 16};
    uint32_t most = at_most[r & 7];
    return most == 1024 || most == 2048 ? most : 1 + (r >> 3) % most;
}

/* Anywhere; at a large page's begin; or a few pages around the middle, where a boundary is. */
static uint32_t draw_page(const struct storm_place *at, uint32_t r)
{
    uint32_t page = (r >> 3) % at->pages;
    if ((r & 7) < 3)
        return page & ~(LARGE_UNIT_PAGES - 1u);
    if ((r & 7) < 5)
        return at->pages / 2 - 8 + (r >> 3) % 16;
    return page;
}

/* 1 to 2 GiB, congruent to va where large pages shall fit; one in 64 around the physical limit. */
static paddr_t draw_physical(vword_t va, uint32_t unit_mask, uint32_t r)
{
    if (r % 64 == 63)
        return PA((1ull << kernel.features.phys_bits) - ((r >> 6) % 64) * PAGE_SIZE);
    uint64_t pa = (1ull << 30) + ((uint64_t)(r >> 2) % (1u << 18) << PAGE_SHIFT);
    if (r & 3)
        pa = (pa & ~(uint64_t)unit_mask) | ((uint32_t)va & unit_mask);
    return PA(pa);
}

/* Every flag there is; one in 32 has one that there is not. */
static unsigned draw_flags(uint32_t r)
{
    unsigned flags = r & MAP_FLAGS_ALL;
    if ((r >> 8) % 4)
        flags &= ~(unsigned)(flags & MAP_WRITE ? MAP_EXEC : 0); /* most keep to W^X */
    return (r >> 12) % 32 ? flags : flags | (MAP_FLAGS_ALL + 1) << (r >> 17) % 8;
}

static struct storm_run part_of(struct storm_run whole, uint32_t r)
{
    if (r & 1)
        return whole;
    uint32_t skip = (r >> 1) % whole.pages;
    return (struct storm_run){whole.page + skip, 1 + (r >> 9) % (whole.pages - skip)};
}

/* The window of map_mmio is no place; numbers for it are drawn as for the first. */
static struct storm_place *draw_place(enum verb verb, uint32_t r)
{
    return &storm.place[verb < MMIO ? r % STORM_PLACES : 0];
}

/* A place for large pages gets whole large pages, but single ones are changed to split them. */
static void keep_large(struct call *c, bool fresh)
{
    uint32_t unit = LARGE_UNIT_PAGES;
    if (!fresh)
        return;
    c->verb = c->verb == MAP_PAGE ? MAP_RANGE : c->verb;
    c->run.page &= ~(unit - 1);
    c->run.pages = (c->run.pages * 256 + unit - 1) & ~(unit - 1);
    c->run.pages = c->run.pages ? c->run.pages : unit;
    c->flags &= ~(unsigned)MAP_NO_LARGE;
}

static struct call draw(uint32_t *state)
{
    uint32_t r[DRAWS];
    for (unsigned i = 0; i < DRAWS; i++)
        r[i] = random_next(state) >> 4; /* the lowest bits are the poorest */
    static const enum verb verbs[16] = {MAP_PAGE,     MAP_RANGE,     MAP_PAGE,    MAP_RANGE,
                                        MAP_RANGE,    MAP_RANGE,     UNMAP_PAGE,  UNMAP_RANGE,
                                        UNMAP_RANGE,  PROTECT_PAGE,  PROTECT_PAGE, PROTECT_RANGE,
                                        PROTECT_RANGE, PROTECT_RANGE, MMIO,       UNMMIO};
    enum verb verb = verbs[r[0] % 16];
    struct call c = {.verb = verb, .at = draw_place(verb, r[1]), .flags = draw_flags(r[5])};
    bool change = c.verb >= UNMAP_PAGE && c.verb <= PROTECT_RANGE;
    struct storm_run known = c.at->run[r[2] % STORM_REMEMBERED];
    if (change && known.pages && r[2] >> 8 & 7)
        c.run = part_of(known, r[3]);
    else
        c.run = (struct storm_run){draw_page(c.at, r[3]), draw_pages(r[2] >> 4)};
    if (c.at->large)
        keep_large(&c, !change);
    if (c.run.pages > c.at->pages - c.run.page)
        c.run.pages = c.at->pages - c.run.page;
    vword_t va = c.at->va.v + ((vword_t)c.run.page << PAGE_SHIFT);
    c.pa = c.at->large ? PA((1ull << 30) | ((uint32_t)va & 0x3fffffff))
                       : draw_physical(va, (4u << 20) - 1, r[4]);
    c.odd = r[6] % 32 ? 0 : 1 + (r[6] >> 5) % 4095;
    c.odd_which = r[7] % 4;
    return c;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void remember(struct storm_place *at, struct storm_run run)
{
    memmove(at->run + 1, at->run, sizeof at->run - sizeof at->run[0]);
    at->run[0] = run;
}

static enum mem_err call_mmio(const struct call *c, uint32_t *trace)
{
    void *out = NULL;
    size_t bytes = ((size_t)c->run.pages % 600 << PAGE_SHIFT) + c->odd;
    enum mem_err err = map_mmio(&storm.mmio, paddr_add(c->pa, c->odd / 2), bytes, c->flags,
                                "storm", &out);
    if (!err)
        *trace = storm_trace(*trace, (uint32_t)(ptr_vaddr(out).v - storm.mmio.start.v));
    return err;
}

/* Most hit a region; some are one page too far, which is nobody's pointer. */
static enum mem_err call_unmmio(const struct call *c)
{
    vaddr_t va = vaddr_add(storm.mmio.start, c->run.page % 4096 * PAGE_SIZE);
    if (storm.mmio.count)
        va = vaddr_add(storm.mmio.region[c->run.page % storm.mmio.count].va,
                       c->odd_which == 3 ? PAGE_SIZE : c->odd);
    return unmap_mmio(&storm.mmio, vaddr_ptr(va));
}

static enum mem_err make_call(const struct call *c, uint32_t *trace)
{
    struct aspace *as = c->at->as;
    vaddr_t va = vaddr_add(c->at->va, ((size_t)c->run.page << PAGE_SHIFT) +
                                          (c->odd_which == 0 ? c->odd : 0));
    paddr_t pa = paddr_add(c->pa, c->odd_which == 1 ? c->odd : 0);
    size_t bytes = ((size_t)c->run.pages << PAGE_SHIFT) + (c->odd_which == 2 ? c->odd : 0);
    if (c->odd && c->odd_which == 3)
        bytes = ~(PAGE_SIZE - 1); /* round the address space */
    paddr_t was = PA(0);
    switch (c->verb) {
    case MAP_PAGE:
        return map_page(as, va, pa, c->flags);
    case MAP_RANGE:
        return map_range(as, va, pa, bytes, c->flags);
    case UNMAP_RANGE:
        return unmap_range(as, va, bytes);
    case PROTECT_PAGE:
        return protect_page(as, va, c->flags);
    case PROTECT_RANGE:
        return protect_range(as, va, bytes, c->flags);
    case MMIO:
        return call_mmio(c, trace);
    case UNMMIO:
        return call_unmmio(c);
    default:
        break;
    }
    enum mem_err err = unmap_page(as, va, &was);
    *trace = storm_trace_physical(*trace, was);
    return err;
}

/* Of the places that both targets share, and of large pages. */
struct tally {
    uint32_t hash;
    unsigned calls, results[MEM_ERR_COUNT];
};

static void one_call(uint32_t *state, struct tally tally[2])
{
    struct call c = draw(state);
    struct tally *t = &tally[c.at->large];
    enum mem_err err = make_call(&c, &t->hash);
    t->hash = storm_trace(t->hash, (uint32_t)c.verb << 8 | err);
    t->calls++;
    t->results[err]++;
    if (!err && c.verb == MAP_PAGE)
        c.run.pages = 1;
    if (!err && c.verb <= MAP_RANGE)
        remember(c.at, c.run);
}

/* ---- the command -------------------------------------------------------------------------- */

static void tell_text(const struct tally t[2])
{
    kprintf("  %u calls: %u done, %u refused; results 0x%08x, equal on both targets\n", t->calls,
            t->results[MEM_OK], t->calls - t->results[MEM_OK], t->hash);
    t++;
    kprintf("  %u calls for large pages: %u done, %u refused\n", t->calls, t->results[MEM_OK],
            t->calls - t->results[MEM_OK]);
}

static void results_json(struct json *j, const char *key, const struct tally *t)
{
    json_object(j, key);
    for (unsigned e = 0; e < MEM_ERR_COUNT; e++) {
        if (t->results[e])
            json_number(j, mem_err_name(e), t->results[e]);
    }
    json_end(j);
}

static void tell_json(const struct tally t[2])
{
    struct json j;
    json_begin(&j, "storm");
    json_number(&j, "calls", t[0].calls + t[1].calls);
    json_address(&j, "hash", t->hash);
    json_address(&j, "root", storm.space.root.v);
    json_number(&j, "user_tables", storm.space.tables);
    json_number(&j, "kernel_tables", kernel.aspace.tables - storm.kernel_tables);
    results_json(&j, "results", &t[0]);
    results_json(&j, "large", &t[1]);
    json_array(&j, "places");
    for (unsigned i = 0; i < STORM_PLACES; i++) {
        const struct storm_place *p = &storm.place[i];
        json_object(&j, NULL);
        json_string(&j, "name", p->name);
        json_address(&j, "va", p->va.v);
        json_number(&j, "length", (uint64_t)p->pages << PAGE_SHIFT);
        json_end(&j);
    }
    json_finish(&j);
}

static bool blow(const struct shell_args *args, uint32_t seed, unsigned calls)
{
    enum mem_err err = begin(&storm);
    if (err)
        return report_error("storm", args, "no address space: %s", mem_err_name(err));
    struct tally t[2] = {{.hash = 0x811c9dc5}, {0}};
    uint32_t state = seed * 2654435761u | 1;
    for (unsigned i = 0; i < calls; i++)
        one_call(&state, t);
    t->hash = storm_trace_places(t->hash);
    if (args->json)
        tell_json(t);
    else
        tell_text(t);
    return true;
}

static bool check(const struct shell_args *args)
{
    struct storm_agreement a = storm_agree();
    if (args->json) {
        struct json j;
        json_begin(&j, "storm");
        json_number(&j, "addresses", a.addresses);
        json_number(&j, "mapped", a.mapped);
        json_number(&j, "disagree", a.disagree);
        json_address(&j, "first", a.first.v);
        json_finish(&j);
    } else {
        kprintf("  %u addresses asked of translate, walk and visit, %u mapped: %u disagreements\n",
                a.addresses, a.mapped, a.disagree);
    }
    return !a.disagree;
}

static bool clear(const struct shell_args *args)
{
    const char *broken = NULL;
    if (!storm_clear(&broken))
        return report_error("storm", args, "%s", broken);
    if (args->json) {
        struct json j;
        json_begin(&j, "storm");
        json_bool(&j, "clear", true);
        json_finish(&j);
    } else {
        kprintf("  nothing of the storm is left; frames and tables are as before\n");
    }
    return true;
}

static bool tighten(const struct shell_args *args)
{
    unsigned count = storm_tighten();
    if (args->json) {
        struct json j;
        json_begin(&j, "storm");
        json_number(&j, "tightened", count);
        json_finish(&j);
    } else {
        kprintf("  %u entries above leaves allow less now\n", count);
    }
    return true;
}

/* Bochs' debugger takes over here when magic breaks are on; elsewhere it is no operation. */
static bool stop(const struct shell_args *args)
{
    (void)args;
    __asm__ volatile("xchg %bx, %bx");
    return true;
}

bool storm_command(const struct shell_args *args)
{
    static const struct {
        const char *word;
        bool (*run)(const struct shell_args *args);
    } words[] = {{"check", check}, {"tighten", tighten}, {"clear", clear}, {"stop", stop}};
    unsigned long long seed, calls;
    for (unsigned i = 0; args->count == 1 && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(args->word[0], words[i].word) == 0)
            return words[i].run(args);
    }
    if (args->count != 2 || !shell_number(args->word[0], &seed) ||
        !shell_number(args->word[1], &calls) || calls > 10000000)
        return report_error("storm", args, "usage: storm SEED CALLS | check | tighten | clear | stop");
    return blow(args, (uint32_t)seed, (unsigned)calls);
}
