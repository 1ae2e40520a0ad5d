/* SPDX-License-Identifier: MIT */
/*
 * shadow.h - what the address sanitizer is told, in kernels built with SANITIZE=asan; in others the
 * calls are empty. src/diag/asan.c has the shadow.
 */
#ifndef LIB_SHADOW_H
#define LIB_SHADOW_H

#include <stdbool.h>
#include <stddef.h>

#ifdef SHADOW_OFFSET

/* The heap gave this many bytes, or took them back; NULL and what is no heap block: nothing. */
void shadow_live(const void *block, size_t bytes);
void shadow_dead(const void *block);

/* Assembly is about to read or write this. */
void shadow_touch(const void *at, size_t bytes, bool write);

/* Between these nothing is checked: the heap is at work in its own memory. They nest. */
void shadow_pause(void);
void shadow_resume(void);

#else

static inline void shadow_live(const void *block, size_t bytes)
{
    (void)block;
    (void)bytes;
}

static inline void shadow_dead(const void *block)
{
    (void)block;
}

static inline void shadow_touch(const void *at, size_t bytes, bool write)
{
    (void)at;
    (void)bytes;
    (void)write;
}

static inline void shadow_pause(void)
{
}

static inline void shadow_resume(void)
{
}

#endif
#endif
