/* SPDX-License-Identifier: MIT */
/*
 * paging_choices.h - what fuzz_paging.c calls with: bytes of the input read as addresses near the
 * borders of every level, as lengths, flags and CPUs. Most calls so made are sensible, some are
 * not.
 */
#ifndef PAGING_CHOICES_H
#define PAGING_CHOICES_H

#include "fuzz.h"
#include "mappings.h"

#define LARGE ((uint64_t)(WIDE ? 2 : 4) << 20)
#define TOP   ((uint64_t)UINTPTR_MAX)

uint64_t pick_va(struct choices *c);
uint64_t pick_bytes(struct choices *c);

/* Mostly aligned as va is, so that large pages are possible. */
uint64_t pick_pa(struct choices *c, uint64_t va, const struct paging_features *f);

/* W and X together seldom, a flag that there is not more seldom still. */
unsigned pick_flags(struct choices *c);

struct paging_features pick_features(struct choices *c);

#endif
