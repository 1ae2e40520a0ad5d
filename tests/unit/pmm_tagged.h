/* SPDX-License-Identifier: MIT */
/* pmm_tagged.h - the frame allocator, built with an owner's tag on every frame. */
#define PMM_TAGS 1

#include "../../src/mem/pmm.c"
#include "../../src/mem/pmm_cache.c"
#include "../../src/mem/pmm_check.c"
#include "../../src/mem/pmm_claim.c"
#include "../../src/mem/pmm_layout.c"
#include "../../src/mem/pmm_look.c"
#include "../../src/mem/pmm_run.c"
#include "../../src/mem/pmm_search.c"
