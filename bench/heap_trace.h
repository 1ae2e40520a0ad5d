/* SPDX-License-Identifier: MIT */
/* heap_trace.h - what programs ask of a heap, made up here: the same calls on every machine. */
#ifndef BENCH_HEAP_TRACE_H
#define BENCH_HEAP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

enum heap_call { HEAP_TAKE, HEAP_RESIZE, HEAP_GIVE };

struct heap_op {
    enum heap_call call;
    uint32_t block; /* one number for the life of a block                 */
    uint32_t size;  /* of what is taken or resized to, never 0            */
    uint32_t align; /* 0: as the heap aligns anyway                       */
};

struct heap_trace {
    const char *name;
    struct heap_op *ops;
    uint32_t count, blocks;
    uint64_t peak; /* bytes asked for and live, at most */
};

/* Names in order, NULL after the last one. */
const char *heap_trace_name(unsigned i);

/* Makes the trace of that name; false: there is none, or no memory. Made pages are its own. */
bool heap_trace_make(const char *name, struct heap_trace *out);

#endif
