/* SPDX-License-Identifier: MIT */
/*
 * oom.h - every call and every self-test with every frame missing in turn.
 *
 * oom.c runs them, oom_calls.c has the calls, oom_state.c knows what must not change, and
 * oom_plant.c makes mistakes that have to be noticed.
 */
#ifndef DIAG_OOM_H
#define DIAG_OOM_H

#include "diag/selftest.h"

/* The command: oom [all|plant]. */
bool oom_command(const struct shell_args *args);

/* All of it as a self-test of its own, and before it the planted mistakes. */
extern const struct selftest selftests_sweep[];

/* ---- between the files ----------------------------------------------------------------------- */

/* What an exercise came to: over both ways to refuse, [0] once and [1] from then on. */
struct oom_tally {
    unsigned frames;                /* that it takes when it gets them all      */
    unsigned points[2], refused[2]; /* runs without one; of them, those refused */
};

/* Runs it with each frame missing, or with `every` false some of those from the 17th on. NULL: all
 * was well at every point; else the rule of oom.c that was broken. */
const char *oom_exercise(const struct selftest *test, bool every, struct oom_tally *tally);

/* The calls; they map at places that this finds. False: user space is full. */
extern const struct selftest oom_calls[];
bool oom_find_scratch(void);

/* The middle of 32 MiB of user space where nothing is mapped, at a border of tables; 0: there is
 * none. */
vword_t oom_scratch(void);

/* The state that every run must come back to; an error's name, if that cannot be told. */
const char *oom_remember(void);

/* NULL: all is as it was remembered. Else the rule of oom.c that does not hold. */
const char *oom_difference(void);

/* A digest of the tables that map all RAM, 0 where none do: as many as RAM is large. */
vword_t oom_window_digest(void);

/* Tries each mistake. NULL: all were noticed by the rule that is meant for them; else the name of
 * one that was not. `tell` hears of each. */
const char *oom_plant(void (*tell)(void *ctx, const char *name, const char *noticed), void *ctx);

#endif
