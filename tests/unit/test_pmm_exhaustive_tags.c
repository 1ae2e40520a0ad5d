/* SPDX-License-Identifier: MIT */
/* test_pmm_exhaustive_tags.c - the frame allocator in every state, with tags. */
#include "pmm_tagged.h"

#include "test_pmm_exhaustive.c"
