/* SPDX-License-Identifier: MIT */
/* heap_trace.h - what programs ask of a heap, made up or recorded: the same on every machine. */
#ifndef BENCH_HEAP_TRACE_H
#define BENCH_HEAP_TRACE_H

#include <stdbool.h>
#include <stddef.h>
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

/*
 * Makes the trace of that name or, when the name has a slash, reads that file. False: there is
 * none, it is no trace, or there is no memory. The memory is never given back, nor taken from a
 * heap.
 */
bool heap_trace_open(const char *name, struct heap_trace *out);

/* The half of the above that reads; `peak` stays 0. */
bool heap_trace_read(const char *path, struct heap_trace *out);

/* Present, zeroed memory that no heap knows of; NULL: there is none. */
void *heap_trace_pages(size_t bytes);

#endif
