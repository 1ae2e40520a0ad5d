/* SPDX-License-Identifier: MIT */
/* test_pmm_tags.c - the frame allocator once more, with tags. */
#include "pmm_tagged.h"

#include "test_pmm.c"
