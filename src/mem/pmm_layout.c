/* SPDX-License-Identifier: MIT */
/*
 * pmm_layout.c - the dense index of frames, and the metadata built on it.
 *
 * RAM that can ever be free is cut into blocks of 512 frames; blocks side by side form a span, and
 * spans follow each other in the index, so that holes cost nothing. Between spans that do not touch
 * one block of the index is left out (never free), as at both ends: a run of free bits can then
 * never reach across a hole, and looking one block back or ahead needs no test. The block at the
 * very end is the sentinel that ends every search.
 *
 * A span is pure when every frame of it was free at boot; the blocks at the edges of ranges form
 * mixed spans, whose leaves are written here, with a mask of the frames that circulate. Metadata:
 * the flanks (a bit a block), a tree, a zero word (all that there is of block 0), the leaves (64
 * bytes a block), a zero word (the sentinel's), the other tree, the spans, the masks (64 bytes a
 * mixed block), and in builds with tags a byte a frame. Without: 1/8 byte a frame and 1/160 of
 * that.
 */
#include "pmm_index.h"

#include "lib/string.h"

void pmm_extent(const struct bootmap *map, size_t range, uint64_t *start, uint64_t *end)
{
    const struct boot_range *r = &map->ranges[range];
    uint64_t limit = map->limit ? map->limit >> PAGE_SHIFT : UINT64_MAX;
    *start = r->start >> PAGE_SHIFT;
    *end = (r->last >> PAGE_SHIFT) + 1;
    if (*end > limit)
        *end = limit;
    if (r->kind != RANGE_USABLE || *start > *end)
        *end = *start;
}

/* ---- spans ----------------------------------------------------------------------------------- */

enum { LEAF_BYTES = PMM_BLOCK / 8 };

struct layout {
    struct pmm_span *spans; /* NULL: only count               */
    size_t count;
    struct pmm_span last; /* the latest, not yet written    */
    bool last_pure;
    vword_t *masks;     /* where those of mixed spans go; NULL: only count */
    vword_t mixed;      /* blocks of mixed spans          */
    vword_t next_block; /* of RAM: those below are placed */
    vword_t next_index; /* of the index, in blocks        */
};

static void close_span(struct layout *l)
{
    if (!l->last.frames)
        return;
    if (l->spans)
        l->spans[l->count] = l->last;
    l->count++;
}

/* Adds blocks [first, end) of RAM, none of which is laid out. */
static void append(struct layout *l, uint64_t first, uint64_t end, bool pure)
{
    vword_t count = (vword_t)(end - first);
    bool touches = first == l->next_block && l->next_index > 1;
    if (!touches || l->last_pure != pure) {
        close_span(l);
        l->next_index += !touches && l->next_index > 1; /* the block left out */
        l->last = (struct pmm_span){
            .frame = (vword_t)first << PMM_BLOCK_SHIFT,
            .index = l->next_index << PMM_BLOCK_SHIFT,
            .mask = pure || !l->masks ? NULL : l->masks + l->mixed * PMM_BLOCK_WORDS};
        l->last_pure = pure;
    }
    l->mixed += pure ? 0 : count;
    l->last.frames += count << PMM_BLOCK_SHIFT;
    l->next_index += count;
    l->next_block = (vword_t)end;
}

/* Adds those of blocks [first, end) that are not laid out already. */
static inline void add_blocks(struct layout *l, uint64_t first, uint64_t end, bool pure)
{
    if (first < l->next_block)
        first = l->next_block;
    if (first < end)
        append(l, first, end, pure);
}

/* Can this frame ever be free? What has been reserved since boot cannot. */
static bool circulates(enum frame_owner at_boot)
{
    return at_boot == OWNER_NONE || at_boot >= OWNER_RESERVED_END;
}

static void lay_out(const struct bootmap *map, struct layout *l)
{
    l->next_index = 1;
    for (size_t i = 0; i < map->count; i++) {
        uint64_t start, end;
        pmm_extent(map, i, &start, &end);
        if (start == end || !circulates(map->ranges[i].owner))
            continue;
        uint64_t first = start >> PMM_BLOCK_SHIFT, last = (end + PMM_BLOCK - 1) >> PMM_BLOCK_SHIFT;
        uint64_t pure = (start + PMM_BLOCK - 1) >> PMM_BLOCK_SHIFT, past = end >> PMM_BLOCK_SHIFT;
        if (map->ranges[i].owner == OWNER_NONE && pure < past) {
            add_blocks(l, first, pure, false);
            add_blocks(l, pure, past, true);
        }
        add_blocks(l, first, last, false);
    }
    close_span(l);
}

/* ---- metadata -------------------------------------------------------------------------------- */

static vword_t words_for(vword_t bits)
{
    return (bits + PMM_WORD_BITS - 1) >> PMM_WORD_SHIFT;
}

/* Words of all levels of a tree: each has a bit a word of the one below, the last is one word. */
static size_t tree_words(vword_t bits)
{
    size_t words = 0;
    /*@ loop invariant (PMM_WORD_BITS - 1) * words + bits <=
                       \at(bits, Pre) + (PMM_WORD_BITS - 1) * l;
        loop invariant \at(bits, Pre) <= (l ? PMM_WORD_BITS * words : bits);
        loop invariant bits <= \at(bits, Pre) && l <= 7;
        loop invariant (l > 0 ==> bits <= 0x8000000) && (l > 1 ==> bits <= 0x400000);
        loop invariant (l > 2 ==> bits <= 0x20000) && (l > 3 ==> bits <= 0x1000);
        loop invariant (l > 4 ==> bits <= 0x80) && (l > 5 ==> bits <= 4) && (l > 6 ==> bits <= 1);
        loop assigns l, bits, words;
        loop variant 7 - l;
    */
    for (unsigned l = 0; l < TREE_LEVELS_MIN || bits > 1; l++) {
        bits = words_for(bits);
        words += bits;
    }
    return words;
}

/* What goes where: bytes before the first leaf, bytes from the sentinel's on, words of a tree. */
struct plan {
    size_t head, tail, tree;
    size_t bytes; /* all of it, the tags too */
};

/*
 * Head: the flanks, one tree, a zero word at least; a multiple of a leaf's size. Tail: a zero word,
 * the other tree, spans, masks; enough that a leaf behind the sentinel can be read.
 */
static struct plan plan(const struct layout *l)
{
    vword_t blocks = l->next_index + 1;
    struct plan p = {.tree = tree_words(blocks)};
    p.head = (words_for(blocks) + p.tree + 1) * sizeof(vword_t);
    p.head = (p.head + LEAF_BYTES - 1) & ~(size_t)(LEAF_BYTES - 1);
    p.tail =
        (p.tree + 1) * sizeof(vword_t) + l->count * sizeof(struct pmm_span) + l->mixed * LEAF_BYTES;
    if (p.tail < LEAF_BYTES + sizeof(vword_t))
        p.tail = LEAF_BYTES + sizeof(vword_t);
    p.bytes = p.head + (l->next_index - 1) * LEAF_BYTES + p.tail +
              (PMM_TAGS ? l->next_index * PMM_BLOCK : 0);
    return p;
}

size_t pmm_metadata_bytes(const struct bootmap *map)
{
    struct layout l = {0};
    lay_out(map, &l);
    return plan(&l).bytes;
}

/* Places a tree of `bits` at `at`, whose words are zero but for the sentinel, the last bit. */
static void tree_place(struct pmm_tree *t, vword_t bits, vword_t *at)
{
    vword_t last = bits - 1;
    for (unsigned l = 0; l < TREE_LEVELS_MIN || bits > 1; l++) {
        t->level[l] = at;
        t->levels = l + 1;
        bit_set(at, last);
        last >>= PMM_WORD_SHIFT;
        bits = words_for(bits);
        at += bits;
    }
    t->count = 1;
}

/* Sets bits [first, first + count) of one level of a tree. */
static void set_bits(vword_t *words, vword_t first, vword_t count)
{
    vword_t w = first >> PMM_WORD_SHIFT, shift = first & WORD_MASK;
    vword_t end = (first + count) >> PMM_WORD_SHIFT, rest = (first + count) & WORD_MASK;
    vword_t from_shift = FULL << shift, below_rest = ((vword_t)1 << rest) - 1;
    if (w == end) {
        words[w] |= from_shift & below_rest;
        return;
    }
    words[w++] |= from_shift;
    for (; w < end; w++)
        words[w] = FULL;
    if (rest)
        words[end] |= below_rest;
}

static void tree_set_range(struct pmm_tree *t, vword_t first, vword_t count)
{
    vword_t last = first + count - 1;
    t->count += count;
    for (unsigned l = 0; l < t->levels; l++) {
        set_bits(t->level[l], first, last - first + 1);
        first >>= PMM_WORD_SHIFT;
        last >>= PMM_WORD_SHIFT;
    }
}

static void place(struct pmm *pmm, struct layout *l, const struct plan *p, void *metadata)
{
    pmm->blocks = l->next_index + 1;
    pmm->leaf = (vword_t *)((uint8_t *)metadata + p->head - LEAF_BYTES);
    pmm->low = leaf_of(pmm, 1) - 1;
    memset(metadata, 0, p->head);
    pmm->flanked = metadata;
    tree_place(&pmm->avail, pmm->blocks, pmm->flanked + words_for(pmm->blocks));
    vword_t *tail = leaf_of(pmm, pmm->blocks - 1);
    memset(tail, 0, p->tail);
    tree_place(&pmm->whole, pmm->blocks, tail + 1);
    l->spans = (struct pmm_span *)(tail + 1 + p->tree);
    l->masks = (vword_t *)(l->spans + l->count);
    pmm->spans = l->spans;
    pmm->tags = PMM_TAGS ? (uint8_t *)tail + p->tail : NULL;
}

/* ---- what is free at boot -------------------------------------------------------------------- */

/* Pure spans are stretches of set bits; mixed ones start with nothing free. */
static void start_spans(struct pmm *pmm, const struct plan *p)
{
    for (size_t i = 0; i < pmm->span_count; i++) {
        const struct pmm_span *s = &pmm->spans[i];
        vword_t block = s->index >> PMM_BLOCK_SHIFT, count = s->frames >> PMM_BLOCK_SHIFT;
        if (block + count < pmm->blocks - 1) /* the gap behind it, perhaps */
            leaf_fill(leaf_of(pmm, block + count), 0);
        if (!s->mask) {
            tree_set_range(&pmm->avail, block, count);
            if (s->frames > pmm->hot.frames)
                pmm->hot = *s;
        }
        for (vword_t b = block; s->mask && b < block + count; b++)
            leaf_fill(leaf_of(pmm, b), 0);
    }
    memcpy(pmm->whole.level[0], pmm->avail.level[0], p->tree * sizeof(vword_t));
    pmm->whole.count = pmm->avail.count;
    /* A search finds out which have no flank. That of the sentinel is set and never counted. */
    memcpy(pmm->flanked, pmm->avail.level[0], words_for(pmm->blocks) * sizeof(vword_t));
    pmm->flanks = pmm->avail.count - 1;
}

/* Those of [start, end) that lie in mixed spans circulate; if nobody owns them, they are free. */
static void start_mixed(struct pmm *pmm, uint64_t start, uint64_t end, bool free)
{
    for (uint64_t at = start, stop; at < end; at = stop) {
        const struct pmm_span *s = pmm_span_of_frame(pmm, (vword_t)at);
        stop = (uint64_t)s->frame + s->frames < end ? (uint64_t)s->frame + s->frames : end;
        if (!s->mask)
            continue;
        vword_t index = (vword_t)at - s->frame + s->index, frames = (vword_t)(stop - at);
        set_bits(s->mask, (vword_t)at - s->frame, frames);
        if (!free)
            continue;
        set_bits(pmm->leaf, index, frames);
        for (vword_t b = index >> PMM_BLOCK_SHIFT; b <= (index + frames - 1) >> PMM_BLOCK_SHIFT;
             b++) {
            pmm_publish_block(pmm, b);
        }
    }
}

/* Frames that were taken early and may be given back. */
static void hold(struct pmm *pmm, uint64_t start, uint64_t end, enum frame_owner owner)
{
    pmm->held[owner] += end - start;
    for (uint64_t at = start; PMM_TAGS && at < end; at++) {
        const struct pmm_span *s = pmm_span_of_frame(pmm, (vword_t)at);
        pmm_tag(pmm, (vword_t)at - s->frame + s->index, 1, owner);
    }
}

/* The frames of one range: counted, and free or held. */
static void start_range(struct pmm *pmm, size_t range)
{
    enum frame_owner owner = pmm->map->ranges[range].owner;
    uint64_t start, end;
    pmm_extent(pmm->map, range, &start, &end);
    pmm->total += end - start;
    pmm->at_boot[owner] += end - start;
    if (start == end || !circulates(owner))
        return;
    start_mixed(pmm, start, end, owner == OWNER_NONE);
    if (owner != OWNER_NONE)
        hold(pmm, start, end, owner);
}

enum mem_err pmm_init(struct pmm *pmm, const struct bootmap *map, void *metadata, size_t bytes)
{
    struct layout l = {0};
    lay_out(map, &l);
    struct plan p = plan(&l);
    if (bytes < p.bytes || (uintptr_t)metadata & 63)
        return MEM_BAD_ARG;
    *pmm = (struct pmm){.map = map, .span_count = l.count, .metadata_bytes = p.bytes};
    place(pmm, &l, &p, metadata);
    l = (struct layout){.spans = l.spans, .masks = l.masks};
    lay_out(map, &l);
    start_spans(pmm, &p);
    for (size_t i = 0; i < map->count; i++)
        start_range(pmm, i);
    return pmm->total ? MEM_OK : MEM_NO_FRAME;
}

/* ---- frames and indices ---------------------------------------------------------------------- */

typedef uint64_t key_of(const struct pmm *pmm, size_t i);

static uint64_t span_frame(const struct pmm *pmm, size_t i)
{
    return pmm->spans[i].frame;
}

static uint64_t span_index(const struct pmm *pmm, size_t i)
{
    return pmm->spans[i].index;
}

static uint64_t range_frame(const struct pmm *pmm, size_t i)
{
    return pmm->map->ranges[i].start >> PAGE_SHIFT;
}

/* The last of `count` things in order whose key is at most `value`; the first, if none is. */
static inline size_t last_at_most(const struct pmm *pmm, size_t count, key_of *key, uint64_t value)
{
    size_t low = 0, high = count;
    /*@ loop invariant low <= high <= count && (count == 0 || low < high);
        loop invariant low > 0 ==> at_most(pmm, key, low, value);
        loop invariant high < count ==> above(pmm, key, high, value);
        loop assigns low, high;
        loop variant high - low;
    */
    while (high - low > 1) {
        size_t middle = low + (high - low) / 2;
        /*@ assert low < middle < high; */
        /*@ calls span_frame, span_index, range_frame; */
        if (key(pmm, middle) <= value)
            low = middle;
        else
            high = middle;
    }
    /*@ assert count == 0 || high == low + 1; */
    return low;
}

const struct pmm_span *pmm_span_of_frame(const struct pmm *pmm, vword_t frame)
{
    const struct pmm_span *s = &pmm->spans[last_at_most(pmm, pmm->span_count, span_frame, frame)];
    return pmm->span_count && frame - s->frame < s->frames ? s : NULL;
}

const struct pmm_span *pmm_span_of_index(const struct pmm *pmm, vword_t index)
{
    return &pmm->spans[last_at_most(pmm, pmm->span_count, span_index, index)];
}

const struct boot_range *pmm_boot_range(const struct pmm *pmm, vword_t frame)
{
    const struct bootmap *map = pmm->map;
    size_t i = last_at_most(pmm, map->count, range_frame, frame);
    uint64_t start, end;
    pmm_extent(map, i, &start, &end);
    return frame >= start && frame < end ? &map->ranges[i] : NULL;
}
