/* SPDX-License-Identifier: MIT */
/*
 * frame_source.h - what the frame table asks of an allocator: one struct of functions.
 *
 * Ours (pmm_ours.c) and the yardsticks each fill one. A source has one instance; `init` may be
 * called again and starts afresh with every frame of [0, frames) free.
 */
#ifndef BENCH_FRAME_SOURCE_H
#define BENCH_FRAME_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define FRAME_NONE UINT64_MAX

struct frame_source {
    const char *name;
    uint64_t most; /* frames that it can be asked to manage in reasonable time and memory  */
    bool (*init)(uint64_t frames);
    uint64_t (*alloc)(void); /* FRAME_NONE: all are taken                                  */
    void (*free)(uint64_t frame);
    uint64_t (*alloc_run)(uint64_t frames, uint64_t align); /* NULL: it knows no runs      */
    void (*free_run)(uint64_t first, uint64_t frames);
    size_t (*metadata_bytes)(void);
};

extern const struct frame_source source_ours, source_ours_cached;
extern const struct frame_source source_linear_bitmap, source_free_list, source_buddy;

/* Memory for metadata, present and writable, contents undefined; gives `old` back. NULL: none. */
void *metadata_room(void *old, size_t old_bytes, size_t bytes);

#endif
