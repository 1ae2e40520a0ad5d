/* SPDX-License-Identifier: MIT */
/*
 * step.h - how many instructions one call takes, exactly. x86_64 Linux.
 *
 * The processor traps after each instruction of the call and a signal handler counts, so the answer
 * is the same on a busy machine and on an idle one. A repeated string instruction counts once. A
 * step costs microseconds: count single calls, and bring the state about at full speed.
 */
#ifndef BENCH_STEP_H
#define BENCH_STEP_H

#include <stdbool.h>
#include <stdint.h>

typedef void step_fn(void); /* any function of at most two integers, cast */

struct step {
    uint64_t instructions; /* from the first one of the function to its return, both included   */
    uint64_t turns;        /* of string instructions, but for the last of each: not in the above */
    uint64_t result;       /* what the function returned                                        */
    bool cut;              /* it went on past the limit, uncounted: `instructions` is a minimum */
};

/* Takes SIGTRAP over. Once, before the first call. */
void step_init(void);

/* Calls fn(a, b); counting ends after `limit` instructions, or 4 * limit turns of a string one. */
struct step step_call(step_fn *fn, uint64_t a, uint64_t b, uint64_t limit);

#endif
