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

enum { PLACE_BYTES = 32 << 20 };

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

enum mem_err storm_begin(void)
{
    struct storm *s = &storm;
    if (s->begun)
        return MEM_OK;
    *s = (struct storm){.kernel_tables = storm_kernel_tables()};
    enum mem_err err =
        paging_create(&s->space, false, kernel.aspace.source, kernel.aspace.features);
    if (err)
        return err;
    err = paging_share_kernel(&s->space, &kernel.aspace, VA(KERNEL_START));
    if (err) {
        paging_destroy(&s->space);
        return err;
    }
    lay_out(s);
    platform_load_root(s->space.root);
    s->begun = true;
    return MEM_OK;
}

bool storm_is_over(const char *cmd, const struct shell_args *args)
{
    return !storm.begun || report_error(cmd, args,
                                        "the address space of a storm is loaded; "
                                        "storm clear takes it away");
}

/* ---- few frames --------------------------------------------------------------------------- */

/* Stands before the true source of tables and has none left after so many. Then refusals come half
 * way through calls, so every refused call is looked at: it must have changed nothing. */
static struct {
    struct frame_source source;
    unsigned left;
    bool few;
} ration;

static pfn_t take_ration(void *ctx)
{
    (void)ctx;
    if (!ration.left)
        return PFN_NONE;
    pfn_t frame = ration.source.take(ration.source.ctx);
    ration.left -= !pfn_is_none(frame);
    return frame;
}

static void give_ration(void *ctx, pfn_t frame)
{
    (void)ctx;
    ration.left++;
    ration.source.give(ration.source.ctx, frame);
}

static void set_source(struct frame_source source)
{
    kernel.aspace.source = source;
    storm.space.source = source;
}

/* ---- calls -------------------------------------------------------------------------------- */

static void remember(struct storm_place *at, struct storm_run run)
{
    memmove(at->run + 1, at->run, sizeof at->run - sizeof at->run[0]);
    at->run[0] = run;
}

/* Of the places that both targets share, and of large pages. */
struct tally {
    uint32_t hash;
    unsigned calls, results[MEM_ERR_COUNT];
    unsigned half_done; /* refused, and yet something changed      */
    unsigned wrong;     /* did not do what storm_effect.c expects  */
};

static enum mem_err call_mmio(const struct storm_call *c, struct tally *t)
{
    void *out = NULL;
    size_t bytes = ((size_t)c->run.pages % 600 << PAGE_SHIFT) + c->odd;
    enum mem_err err =
        map_mmio(&storm.mmio, paddr_add(c->pa, c->odd / 2), bytes, c->flags, "storm", &out);
    if (err)
        return err;
    t->hash = storm_trace(t->hash, (uint32_t)(ptr_vaddr(out).v - storm.mmio.start.v));
    t->wrong += !storm_mmio_right(ptr_vaddr(out), bytes);
    return MEM_OK;
}

/* Most hit a region; some are one page too far, which is nobody's pointer. */
static enum mem_err call_unmmio(const struct storm_call *c)
{
    vaddr_t va = vaddr_add(storm.mmio.start, c->run.page % 4096 * PAGE_SIZE);
    if (storm.mmio.count)
        va = vaddr_add(storm.mmio.region[c->run.page % storm.mmio.count].va,
                       c->odd_which == 3 ? PAGE_SIZE : c->odd);
    return unmap_mmio(&storm.mmio, vaddr_ptr(va));
}

static enum mem_err call_unmap_page(struct aspace *as, vaddr_t va, struct tally *t)
{
    paddr_t was = PA(0);
    enum mem_err err = unmap_page(as, va, &was);
    t->hash = storm_trace_physical(t->hash, was);
    return err;
}

/* The pages of the call in bytes; a few are no whole pages, or go round the address space. */
static size_t call_bytes(const struct storm_call *c)
{
    if (c->odd && c->odd_which == 3)
        return ~(PAGE_SIZE - 1);
    return ((size_t)c->run.pages << PAGE_SHIFT) + (c->odd_which == 2 ? c->odd : 0);
}

static enum mem_err make_call(const struct storm_call *c, struct tally *t)
{
    struct aspace *as = c->at->as;
    size_t offset = ((size_t)c->run.page << PAGE_SHIFT) + (c->odd_which == 0 ? c->odd : 0);
    vaddr_t va = vaddr_add(c->at->va, offset);
    paddr_t pa = paddr_add(c->pa, c->odd_which == 1 ? c->odd : 0);
    switch (c->verb) {
    case MAP_PAGE:
        return map_page(as, va, pa, c->flags);
    case MAP_RANGE:
        return map_range(as, va, pa, call_bytes(c), c->flags);
    case UNMAP_RANGE:
        return unmap_range(as, va, call_bytes(c));
    case PROTECT_PAGE:
        return protect_page(as, va, c->flags);
    case PROTECT_RANGE:
        return protect_range(as, va, call_bytes(c), c->flags);
    case MMIO:
        return call_mmio(c, t);
    case UNMMIO:
        return call_unmmio(c);
    default:
        return call_unmap_page(as, va, t);
    }
}

static bool is_window_call(const struct storm_call *c)
{
    return c->verb == MMIO || c->verb == UNMMIO;
}

/* Makes the call and looks at what it did. */
static enum mem_err watch_call(const struct storm_call *c, struct tally *t)
{
    struct storm_effect effect;
    bool window = is_window_call(c);
    uint32_t before = ration.few ? storm_trace_run(0, c->at, c->run) : 0;
    if (!window)
        storm_look(c, &effect);
    enum mem_err err = make_call(c, t);
    if (ration.few && err)
        t->half_done += storm_trace_run(0, c->at, c->run) != before;
    if (!window)
        t->wrong += !storm_right(c, err, &effect);
    return err;
}

static void one_call(uint32_t *state, struct tally tally[2])
{
    struct storm_call c = storm_draw(state);
    struct tally *t = &tally[c.at->large];
    if (c.verb == MAP_PAGE || c.verb == UNMAP_PAGE || c.verb == PROTECT_PAGE)
        c.run.pages = 1;
    enum mem_err err = watch_call(&c, t);
    t->hash = storm_trace(t->hash, (uint32_t)c.verb << 8 | err);
    t->calls++;
    t->results[err]++;
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
    json_number(&j, "kernel_tables", storm_kernel_tables() - storm.kernel_tables);
    json_number(&j, "half_done", t[0].half_done + t[1].half_done);
    json_number(&j, "wrong", t[0].wrong + t[1].wrong);
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

static bool blow(const struct shell_args *args, uint32_t seed, unsigned calls, unsigned frames)
{
    enum mem_err err = storm_begin();
    if (err)
        return report_error("storm", args, "no address space: %s", mem_err_name(err));
    struct tally t[2] = {{.hash = 0x811c9dc5}, {0}};
    uint32_t state = seed * 2654435761u | 1;
    ration.source = kernel.aspace.source;
    ration.left = frames;
    ration.few = frames < UINT32_MAX;
    if (ration.few)
        set_source((struct frame_source){take_ration, give_ration, NULL});
    for (unsigned i = 0; i < calls; i++)
        one_call(&state, t);
    set_source(ration.source);
    t->hash = storm_trace_places(t->hash);
    if (args->json)
        tell_json(t);
    else
        tell_text(t);
    return !t[0].half_done && !t[1].half_done && !t[0].wrong && !t[1].wrong;
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
    } words[] = {{"check", check},
                 {"edges", storm_edges},
                 {"tighten", tighten},
                 {"clear", clear},
                 {"stop", stop}};
    unsigned long long seed, calls, frames = UINT32_MAX;
    for (unsigned i = 0; args->count == 1 && i < sizeof words / sizeof words[0]; i++) {
        if (strcmp(args->word[0], words[i].word) == 0)
            return words[i].run(args);
    }
    if (args->count < 2 || args->count > 3 || !shell_number(args->word[0], &seed) ||
        !shell_number(args->word[1], &calls) || calls > 10000000 ||
        (args->count == 3 && !shell_number(args->word[2], &frames)))
        return report_error("storm", args,
                            "usage: storm SEED CALLS [FRAMES] | check | edges | tighten | clear | "
                            "stop");
    return blow(args, (uint32_t)seed, (unsigned)calls, (unsigned)frames);
}
