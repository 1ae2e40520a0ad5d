/* SPDX-License-Identifier: MIT */
/* heap_level.h - the heap at another HEAP_HARDEN level, which the includer defines. */
#include "../../src/mem/heap.c"
#include "../../src/mem/heap_check.c"
#include "../../src/mem/heap_guard.c"
#include "../../src/mem/heap_init.c"
#include "../../src/mem/heap_lists.c"
#include "../../src/mem/heap_resize.c"
#include "../../src/mem/heap_space.c"
#include "../../src/mem/heap_tree.c"
#include "../../src/mem/heap_tree_check.c"
#include "../../src/mem/heap_walk.c"
