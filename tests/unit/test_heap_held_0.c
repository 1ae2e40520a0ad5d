/* SPDX-License-Identifier: MIT */
/* test_heap_held_0.c - test_heap_held.c at HEAP_HARDEN level 0. */
#define HEAP_HARDEN 0
#include "heap_level.h"

#include "test_heap_held.c"
