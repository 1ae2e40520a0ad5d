/* SPDX-License-Identifier: MIT */
/* ledger.h - whose every frame of RAM is, noted at each stage, and proof that the sum is exact. */
#ifndef DIAG_LEDGER_H
#define DIAG_LEDGER_H

#include <mem/pmm.h>

struct ledger_stage {
    const char *after; /* "heap" */
    struct pmm_stats frames;
    const char *broken; /* the rule of ledger.c that does not hold; NULL: the sum is exact */
};

/* The books as they are now. */
struct ledger_stage ledger_now(void);

/* Keeps them for meminfo, in place of an older note of that name. False: the sum is not exact. */
bool ledger_note(const char *after);

enum { LEDGER_STAGES = 8 };

/* The notes kept, oldest first. */
extern struct ledger {
    struct ledger_stage stage[LEDGER_STAGES];
    unsigned count;
} ledger;

#endif
