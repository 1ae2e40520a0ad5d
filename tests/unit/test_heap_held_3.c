/* SPDX-License-Identifier: MIT */
/* test_heap_held_3.c - test_heap_held.c at HEAP_HARDEN level 3. */
#define HEAP_HARDEN 3
#include "heap_level.h"

#include "test_heap_held.c"
