/* SPDX-License-Identifier: MIT */
/* heap_library.h - our heap and the ones that programs use, behind one struct of functions. */
#ifndef BENCH_HEAP_LIBRARY_H
#define BENCH_HEAP_LIBRARY_H

#include <stdbool.h>
#include <stddef.h>

struct heap_library {
    void *(*take)(size_t bytes);
    void *(*take_aligned)(size_t align, size_t bytes);
    void *(*resize)(void *block, size_t bytes);
    void (*give)(void *block);
    size_t (*footprint)(void); /* bytes held now; NULL: ask the system what this process holds */
};

/*
 * Opens "nothing" (calls that only return), "glibc", "mimalloc", "jemalloc", or, by its path, a
 * shared object with the calls of heap_bench.c. False: it is not on this machine.
 */
bool heap_library_open(const char *name, struct heap_library *out);

#endif
