/* SPDX-License-Identifier: MIT */
/*
 * paging_pieces.h - the model of test_paging_exhaustive.c: what is mapped, as disjoint pieces,
 * which calls that succeed cut and add. It is copied for every call, so there is room for few.
 */
#ifndef PAGING_PIECES_H
#define PAGING_PIECES_H

#include <mem/types.h>

enum { CALLS_MAX = 4 };

struct span {
    vword_t va;
    size_t bytes;
};

struct piece {
    struct span at;
    paddr_t pa;
    unsigned flags;
};

struct model {
    struct piece piece[8 * CALLS_MAX];
    unsigned count;
};

static const struct piece *piece_at(const struct model *m, vword_t va)
{
    for (unsigned i = 0; i < m->count; i++) {
        if (va - m->piece[i].at.va < m->piece[i].at.bytes)
            return &m->piece[i];
    }
    return NULL;
}

/* Bytes of the span that are mapped. */
static size_t mapped_in(const struct model *m, struct span s)
{
    size_t sum = 0;
    for (unsigned i = 0; i < m->count; i++) {
        struct span p = m->piece[i].at;
        vword_t from = p.va > s.va ? p.va : s.va;
        vword_t p_last = p.va + (p.bytes - 1), s_last = s.va + (s.bytes - 1);
        vword_t last = p_last < s_last ? p_last : s_last;
        if (from <= last)
            sum += last - from + 1;
    }
    return sum;
}

static void add_piece(struct model *m, struct span s, paddr_t pa, unsigned flags)
{
    if (s.bytes)
        m->piece[m->count++] = (struct piece){s, pa, flags};
}

/* Cuts [s) out of every piece; with `flags` not NULL the part cut out comes back with them. */
static void cut(struct model *m, struct span s, const unsigned *flags)
{
    struct model old = *m;
    m->count = 0;
    for (unsigned i = 0; i < old.count; i++) {
        struct piece p = old.piece[i];
        vword_t p_last = p.at.va + (p.at.bytes - 1), s_last = s.va + (s.bytes - 1);
        if (p_last < s.va || s_last < p.at.va) {
            m->piece[m->count++] = p;
            continue;
        }
        vword_t from = p.at.va > s.va ? p.at.va : s.va, last = p_last < s_last ? p_last : s_last;
        add_piece(m, (struct span){p.at.va, from - p.at.va}, p.pa, p.flags);
        if (flags)
            add_piece(m, (struct span){from, last - from + 1}, paddr_add(p.pa, from - p.at.va),
                      *flags);
        add_piece(m, (struct span){last + 1, p_last - last}, paddr_add(p.pa, last + 1 - p.at.va),
                  p.flags);
    }
}

#endif
