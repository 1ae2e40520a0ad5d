/* SPDX-License-Identifier: MIT */
/* pmm_measure.h - takes one frame source through its paces at one size of RAM. */
#ifndef BENCH_PMM_MEASURE_H
#define BENCH_PMM_MEASURE_H

#include "frame_source.h"

/* What is measured: instructions a call, but for the last two. */
enum pmm_cell {
    CHURN_50_ALLOC,
    CHURN_50_FREE,
    CHURN_90_ALLOC,
    CHURN_90_FREE,
    CHURN_99_ALLOC,
    CHURN_99_FREE,
    SETTLED_ALLOC,
    SETTLED_FREE,
    BURST_ALLOC,
    BURST_FREE,
    WORST_CALL,
    RUN_2M,
    RUN_33,
    RUN_7,
    RUN_REFUSED,
    LAST_FRAME,
    INIT_PER_GIB, /* each turn of a string instruction counted */
    METADATA,     /* bytes a frame */
    PMM_CELLS
};

/* A short name without spaces, and what the table says. */
extern const char *const pmm_cell_names[PMM_CELLS];
extern const char *const pmm_cell_titles[PMM_CELLS];

enum figure_kind {
    ABSENT, /* not measured: the source cannot, or it would take too long    */
    EXACT,
    AT_LEAST, /* counting was cut at a limit                                    */
    SCALED    /* measured on 16 MiB and multiplied                              */
};

struct figure {
    double value;
    enum figure_kind kind;
};

/*
 * Measures `of` with `frames` frames, a multiple of 2^16. Every frame given out is checked against
 * a shadow bitmap: one given out twice, out of range, misaligned or lost ends the program with
 * exit status 1 and a line that says so. step_init comes first.
 */
void pmm_measure(const struct frame_source *of, uint64_t frames, struct figure out[PMM_CELLS]);

#endif
