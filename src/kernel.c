/* SPDX-License-Identifier: MIT */
/*
 * kernel.c - the table of contents.
 *
 * Each step takes what the last one made and nothing looks back (docs/architecture.md draws it).
 * A step that cannot go on ends the run with one sentence on every console and a failing verdict.
 */
#include "kernel.h"

#include <mem/frames.h>
#include <mem/kmalloc.h>
#include <mem/kmap.h>
#include <platform.h>

#include "arch/control.h"
#include "arch/cpu.h"
#include "arch/trap.h"
#include "cmdline.h"
#include "dev/fw_cfg.h"
#include "dev/pic.h"
#include "diag/asan.h"
#include "diag/banner.h"
#include "diag/commands.h"
#include "diag/console.h"
#include "diag/fault.h"
#include "diag/heap_fault.h"
#include "diag/input.h"
#include "diag/ledger.h"
#include "diag/refuse.h"
#include "diag/report_line.h"
#include "diag/screen.h"
#include "diag/selftest.h"
#include "diag/shell.h"
#include "diag/stack_guard.h"
#include "diag/units.h"
#include "diag/verdict.h"
#include "kernel_space.h"
#include "layout.h"
#include "lib/string.h"
#include "physmap.h"

struct kernel kernel;

static struct boot_range ranges[8192];

extern uint8_t boot_mbi[]; /* entry32.asm, entry64.asm */
extern uint32_t boot_mbi_bytes, boot_mbi_address, boot_magic;

/* From here on every word is heard and every fault is explained. */
static void find_a_voice(struct kernel *k)
{
    screen_open_serial();
    screen_open_early();
    cpu_load_descriptors();
    trap_init(fault_explain, pic_dispatch);
    cpu_enable_features(&k->features, &k->cpu);
    physmap_start();
    banner_open(k);
}

/* Under QEMU a test may put other boot information in place of the loader's. */
static void replace_boot_information(void)
{
    size_t bytes = fw_cfg_load("opt/twinpage/mbi", boot_mbi, BOOT_MBI_MAX);
    if (bytes)
        boot_mbi_bytes = bytes < BOOT_MBI_MAX ? (uint32_t)bytes : BOOT_MBI_MAX;
}

/* The assembly has copied the boot information before anything could overwrite it. */
static void read_boot_information(struct kernel *k)
{
    replace_boot_information();
    size_t where = 0;
    enum multiboot2_err err =
        multiboot2_parse(boot_magic, boot_mbi, boot_mbi_bytes, &k->boot, &where);
    if (!err && boot_mbi_address % 8) /* our copy is aligned, whatever the original was */
        err = MB2_MISALIGNED;
    if (err)
        verdict_fail("boot information at 0x%x + 0x%zx: %s: %s", boot_mbi_address, where,
                     multiboot2_err_name(err), multiboot2_err_text(err));
    k->mbi = boot_mbi;

    memcpy(k->cmdline, k->boot.cmdline, sizeof k->cmdline);
    fw_cfg_read("opt/twinpage/cmdline", k->cmdline, sizeof k->cmdline);
    console_quiet(cmdline_find(k->cmdline, "quiet", NULL, 0));
    banner_boot(k);
}

/* Says what was found and what is needed, before something runs out half-way. */
static void check_there_is_enough(const struct bootmap *map)
{
    struct bootmap_totals t = bootmap_totals(map);
    uint64_t free = t.owned_frames[OWNER_NONE] << PAGE_SHIFT;
    if (free < KERNEL_NEEDS)
        verdict_fail("memory map: MEM_NO_FRAME: %s usable, %s of it free; this kernel needs %s "
                     "beside its image",
                     size_text(t.usable_frames << PAGE_SHIFT).text, size_text(free).text,
                     size_text(KERNEL_NEEDS).text);
}

/* Canonical ranges; then everything that is spoken for gets its owner before anyone allocates. */
static void map_physical_memory(struct kernel *k)
{
    uint64_t image, bytes;
    kernel_image_extent(&image, &bytes);
    enum mem_err err =
        bootmap_init(&k->map, ranges, sizeof ranges / sizeof ranges[0], PHYSICAL_LIMIT);
    if (!err)
        err = bootmap_from_multiboot2(&k->map, k->mbi, &k->boot);
    if (!err)
        err = bootmap_reserve(&k->map, image, bytes, OWNER_KERNEL);
    if (!err)
        err = bootmap_reserve(&k->map, boot_mbi_address, k->boot.total_size, OWNER_BOOT_INFO);
    if (err)
        verdict_fail("memory map: %s", mem_err_name(err));
    banner_map(k);
    check_there_is_enough(&k->map);
}

/* Our own tables: W^X sections, the physical window, every top-level entry. The low map ends. */
static void take_over_paging(struct kernel *k)
{
    enum mem_err err = kernel_space_build(k);
    if (!err)
        err = asan_build(&k->map, &k->aspace);
    if (err)
        verdict_fail("kernel page tables: %s; %zu stand in %zu frames", mem_err_name(err),
                     k->aspace.tables, (size_t)bootmap_totals(&k->map).owned_frames[OWNER_TABLE]);
    kernel_space_switch(k);
    mmio_init(&k->mmio, &k->aspace, VA(MMIO_START), MMIO_BYTES);
    screen_open(k);
    banner_paging(k);
}

/* Frames for an owner: how page tables and the heap get theirs. */
static pfn_t take_frame(void *owner)
{
    return frames_take((enum frame_owner)(uintptr_t)owner);
}

static void give_frame(void *owner, pfn_t frame)
{
    enum frame_owner o = (enum frame_owner)(uintptr_t)owner;
    enum mem_err err = frames_give(frame, o);
    if (err)
        platform_panic("frame 0x%zx of the %s: %s", (size_t)frame.v, frame_owner_name(o),
                       mem_err_name(err));
}

static struct frame_source frames_for(enum frame_owner owner)
{
    return (struct frame_source){take_frame, give_frame, (void *)(uintptr_t)owner};
}

/* The metadata is measured by a map that has not got it yet: taking its frames, and those of the
 * tables that map it, from the fronts of ranges makes two ranges more, or three. */
enum { RANGES_TO_COME = 4 };

/* Where the window shows all RAM the metadata needs no mapping of its own. */
static enum mem_err map_metadata(struct kernel *k, pfn_t first, size_t frames, void **metadata)
{
    if (!physmap.shows_all)
        return map_mmio(&k->mmio, pfn_paddr(first), frames * PAGE_SIZE, MAP_WRITE, "pmm metadata",
                        metadata);
    *metadata = kmap(first);
    return MEM_OK;
}

/* The PMM's own memory is the last thing that the early allocator gives. */
static void start_frames(struct kernel *k)
{
    size_t bytes = pmm_metadata_bytes(&k->map) + RANGES_TO_COME * PMM_BYTES_PER_RANGE;
    size_t frames = (bytes + PAGE_SIZE - 1) / PAGE_SIZE;
    pfn_t first;
    void *metadata;
    enum mem_err err =
        refuse_this() ? MEM_NO_FRAME : bootmap_take(&k->map, frames, 0, 0, OWNER_PMM, &first);
    if (!err)
        err = map_metadata(k, first, frames, &metadata);
    bootmap_close(&k->map);
    if (!err)
        err = pmm_init(&k->pmm, &k->map, metadata, frames * PAGE_SIZE);
    if (!err)
        err = frames_init(&k->pmm);
    if (err)
        verdict_fail("frame allocator: %s (%zu KiB of metadata)", mem_err_name(err), bytes / 1024);
    k->aspace.source = refuse_source(frames_for(OWNER_TABLE));
    banner_frames(k);
}

static void start_heap(struct kernel *k)
{
    k->heap_pages = refuse_source(frames_for(OWNER_HEAP));
    enum mem_err err = kmalloc_init(&k->heap, &k->aspace, &k->heap_pages, VA(HEAP_START),
                                    HEAP_BYTES, heap_fault_explain);
    if (err) {
        k->heap_pages.take = NULL; /* it has not begun */
        verdict_fail("heap: %s; ledger: %s", mem_err_name(err),
                     ledger_note("heap") ? "exact" : ledger_now().broken);
    }
    banner_heap(k);
}

/* Whose every frame is, at this stage: the sum is exact, or the run ends. */
static void balance(const char *after)
{
    if (!ledger_note(after))
        verdict_fail("ledger after the %s: %s", after, ledger_now().broken);
}

/* Words by which a test makes the kernel fail, to see that the test notices. */
static void fail_on_request(const char *line)
{
    if (cmdline_find(line, "test-panic", NULL, 0))
        platform_panic("asked for on the command line");
    if (cmdline_find(line, "test-hang", NULL, 0))
        for (;;)
            interrupts_off();
    if (cmdline_find(line, "test-triple", NULL, 0))
        cpu_triple_fault();
}

/* `selftest`, `bench` and `run=` end with a verdict; otherwise the shell stays. Answers are not
 * log. */
[[gnu::noreturn]] static void serve(struct kernel *k)
{
    static char run[BOOT_CMDLINE_MAX];
    fail_on_request(k->cmdline);
    console_quiet(false);
    console_log_pause(true);
    shell_init(commands);
    if (cmdline_find(k->cmdline, "selftest", NULL, 0) && !selftest_all())
        verdict_fail("self-test");
    if (cmdline_find(k->cmdline, "run", run, sizeof run) && !shell_execute(run))
        verdict_fail("run: a command failed");
    bool bench = cmdline_find(k->cmdline, "bench", NULL, 0);
    if (bench && !shell_execute("bench -j"))
        verdict_fail("bench");
    if (bench || *run || cmdline_find(k->cmdline, "selftest", NULL, 0))
        verdict_pass();
    report_line_start();
    shell_run();
}

void kernel_main(void);
void kernel_main(void)
{
    struct kernel *k = &kernel;
    stack_guard_draw();
    asan_start();
    find_a_voice(k);
    k->begun = k->cpu.tsc ? read_tsc() : 0;
    read_boot_information(k);
    refuse_at_start(k->cmdline);
    map_physical_memory(k);
    take_over_paging(k);
    start_frames(k);
    balance("frame allocator");
    start_heap(k);
    balance("heap");
    input_init();
    if (!selftest_smoke())
        verdict_fail("smoke test");
    balance("smoke test");
    refuse_started();
    k->ready = k->cpu.tsc ? read_tsc() : 0;
    serve(k);
}
