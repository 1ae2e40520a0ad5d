/* SPDX-License-Identifier: MIT */
/*
 * pmm_tree.h - a bit string under summaries, one bit a word, 1 = that word is not zero. Private to
 * pmm*.c.
 *
 * The last bit of the string is the sentinel, always set, so that every search finds something and
 * none needs to know where the string ends. There are two levels at least.
 */
#ifndef MEM_PMM_TREE_H
#define MEM_PMM_TREE_H

#include <mem/pmm.h>

#define WORD_MASK ((vword_t)PMM_WORD_BITS - 1)
#define FULL      (~(vword_t)0)

enum { TREE_LEVELS_MIN = 2 };

static inline bool tree_test(const struct pmm_tree *t, vword_t i)
{
    return bit_test(t->level[0], i);
}

/* Of the two below: the sentinel is set, so on the way up there is always a word that is not 0. */
static inline void tree_set(struct pmm_tree *t, vword_t i)
{
    vword_t *words = t->level[0], *const *level = t->level, was = words[i >> PMM_WORD_SHIFT];
    bit_set_counted(words, i, &t->count);
    while (!was) {
        i >>= PMM_WORD_SHIFT;
        words = *++level;
        was = words[i >> PMM_WORD_SHIFT];
        bit_set(words, i);
    }
}

static inline void tree_clear(struct pmm_tree *t, vword_t i)
{
    vword_t *words = t->level[0], *const *level = t->level;
    bit_clear_counted(words, i, &t->count);
    while (!words[i >>= PMM_WORD_SHIFT]) {
        words = *++level;
        bit_clear(words, i);
    }
}

static inline bool tree_is_empty(const struct pmm_tree *t)
{
    return t->count == 1; /* the sentinel */
}

/* The lowest set bit. */
static inline vword_t tree_first(const struct pmm_tree *t)
{
    vword_t i = 0;
    if (t->levels > TREE_LEVELS_MIN) { /* saves five instructions where there are two */
        for (unsigned l = t->levels - 1; l > 1; l--)
            i = i << PMM_WORD_SHIFT | bit_lowest(t->level[l][i]);
    }
    i = i << PMM_WORD_SHIFT | bit_lowest(t->level[1][i]);
    return i << PMM_WORD_SHIFT | bit_lowest(t->level[0][i]);
}

/* The lowest set bit at or above `i`, which is not behind the sentinel. */
static inline vword_t tree_next(const struct pmm_tree *t, vword_t i)
{
    unsigned l = 0;
    vword_t rest;
    while (!(rest = t->level[l][i >> PMM_WORD_SHIFT] >> (i & WORD_MASK))) {
        i = (i >> PMM_WORD_SHIFT) + 1;
        l++;
    }
    for (i += bit_lowest(rest); l--;)
        i = i << PMM_WORD_SHIFT | bit_lowest(t->level[l][i]);
    return i;
}

/* Clears bit `i` and finds the lowest set bit above it. */
static inline vword_t tree_clear_next(struct pmm_tree *t, vword_t i)
{
    vword_t *words = t->level[0], w = i >> PMM_WORD_SHIFT, rest;
    bit_clear_counted(words, i, &t->count);
    rest = words[w] >> (i & WORD_MASK);
    if (rest)
        return i + bit_lowest(rest);
    unsigned l = 0;
    do {
        bool emptied = !words[w];
        words = t->level[++l];
        i = w;
        w >>= PMM_WORD_SHIFT;
        if (emptied)
            bit_clear(words, i);
        rest = words[w] >> (i & WORD_MASK) >> 1;
    } while (!rest);
    i += 1 + bit_lowest(rest);
    while (l--)
        i = i << PMM_WORD_SHIFT | bit_lowest(t->level[l][i]);
    return i;
}

#endif
