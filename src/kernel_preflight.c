/* SPDX-License-Identifier: MIT */
/*
 * kernel_preflight.c - the list of what the kernel needs from its new page tables.
 *
 * First what the CPU touches by itself: the next instruction, the stack, the descriptor tables and
 * everything a trap needs until its handler can speak. Then what C touches before it could find
 * out: its sections, the physical window, the console. Last what would go wrong only much later:
 * guard pages that guard nothing, top-level entries that come too late to be shared.
 *
 * The order matters: the first need that is not met names the mistake.
 */
#include "kernel_preflight.h"

#include <mem/kmap.h>
#include <platform.h>

#include "arch/cpu.h"
#include "arch/trap.h"
#include "diag/console.h"
#include "diag/report_preflight.h"
#include "diag/screen.h"
#include "diag/verdict.h"
#include "kernel_space.h"
#include "layout.h"
#include "physmap.h"

extern uint8_t kernel_text_start[], kernel_text_end[];
extern uint8_t kernel_rodata_start[], kernel_rodata_end[];
extern uint8_t kernel_data_start[], kernel_data_end[];
extern uint32_t boot_mbi_address;

enum { LOAD_BYTES = 64, NEEDS_MAX = VECTOR_COUNT + 40 };

static struct preflight_need needs[NEEDS_MAX];
static size_t need_count;

static void need(struct preflight_need n)
{
    if (need_count == NEEDS_MAX)
        platform_panic("preflight: more than %u needs", NEEDS_MAX);
    needs[need_count++] = n;
}

/* Physical, for an address in the image: in its high half, or low as the loader left it. */
static paddr_t image_pa(vaddr_t va)
{
    return PA(va.v >= KERNEL_OFFSET ? va.v - KERNEL_OFFSET : va.v);
}

static void need_image(const char *what, vaddr_t va, size_t bytes, unsigned flags, unsigned never)
{
    need((struct preflight_need){what, va, bytes, image_pa(va), flags, never, NEED_PAGES});
}

static void need_section(const char *what, const uint8_t *start, const uint8_t *end, unsigned flags,
                         unsigned never)
{
    need_image(what, ptr_vaddr(start), (size_t)(end - start), flags, never);
}

/* ---- what the CPU touches by itself --------------------------------------------------------- */

static void need_next_instructions(const struct switch_plan *plan, unsigned not_code)
{
    need_image("next instruction's", VA((vword_t)plan->load), LOAD_BYTES, MAP_EXEC, MAP_WRITE);
    vaddr_t sp = ptr_vaddr(__builtin_frame_address(0));
    need_image("stack", sp, sizeof(vword_t), MAP_WRITE, not_code);
}

static void need_traps(unsigned not_code)
{
    size_t count;
    const struct cpu_structure *s = cpu_structures(&count);
    for (size_t i = 0; i < count; i++)
        need_image(s[i].name, s[i].va, s[i].bytes, s[i].written ? MAP_WRITE : MAP_READ, not_code);
    for (unsigned v = 0; v < VECTOR_COUNT; v++)
        need_image("trap entry", cpu_gate_target(v), 1, MAP_EXEC, MAP_WRITE);
}

static void need_stacks(unsigned not_code)
{
    size_t count;
    const struct cpu_stack *s = cpu_stacks(&count);
    for (size_t i = 0; i < count; i++)
        need_image(s[i].name, s[i].bottom, s[i].top.v - s[i].bottom.v, MAP_WRITE, not_code);
}

/* ---- what C touches ------------------------------------------------------------------------- */

static void need_sections(unsigned not_code)
{
    need_section("kernel text", kernel_text_start, kernel_text_end, MAP_EXEC, MAP_WRITE);
    need_section("kernel rodata", kernel_rodata_start, kernel_rodata_end, MAP_READ,
                 MAP_WRITE | not_code);
    for (const uint8_t *from = kernel_data_start; from < kernel_data_end;) {
        const uint8_t *guard = kernel_next_guard(from, kernel_data_end);
        need_section("kernel data", from, guard, MAP_WRITE, not_code);
        from = guard + PAGE_SIZE;
    }
    if (physmap.shows_all)
        need((struct preflight_need){
            "kernel text's window",
            VA(physmap.start + (vword_t)image_pa(ptr_vaddr(kernel_text_start)).v),
            (size_t)(kernel_text_end - kernel_text_start), image_pa(ptr_vaddr(kernel_text_start)),
            MAP_READ, MAP_WRITE | not_code, NEED_PAGES});
}

static void need_screen(void)
{
    struct preflight_need screen = {.what = "console", .flags = MAP_WRITE};
    screen.va = ptr_vaddr(screen_early(&screen.bytes, &screen.pa));
    need(screen);
}

/* ---- what would show much later ------------------------------------------------------------- */

static void need_guards(void)
{
    size_t count;
    const struct cpu_stack *s = cpu_stacks(&count);
    for (size_t i = 0; i < count; i++)
        need((struct preflight_need){
            .what = "guard", .va = s[i].guard, .bytes = PAGE_SIZE, .kind = NEED_ABSENT});
}

static void need_top_entries(void)
{
    need((struct preflight_need){
        .what = "heap", .va = VA(HEAP_START), .bytes = HEAP_BYTES, .kind = NEED_TOP_ENTRY});
    need((struct preflight_need){
        .what = "device", .va = VA(MMIO_START), .bytes = MMIO_BYTES, .kind = NEED_TOP_ENTRY});
}

/* ---- whose frame is it ---------------------------------------------------------------------- */

static const char *tenant(void *ctx, pfn_t frame)
{
    const struct kernel *k = ctx;
    uint64_t pa = pfn_paddr(frame).v;
    uint64_t last = boot_mbi_address + (uint64_t)k->boot.total_size - 1;
    if (pa >> PAGE_SHIFT >= boot_mbi_address >> PAGE_SHIFT &&
        pa >> PAGE_SHIFT <= last >> PAGE_SHIFT)
        return "boot information";
    if (frame.v == k->aspace.adopted.v)
        return NULL;
    for (size_t i = 0; i < k->map.count; i++) {
        const struct boot_range *r = &k->map.ranges[i];
        if (pa >= r->start && pa <= r->last)
            return r->owner == OWNER_TABLE ? NULL : frame_owner_name(r->owner);
    }
    return "hole in the memory map";
}

void kernel_preflight(const struct kernel *k, const struct switch_plan *plan)
{
    unsigned not_code = k->features.nx ? MAP_EXEC : 0;
    void *window = kmap(paddr_pfn(k->aspace.root)); /* the same address before and after */

    need_next_instructions(plan, not_code);
    need_traps(not_code);
    need_stacks(not_code);
    need((struct preflight_need){"physical window", ptr_vaddr(window), PAGE_SIZE,
                                 pfn_paddr(paddr_pfn(k->aspace.root)), MAP_WRITE, not_code,
                                 NEED_PAGES});
    need_sections(not_code);
    if (!plan->close_screen)
        need_screen();
    need_guards();
    need_top_entries();
    if (plan->extra.bytes)
        need(plan->extra);

    struct preflight flight = {&k->aspace, plan->controls, platform_root(), plan->flush,
                               needs,      need_count,     tenant,          (void *)k};
    struct preflight_refusal refusal;
    bool fine = paging_preflight(&flight, &refusal);
    kunmap(window);
    if (fine)
        return;
    char text[240];
    preflight_text(&refusal, text, sizeof text);
    kprintf("%spreflight: %s%s\n", colour(RED), text, colour(PLAIN));
    verdict_fail("the new page tables are not loaded");
}
