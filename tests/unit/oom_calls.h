/* SPDX-License-Identifier: MIT */
/* oom_calls.h - one of each call that takes memory, and of those that must never need any. */
#ifndef OOM_CALLS_H
#define OOM_CALLS_H

#include "oom_stack.h"

struct scenario {
    const char *name;
    void (*prepare)(void);
    enum mem_err (*call)(void);
    void (*undo)(void); /* NULL: what the call did is for good */
    bool needs_none;    /* the call must never ask for a frame */
    bool tries_again;   /* for less: it may get over one frame that is missing */
};

extern const struct scenario scenarios[];
extern const unsigned scenario_count;

#endif
