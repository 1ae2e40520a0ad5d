/* SPDX-License-Identifier: MIT */
/* test_heap_damage_tree_1.c - test_heap_damage_tree.c at HEAP_HARDEN level 1. */
#define HEAP_HARDEN 1
#include "heap_level.h"

#include "test_heap_damage_tree.c"
