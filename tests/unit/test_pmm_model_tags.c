/* SPDX-License-Identifier: MIT */
/* test_pmm_model_tags.c - the frame allocator in the long games, with tags. */
#include "pmm_tagged.h"

#include "test_pmm_model.c"
