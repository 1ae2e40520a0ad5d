/* SPDX-License-Identifier: MIT */
/*
 * heap_index.c - the free blocks: in each KiB a list by address, above the KiBs a tree of maxima.
 *
 * A region is 1 KiB of the heap. For each there are two bytes: the class of the largest free block
 * that starts in it, and where its first free block starts. Eight classes make a word; the byte of
 * a word one level up is the largest of the eight; and so on, four levels over a chunk of 4 MiB
 * (a node) and one to four over all chunks (the root, in struct heap). First fit goes down from
 * the top: in each word the first byte that is large enough, found for all eight bytes at once.
 *
 *   tree of 512 words     word 0 | words 1..8 | words 9..72 | words 73..584, eight regions each
 *   word j's byte k       has word 8j + k + 1 below it; so word j hangs on byte j - 1
 *
 * Classes are exact up to 127 units (2 KiB) and then eight to a doubling, so the class of a large
 * block does not tell all; first fit looks at four of them at most before it asks for one more.
 *
 *   I1  a region's list is in address order and holds the free blocks that start in it.
 *   I2  a region's class is that of the largest of them, 0 when there is none.
 *   I3  a byte above is the largest of its word; a word under a zero byte may hold anything.
 *   I4  a free block has a header of that state with its units, the same in its link word, and the
 *       same in its last word, the footer.
 *
 * Bounds. A list has at most 32 blocks, as two free ones are never neighbours. A change walks one
 * list and eight words up; a search at most five times eight words down and one list.
 */
#include "heap_index.h"

enum {
    REGION_SHIFT = 10,
    REGION_UNITS = 1 << (REGION_SHIFT - UNIT_SHIFT),
    CHUNK_REGIONS = 1 << (HEAP_CHUNK_SHIFT - REGION_SHIFT),
    GROUPS = CHUNK_REGIONS / 8,
    EXACT = 128,
    CLASS_MAX = 255,
    LINK_BITS = 8, /* of a link word: the next block's unit in the region plus one, 0 at the end */
    TRIES = 4,
};
#define LINK_MASK (((uint64_t)1 << LINK_BITS) - 1)
#define EVERY 0x0101010101010101u
#define HIGHS 0x8080808080808080u

struct group {
    uint64_t classes; /* of eight regions                    */
    uint8_t first[8]; /* unit of the first free block of each */
};

struct node {
    uint64_t upper[HEAP_UPPER];
    struct group group[GROUPS];
};

/* ---- classes and words ---------------------------------------------------------------------- */

static inline unsigned class_of(size_t units)
{
    if (units < EXACT)
        return (unsigned)units;
    unsigned log = 8 * sizeof(long) - 1 - (unsigned)__builtin_clzl(units);
    unsigned class = EXACT + (log - 7) * 8 + (unsigned)(units >> (log - 3) & 7);
    return class < CLASS_MAX ? class : CLASS_MAX;
}

/* The high bit of every byte of `word` that is `class` or more; `low` is class & 127 in each. */
static inline uint64_t at_least(uint64_t word, uint64_t low, bool high)
{
    uint64_t differs = (word | HIGHS) - low;
    return (high ? differs & word : differs | word) & HIGHS;
}

static inline unsigned first_byte(uint64_t highs)
{
    return (unsigned)__builtin_ctzll(highs) >> 3;
}

static inline unsigned larger(unsigned a, unsigned b)
{
    return a > b ? a : b;
}

static inline unsigned largest_byte(uint64_t word)
{
    const uint32_t low = (uint32_t)word, high = (uint32_t)(word >> 32);
    unsigned a = larger(low & 0xff, low >> 8 & 0xff), b = larger(low >> 16 & 0xff, low >> 24);
    unsigned c = larger(high & 0xff, high >> 8 & 0xff), d = larger(high >> 16 & 0xff, high >> 24);
    return larger(larger(a, b), larger(c, d));
}

static inline uint8_t *byte_of(uint64_t *words, size_t i)
{
    return (uint8_t *)words + i;
}

/* ---- places --------------------------------------------------------------------------------- */

static inline size_t offset_of(const struct heap *h, const struct block *b)
{
    return (size_t)(block_payload(b) - h->start);
}

static inline struct node *node_at(const struct heap *h, size_t chunk)
{
    return (struct node *)(h->index + chunk * sizeof(struct node));
}

/* A region, by its two bytes and where it starts. */
struct region {
    size_t chunk, number; /* number: in the chunk */
    struct node *node;
    struct group *group;
};

static inline struct region region_of(const struct heap *h, const struct block *b)
{
    size_t offset = offset_of(h, b);
    struct region r = {.chunk = offset >> HEAP_CHUNK_SHIFT};
    r.number = offset >> REGION_SHIFT & (CHUNK_REGIONS - 1);
    r.node = node_at(h, r.chunk);
    r.group = &r.node->group[r.number >> 3];
    return r;
}

static inline unsigned unit_in_region(const struct heap *h, const struct block *b)
{
    return (unsigned)(offset_of(h, b) >> UNIT_SHIFT) & (REGION_UNITS - 1);
}

static inline word_t *link_of(const struct block *b)
{
    return (word_t *)block_payload(b);
}

static inline size_t linked_units(const struct block *b)
{
    return (size_t)(*link_of(b) >> LINK_BITS);
}

/* ---- up the tree ---------------------------------------------------------------------------- */

/* Word `j` of `words` has a byte that rose to `class`. True: so did the top word's maximum. */
static inline bool raise(uint64_t *words, size_t j, unsigned class)
{
    for (; j; j = (j - 1) >> 3) {
        uint8_t *up = byte_of(words, j - 1);
        if (*up >= class)
            return false;
        *up = (uint8_t)class;
    }
    return true;
}

/* A byte of word `j`, now `word`, fell from `class`. True: the top word's maximum may have, too. */
static inline bool lower(uint64_t *words, size_t j, uint64_t word, unsigned class)
{
    uint64_t low = (class & 127) * EVERY;
    for (; j; j = (j - 1) >> 3, word = words[j]) {
        uint8_t *up = byte_of(words, j - 1);
        if (*up != class || at_least(word, low, class > 127))
            return false;
        *up = (uint8_t)largest_byte(word);
    }
    return true;
}

/* The chunk's maximum is to be what its top word says. */
[[gnu::noinline]] static void set_chunk_class(struct heap *h, const struct region *r)
{
    size_t word = HEAP_UPPER + (r->chunk >> 3);
    uint8_t *byte = byte_of(h->root, 8 * HEAP_UPPER + r->chunk);
    unsigned old = *byte, class = largest_byte(r->node->upper[0]);
    *byte = (uint8_t)class;
    if (class > old)
        raise(h->root, word, class);
    else if (class < old)
        lower(h->root, word, h->root[word], old);
}

static inline void raise_class(struct heap *h, const struct region *r, unsigned class)
{
    *byte_of(&r->group->classes, r->number & 7) = (uint8_t)class;
    if (raise(r->node->upper, HEAP_UPPER + (r->number >> 3), class))
        set_chunk_class(h, r);
}

static inline void lower_class(struct heap *h, const struct region *r, unsigned old, unsigned class)
{
    *byte_of(&r->group->classes, r->number & 7) = (uint8_t)class;
    if (lower(r->node->upper, HEAP_UPPER + (r->number >> 3), r->group->classes, old))
        set_chunk_class(h, r);
}

/* ---- a region's list ------------------------------------------------------------------------ */

static inline unsigned class_in(const struct region *r)
{
    return *byte_of(&r->group->classes, r->number & 7);
}

/* A group under a zero byte is stale: it is made empty before its first use. */
static inline void freshen(const struct region *r)
{
    if (!*byte_of(r->node->upper, HEAP_UPPER - 1 + (r->number >> 3)))
        r->group->classes = 0;
}

static inline struct block *block_in(const struct heap *h, const struct region *r, size_t unit)
{
    size_t offset = (r->chunk << HEAP_CHUNK_SHIFT) + (r->number << REGION_SHIFT);
    return block_of(h->start + offset + (unit << UNIT_SHIFT));
}

static inline void write_free(struct heap *h, struct block *b, size_t units, uint64_t next)
{
    block_seal(h, b, size_field(units), HEAP_FREE);
    block_at(b, units)[-1].word = (uint64_t)units << LINK_BITS;
    *link_of(b) = (uint64_t)units << LINK_BITS | next;
}

/* Puts `next` into the link of the block at `unit`, or into the head when there is none. */
static inline void set_next(const struct heap *h, const struct region *r, unsigned unit_plus_one,
                            uint64_t next)
{
    if (!unit_plus_one) {
        r->group->first[r->number & 7] = (uint8_t)(next - 1);
        return;
    }
    word_t *link = link_of(block_in(h, r, unit_plus_one - 1));
    *link = (*link & ~LINK_MASK) | next;
}

/* The last block of the region that starts before `unit`, plus one; 0: there is none. */
static inline unsigned before(const struct heap *h, const struct region *r, unsigned unit,
                              unsigned *next)
{
    unsigned last = 0, at = r->group->first[r->number & 7] + 1u;
    for (unsigned i = 0; i < REGION_UNITS && at && at <= unit; i++) {
        last = at;
        at = (unsigned)(*link_of(block_in(h, r, at - 1)) & LINK_MASK);
    }
    *next = at;
    return last;
}

static inline size_t largest_in(const struct heap *h, const struct region *r)
{
    size_t most = 0;
    unsigned at = r->group->first[r->number & 7] + 1u;
    for (unsigned i = 0; i < REGION_UNITS && at; i++) {
        uint64_t link = *link_of(block_in(h, r, at - 1));
        if (link >> LINK_BITS > most)
            most = (size_t)(link >> LINK_BITS);
        at = (unsigned)(link & LINK_MASK);
    }
    return most;
}

/* ---- changes -------------------------------------------------------------------------------- */

void index_insert(struct heap *h, struct block *b, size_t units)
{
    struct region r = region_of(h, b);
    unsigned unit = unit_in_region(h, b), class = class_of(units), next = 0;
    freshen(&r);
    unsigned old = class_in(&r), last = old ? before(h, &r, unit, &next) : 0;
    write_free(h, b, units, next);
    set_next(h, &r, last, unit + 1);
    if (class > old)
        raise_class(h, &r, class);
}

void index_remove(struct heap *h, struct block *b, size_t units)
{
    struct region r = region_of(h, b);
    unsigned next, old = class_in(&r), class = 0;
    unsigned last = before(h, &r, unit_in_region(h, b), &next);
    next = (unsigned)(*link_of(b) & LINK_MASK);
    if (last || next) {
        set_next(h, &r, last, next);
        if (class_of(units) != old)
            return;
        class = class_of(largest_in(h, &r));
        if (class == old)
            return;
    }
    lower_class(h, &r, old, class);
}

/* The block stays in its region, and so the region's list keeps its order. */
static inline void replace_in(struct heap *h, const struct region *r, struct block *old,
                              size_t old_units, struct block *now, size_t units)
{
    unsigned next, from = class_of(old_units), to = class_of(units), class = class_in(r);
    uint64_t link = *link_of(old) & LINK_MASK;
    if (old != now)
        set_next(h, r, before(h, r, unit_in_region(h, old), &next), unit_in_region(h, now) + 1);
    write_free(h, now, units, link);
    if (to > class) {
        raise_class(h, r, to);
    } else if (from == class && to < class) {
        to = class_of(largest_in(h, r));
        if (to < class)
            lower_class(h, r, class, to);
    }
}

void index_replace(struct heap *h, struct block *old, size_t old_units, struct block *now,
                   size_t units)
{
    struct region r = region_of(h, old);
    if (offset_of(h, old) >> REGION_SHIFT == offset_of(h, now) >> REGION_SHIFT) {
        replace_in(h, &r, old, old_units, now, units);
    } else {
        index_remove(h, old, old_units);
        index_insert(h, now, units);
    }
}

/* ---- first fit ------------------------------------------------------------------------------ */

/* What is looked for: a class, as at_least wants it. */
struct wanted {
    uint64_t low;
    bool high;
};

static inline uint64_t matches(uint64_t word, struct wanted w)
{
    return at_least(word, w.low, w.high);
}

/* From word `j` of a node, which has a match, down to the number of a region. */
static inline size_t descend(const struct node *n, size_t j, struct wanted w)
{
    while (j < HEAP_UPPER)
        j = 8 * j + first_byte(matches(n->upper[j], w)) + 1;
    j -= HEAP_UPPER;
    return 8 * j + first_byte(matches(n->group[j].classes, w));
}

/* The same in the root, down to the number of a chunk. */
static inline size_t descend_root(const struct heap *h, size_t j, struct wanted w)
{
    while (j < HEAP_UPPER)
        j = 8 * j + first_byte(matches(h->root[j], w)) + 1;
    return 8 * (j - HEAP_UPPER) + first_byte(matches(h->root[j], w));
}

/* Regions of the heap are numbered through; none of them: */
#define NOWHERE (~(size_t)0)

static inline size_t first_region(const struct heap *h, struct wanted w)
{
    size_t j = h->root_from;
    if (!matches(h->root[j], w))
        return NOWHERE;
    size_t chunk = descend_root(h, j, w);
    return chunk * CHUNK_REGIONS + descend(node_at(h, chunk), 0, w);
}

/* Matches in the bytes of a word behind byte `k`. */
static inline uint64_t behind(uint64_t word, size_t k, struct wanted w)
{
    return k == 7 ? 0 : matches(word, w) & ~(uint64_t)0 << (8 * k + 8);
}

/*
 * A tree's lowest byte `i` does not do: the word to go down from for the next that does, or 0.
 * `lowest` is the word that holds byte i.
 */
static size_t next_word(const uint64_t *words, uint64_t lowest, size_t i, struct wanted w,
                        unsigned *byte)
{
    size_t j = HEAP_UPPER + (i >> 3), k = i & 7;
    uint64_t fits = behind(lowest, k, w);
    while (!fits && j) {
        k = (j - 1) & 7;
        j = (j - 1) >> 3;
        fits = behind(words[j], k, w);
    }
    *byte = fits ? first_byte(fits) : 8;
    return j;
}

static size_t region_behind(const struct heap *h, size_t region, struct wanted w)
{
    size_t chunk = region / CHUNK_REGIONS, i = region % CHUNK_REGIONS;
    const struct node *n = node_at(h, chunk);
    unsigned byte;
    size_t j = next_word(n->upper, n->group[i >> 3].classes, i, w, &byte);
    if (byte < 8) {
        size_t child = 8 * j + byte; /* a region's own byte, or a word further down */
        i = j < HEAP_UPPER ? descend(n, child + 1, w) : child - 8 * HEAP_UPPER;
        return chunk * CHUNK_REGIONS + i;
    }
    j = next_word(h->root, h->root[HEAP_UPPER + (chunk >> 3)], chunk, w, &byte);
    if (byte == 8)
        return NOWHERE;
    size_t child = 8 * j + byte;
    chunk = j < HEAP_UPPER ? descend_root(h, child + 1, w) : child - 8 * HEAP_UPPER;
    return chunk * CHUNK_REGIONS + descend(node_at(h, chunk), 0, w);
}

/* The lowest block of at least `units` in the region, behind `after`. */
static inline struct block *fit_in(const struct heap *h, size_t region, size_t units,
                                   const struct block *after)
{
    const struct group *g = &node_at(h, region / CHUNK_REGIONS)->group[region % CHUNK_REGIONS >> 3];
    uint8_t *at = h->start + (region << REGION_SHIFT);
    uint64_t next = g->first[region & 7] + 1u;
    for (unsigned i = 0; i < REGION_UNITS && next; i++) {
        struct block *b = block_of(at + ((next - 1) << UNIT_SHIFT));
        uint64_t link = *link_of(b);
        if (link >> LINK_BITS >= units && b > after)
            return b;
        next = link & LINK_MASK;
    }
    return NULL;
}

static inline struct wanted wanted(unsigned class)
{
    return (struct wanted){.low = (class & 127) * EVERY, .high = class > 127};
}

static struct block *try_further(const struct heap *h, size_t region, size_t units)
{
    unsigned class = class_of(units);
    for (unsigned i = 1; i < TRIES && region != NOWHERE; i++) {
        region = region_behind(h, region, wanted(class));
        struct block *b = region == NOWHERE ? NULL : fit_in(h, region, units, NULL);
        if (b)
            return b;
    }
    if (region == NOWHERE || class == CLASS_MAX)
        return NULL;
    region = first_region(h, wanted(class + 1));
    return region == NOWHERE ? NULL : fit_in(h, region, units, NULL);
}

struct block *index_first_fit(const struct heap *h, size_t units)
{
    unsigned class = class_of(units);
    struct wanted w = wanted(class);
    size_t region = w.high ? first_region(h, w) : first_region(h, (struct wanted){w.low, false});
    if (region == NOWHERE)
        return NULL;
    struct block *b = fit_in(h, region, units, NULL);
    return b || !w.high ? b : try_further(h, region, units);
}

struct block *index_next_fit(const struct heap *h, const struct block *after, size_t units)
{
    size_t region = offset_of(h, after) >> REGION_SHIFT;
    struct block *b = fit_in(h, region, units, after);
    if (b)
        return b;
    region = region_behind(h, region, wanted(class_of(units)));
    return region == NOWHERE ? NULL : fit_in(h, region, units, NULL);
}

/* ---- size ----------------------------------------------------------------------------------- */

size_t index_bytes(size_t bytes)
{
    size_t chunks = bytes >> HEAP_CHUNK_SHIFT;
    size_t rest = bytes & (((size_t)1 << HEAP_CHUNK_SHIFT) - 1);
    size_t groups = (rest + (8 << REGION_SHIFT) - 1) >> (REGION_SHIFT + 3);
    size_t last = rest ? offsetof(struct node, group) + groups * sizeof(struct group) : 0;
    return chunks * sizeof(struct node) + last;
}

void index_reach(struct heap *h, size_t chunks, size_t now)
{
    for (size_t i = chunks; i < now; i++)
        __builtin_memset(node_at(h, i)->upper, 0, sizeof node_at(h, i)->upper);
    h->root_from = now <= 8 ? HEAP_UPPER : now <= 64 ? 9 : now <= 512 ? 1 : 0;
}

/* ---- checking ------------------------------------------------------------------------------- */

/* I1 and I2 for one region. */
static bool region_holds(const struct heap *h, size_t region, size_t *count)
{
    const struct node *n = node_at(h, region / CHUNK_REGIONS);
    const struct group *g = &n->group[region % CHUNK_REGIONS >> 3];
    unsigned class = (unsigned)(g->classes >> (region & 7) * 8 & 0xff);
    size_t most = 0, unit = class ? g->first[region & 7] + 1u : 0, last = 0;
    while (unit) {
        if (unit <= last || unit > REGION_UNITS)
            return false;
        struct block *b = block_of(h->start + (region << REGION_SHIFT) + ((unit - 1) << UNIT_SHIFT));
        if (b < heap_first(h) || b >= heap_last(h))
            return false;
        struct view v = block_view(h, b);
        if (v.state != HEAP_FREE || v.units != linked_units(b))
            return false;
        most = v.units > most ? v.units : most;
        last = unit;
        unit = (size_t)(*link_of(b) & LINK_MASK);
        ++*count;
    }
    return class == class_of(most);
}

/* I3 from word `j` down; words under a zero byte are not looked at. */
static bool node_holds(const struct heap *h, size_t chunk, size_t regions, size_t *count)
{
    const struct node *n = node_at(h, chunk);
    for (size_t j = 0; j < HEAP_UPPER; j++) {
        for (size_t k = 0; k < 8; k++) {
            unsigned byte = (unsigned)(n->upper[j] >> 8 * k & 0xff);
            size_t below = 8 * j + k + 1;
            bool lowest = below >= HEAP_UPPER;
            if (lowest && !byte)
                continue;
            uint64_t word = lowest ? n->group[below - HEAP_UPPER].classes : n->upper[below];
            if (byte != largest_byte(word))
                return false;
            for (size_t r = 0; lowest && r < 8; r++) {
                size_t number = (below - HEAP_UPPER) * 8 + r;
                if (number < regions ? !region_holds(h, chunk * CHUNK_REGIONS + number, count)
                                     : (word >> 8 * r & 0xff) != 0)
                    return false;
            }
        }
    }
    return true;
}

bool index_holds(const struct heap *h, size_t *count)
{
    size_t regions = (size_t)(h->top - h->start) >> REGION_SHIFT;
    size_t chunks = (regions + CHUNK_REGIONS - 1) / CHUNK_REGIONS;
    for (size_t chunk = 0; chunk < HEAP_CHUNKS; chunk++) {
        unsigned byte = (unsigned)(h->root[HEAP_UPPER + (chunk >> 3)] >> 8 * (chunk & 7) & 0xff);
        if (byte != (chunk < chunks ? largest_byte(node_at(h, chunk)->upper[0]) : 0))
            return false;
        if (chunk < chunks && !node_holds(h, chunk, regions - chunk * CHUNK_REGIONS, count))
            return false;
    }
    for (size_t j = 0; j < HEAP_UPPER; j++) {
        for (size_t k = 0; k < 8; k++) {
            size_t below = 8 * j + k + 1;
            if (below < HEAP_UPPER + HEAP_CHUNKS / 8 &&
                (h->root[j] >> 8 * k & 0xff) != largest_byte(h->root[below]))
                return false;
        }
    }
    return true;
}
