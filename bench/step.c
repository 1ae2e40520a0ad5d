/* SPDX-License-Identifier: MIT */
/*
 * step.c - counts by the trap flag.
 *
 * With EFLAGS.TF set the processor raises a debug exception after every instruction (SDM
 * 3B 18.3.1.4) and Linux makes it a SIGTRAP; while the handler runs the flag is off. `step_enter`
 * sets the flag in one POPF, calls, and clears it in another. What traps of its own instructions is
 * the same every time, so `step_init` measures it once with a function that only returns.
 *
 * A repeated string instruction traps after each turn with the address of itself: a trap at the
 * place of the one before is a further turn, not a further instruction.
 */
#define _GNU_SOURCE
#include "step.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <ucontext.h>

enum { TRAP_FLAG = 0x100, TURNS = 4 };

/* uint64_t step_enter(step_fn *fn, uint64_t a, uint64_t b) */
uint64_t step_enter(step_fn *fn, uint64_t a, uint64_t b);
void step_nothing(void);
__asm__(".pushsection .text\n"
        ".globl step_enter, step_nothing\n"
        ".type step_enter, @function\n"
        "step_enter:\n"
        "    sub $8, %rsp\n" /* calls are made with the stack 16-byte aligned */
        "    mov %rdi, %rax\n"
        "    mov %rsi, %rdi\n"
        "    mov %rdx, %rsi\n"
        "    pushfq\n"
        "    orq $0x100, (%rsp)\n"
        "    popfq\n"
        "    call *%rax\n" /* the first instruction to trap */
        "    pushfq\n"
        "    andq $~0x100, (%rsp)\n"
        "    popfq\n" /* the last one */
        "    add $8, %rsp\n"
        "    ret\n"
        ".type step_nothing, @function\n"
        "step_nothing:\n"
        "    ret\n"
        ".popsection\n");

static volatile uint64_t traps, turns, most, place;
static volatile bool cut;
static uint64_t own; /* traps of step_enter itself */

static void on_trap(int signal, siginfo_t *info, void *context)
{
    greg_t *regs = ((ucontext_t *)context)->uc_mcontext.gregs;
    uint64_t here = (uint64_t)regs[REG_RIP];
    (void)signal;
    (void)info;
    if (here == place)
        turns++;
    else
        traps++;
    place = here;
    if (traps <= most && turns <= TURNS * most)
        return;
    cut = true;
    regs[REG_EFL] &= ~(greg_t)TRAP_FLAG;
}

struct step step_call(step_fn *fn, uint64_t a, uint64_t b, uint64_t limit)
{
    traps = turns = place = 0;
    most = limit + own;
    cut = false;
    uint64_t result = step_enter(fn, a, b);
    return (struct step){.instructions = traps - own, .turns = turns, .result = result, .cut = cut};
}

void step_init(void)
{
    struct sigaction action = {.sa_sigaction = on_trap, .sa_flags = SA_SIGINFO};
    if (sigaction(SIGTRAP, &action, NULL)) {
        perror("step: sigaction");
        exit(2);
    }
    own = 0;
    own = step_call(step_nothing, 0, 0, 100).instructions - 1;
}
