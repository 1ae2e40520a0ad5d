/* SPDX-License-Identifier: MIT */
/* commands.c - every command in one table; and reboot, which ends the run. */
#include "diag/commands.h"

#include "arch/cpu.h"
#include "diag/bench.h"
#include "diag/fault_command.h"
#include "diag/oom.h"
#include "diag/report.h"
#include "diag/selftest.h"
#include "diag/storm.h"
#include "diag/try.h"

static bool command_reboot(const struct shell_args *args)
{
    (void)args;
    cpu_reset();
}

const struct shell_command commands[] = {
    {"meminfo", "meminfo", "how much memory there is, and whose it is", report_meminfo},
    {"mmap", "mmap", "the firmware's memory map, raw and made canonical", report_mmap_command},
    {"pmm", "pmm", "the frame allocator: counts, runs by size, refusals", report_pmm},
    {"frames", "frames", "a picture of physical memory", report_frames},
    {"walk", "walk ADDR", "every page-table level on the way to an address", report_walk},
    {"why", "why ADDR", "whose an address is, and what forbids what there", report_why},
    {"ptdump", "ptdump", "everything that is mapped, and the W^X audit", report_ptdump},
    {"heap", "heap [check|trim]",
     "totals, picture, sizes; check: invariants only; trim: first gives back", report_heap},
    {"blocks", "blocks [ADDR]", "the heap block by block: size, state, who asked for it",
     report_blocks},
    {"leaks", "leaks [keep|diff]", "live heap blocks by caller; what has changed since kept",
     report_leaks},
    {"alloc", "alloc BYTES [TIMES [ALIGN]]", "heap blocks to play with", command_alloc},
    {"free", "free ADDR", "free one, or see what the heap says of a wrong address", command_free},
    {"heap_test", "heap_test [OPS]", "random heap calls with contents checked", heap_test_command},
    {"map", "map ADDR [PAGES]", "fresh frames in user space, to look at", try_map},
    {"unmap", "unmap ADDR [PAGES]", "takes them away again", try_unmap},
    {"protect", "protect ADDR r|rw", "what may be done there; ADDR [PAGES] r|rw", try_protect},
    {"grab", "grab BYTES", "takes memory from the heap, to look at", try_grab},
    {"drop", "drop", "gives the newest of it back", try_drop},
    {"selftest", "selftest", "every self-test on this machine", selftest_command},
    {"oom", "oom [all|plant]", "calls and self-tests with every frame missing in turn",
     oom_command},
    {"cpu", "cpu", "what this CPU has, and what is used of it", report_cpu},
    {"storm", "storm SEED N", "random paging calls; check|edges|tighten|clear|stop", storm_command},
    {"bench", "bench", "what the memory calls cost, in instructions", bench_command},
    {"dmesg", "dmesg", "everything said since boot", report_dmesg},
    {"fault", "fault [KIND]", "make a mistake on purpose and see it explained", fault_command},
    {"reboot", "reboot", "reset the machine", command_reboot},
    {NULL, NULL, NULL, NULL},
};
