/* SPDX-License-Identifier: MIT */
/*
 * mappings.h - the model of fuzz_paging.c: what is mapped, as a list; and the same read from
 * tables.
 */
#ifndef MAPPINGS_H
#define MAPPINGS_H

#include <mem/paging.h>

enum { WIDE = sizeof(void *) == 8, PAGE = 4096, MAPPINGS_MAX = 1200 };

struct stretch {
    uint64_t va, bytes, pa;
    unsigned flags; /* as the entry says them */
};

/* Sorted by address; neighbours that go on are one. */
struct mappings {
    struct stretch s[MAPPINGS_MAX];
    size_t count;
};

/* Adds a stretch behind the last one. */
void mappings_push(struct mappings *l, struct stretch s);

/* Bytes of [va, va + bytes) that are mapped. */
uint64_t mappings_in(const struct mappings *l, uint64_t va, uint64_t bytes);

/* What was in [va, va + bytes) goes, or (keep) gets these flags; what is in `add` comes. */
void mappings_change(struct mappings *l, uint64_t va, uint64_t bytes, bool keep, unsigned flags,
                     const struct mappings *add);

/* The stretch that `va` is in; NULL: not mapped. */
const struct stretch *mappings_at(const struct mappings *l, uint64_t va);

/* Claims that both say the same, as far as `mask` has flags. */
void mappings_same(const struct mappings *a, const struct mappings *b, unsigned mask);

/* Reads the whole tree into `found`; how many tables it has. */
size_t tables_read(const struct aspace *as, struct mappings *found);

#endif
