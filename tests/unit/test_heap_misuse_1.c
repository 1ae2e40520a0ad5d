/* SPDX-License-Identifier: MIT */
/* test_heap_misuse_1.c - test_heap_misuse.c at HEAP_HARDEN level 1. */
#define HEAP_HARDEN 1
#include "heap_level.h"

#include "test_heap_misuse.c"
