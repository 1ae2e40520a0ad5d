/* SPDX-License-Identifier: MIT */
/*
 * verdict.c - verdicts, backtraces, panics and complaints.
 *
 * Everything here must work when little else does: no allocation, no locks, and a backtrace that
 * follows frame pointers only while they stay inside one of the kernel's stacks and rise.
 */
#include "diag/verdict.h"

#include <platform.h>

#include "arch/control.h"
#include "arch/cpu.h"
#include "dev/debug_exit.h"
#include "diag/console.h"
#include "diag/explain.h"
#include "lib/fmt.h"

enum { BACKTRACE_MAX = 32 };

void verdict_pass(void)
{
    console_to_all();
    kprintf("twinpage: verdict pass\n"); /* no colours: scripts match the line */
    debug_exit(true);
}

static void vverdict_fail(const char *why, va_list args)
{
    static char text[256];
    vfmt(text, sizeof text, why, args);
    console_to_all();
    kprintf("twinpage: verdict fail: %s\n", text);
}

void verdict_fail(const char *why, ...)
{
    va_list args;
    va_start(args, why);
    vverdict_fail(why, args);
    va_end(args);
    debug_exit(false);
}

static bool on_a_stack(vword_t address)
{
    size_t count;
    const struct cpu_stack *stacks = cpu_stacks(&count);
    for (size_t i = 0; i < count; i++) {
        if (address >= stacks[i].bottom.v && address <= stacks[i].top.v - 2 * sizeof(vword_t))
            return true;
    }
    return false;
}

/* A way back is the address after the call: one less lies in the line that called. */
static void print_place(vword_t ip, bool way_back)
{
    struct place_text place = explain_place(ip - way_back);
    kprintf("    %p  %s\n", (void *)ip, place.text);
}

void backtrace(vword_t ip, vword_t bp)
{
    kprintf("  called from:\n");
    print_place(ip, false);
    for (unsigned i = 0; i < BACKTRACE_MAX && bp % sizeof bp == 0 && on_a_stack(bp); i++) {
        const vword_t *frame = vaddr_ptr(VA(bp)); /* [0] the caller's frame, [1] the way back */
        if (!frame[1])
            break;
        print_place(frame[1], true);
        if (frame[0] <= bp)
            break;
        bp = frame[0];
    }
}

void platform_panic(const char *format, ...)
{
    static bool panicking;
    interrupts_off();
    if (panicking) {
        kprintf("panic within a panic\n");
        debug_exit(false);
    }
    panicking = true;
    console_to_all();
    console_log_pause(false);

    static char why[256];
    va_list args;
    va_start(args, format);
    vfmt(why, sizeof why, format, args);
    va_end(args);
    kprintf("\n%sPANIC: %s%s\n", colour(RED), why, colour(PLAIN));
    backtrace((vword_t)__builtin_return_address(0), (vword_t)__builtin_frame_address(0));
    verdict_fail("panic: %s", why);
}

void platform_complain(const char *format, ...)
{
    bool paused = console_log_pause(false);
    va_list args;
    va_start(args, format);
    kprintf("%s", colour(YELLOW));
    kvprintf(format, args);
    kprintf("%s\n", colour(PLAIN));
    va_end(args);
    console_log_pause(paused);
}
