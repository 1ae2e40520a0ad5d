/* SPDX-License-Identifier: MIT */
/*
 * ubsan_causes.c - undefined behaviour to show, in kernels built with SANITIZE=ubsan: `fault KIND`.
 *
 * What goes in and what comes out is volatile, so that the compiler knows nothing of the values.
 */
#include "diag/fault_command.h"

#include <limits.h>
#include <stdint.h>

static volatile int in, out;
static volatile long long wide;
static volatile uint8_t room[16] __attribute__((aligned(16)));

static void overflow(void)
{
    in = INT_MAX;
    out = in + 1;
}

static void multiply(void)
{
    wide = LLONG_MIN;
    wide = wide * 3;
}

static void negate(void)
{
    in = INT_MIN;
    out = -in;
}

static void divide(void)
{
    static volatile int by;
    in = INT_MIN;
    by = -1;
    out = in / by;
}

static void shift(void)
{
    in = 32;
    out = 1 << in;
}

static void index(void)
{
    static volatile uint8_t table[8];
    in = 8;
    out = table[in];
}

static void misaligned(void)
{
    static uint8_t bytes[8] __attribute__((aligned(8)));
    void *volatile at = bytes + 1;
    uint32_t *word = at; /* not volatile itself: clang would not look at its alignment */
    out = (int)*word;
}

static void member(void)
{
    struct pair {
        int first, second;
    } *volatile none = NULL;
    out = none->second;
}

static void pointer(void)
{
    volatile uint8_t *volatile end = (volatile uint8_t *)(UINTPTR_MAX - 3);
    static volatile size_t step;
    step = 16;
    out = end + step == room;
}

static void truth(void)
{
    room[0] = 7;
    out = *(volatile bool *)room;
}

static void unreachable(void)
{
    in = 1;
    if (in)
        __builtin_unreachable();
}

const struct fault_cause sanitizer_causes[] = {
    {"overflow", "add to the largest int", overflow},
    {"multiply", "multiply beyond a long long", multiply},
    {"negate", "negate the least int", negate},
    {"quotient", "divide the least int by -1", divide},
    {"shift", "shift by the width of the type", shift},
    {"index", "an index one beyond the array", index},
    {"misalign", "a word at an odd address", misaligned},
    {"member", "a member of a NULL structure", member},
    {"pointer", "a pointer that wraps", pointer},
    {"truth", "a bool that is 7", truth},
    {"reached", "what was declared unreachable", unreachable},
    {NULL, NULL, NULL},
};
