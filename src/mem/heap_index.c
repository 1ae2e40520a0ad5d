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
 * block does not tell all; first fit looks at FURTHER regions of it, then asks for a class more.
 *
 *   I1  a region's list is in address order and holds the free blocks that start in it.
 *   I2  a region's class is that of the largest of them, 0 when there is none; the region of the
 *       block in hand may have a higher one.
 *   I3  a byte above is the largest of its word; a word under 0 may hold anything.
 *   I4  a free block has a header of that state with its units, the same in its link word, and the
 *       same in its last word, the footer.
 *
 * The block that was cut last is `in hand`. It stays in its list, but its region's class, and all
 * above, wait: as long as blocks are cut from it nothing rises or falls. index_settle puts the class
 * right once, when another block is looked for, or when the block in hand is merged or used up.
 *
 * Bounds. A list has at most 32 blocks, as two free ones are never neighbours. A change walks one
 * list and at most eight words up; a search goes FURTHER + 1 times eight words down and one list.
 */
#include "heap_index.h"

/* ---- changes -------------------------------------------------------------------------------- */

/* Word `j` of `words` has a byte that rose to `class`. True: so did the maximum of word `top`. */
static inline bool raise(uint64_t *words, size_t j, size_t top, unsigned class)
{
    for (; j != top; j = (j - 1) >> 3) {
        uint8_t *up = byte_of(words, j - 1);
        if (*up >= class)
            return false;
        *up = (uint8_t)class;
    }
    return true;
}

/* A byte of word `j`, which is at `word`, fell from `class`. True: so may have word `top`'s. */
static inline bool lower(uint64_t *words, size_t j, size_t top, const uint64_t *word,
                         unsigned class)
{
    for (; j != top; j = (j - 1) >> 3, word = &words[j]) {
        uint8_t *up = byte_of(words, j - 1);
        if (*up != class)
            return false;
        unsigned now = largest_byte(word);
        if (now == class)
            return false;
        *up = (uint8_t)now;
    }
    return true;
}

void index_raise(struct heap *h, const struct region *r, unsigned class)
{
    if (!raise(r->node->upper, HEAP_UPPER + (r->number >> 3), 0, class))
        return;
    uint8_t *byte = byte_of(h->root, 8 * HEAP_UPPER + r->chunk);
    if (*byte >= class)
        return;
    *byte = (uint8_t)class;
    raise(h->root, HEAP_UPPER + (r->chunk >> 3), h->root_from, class);
}

void index_lower(struct heap *h, const struct region *r, unsigned class)
{
    if (!lower(r->node->upper, HEAP_UPPER + (r->number >> 3), 0, &r->group->classes, class))
        return;
    uint8_t *byte = byte_of(h->root, 8 * HEAP_UPPER + r->chunk);
    unsigned now = largest_byte(&r->node->upper[0]);
    if (*byte != class || now == class)
        return;
    *byte = (uint8_t)now;
    size_t word = HEAP_UPPER + (r->chunk >> 3);
    lower(h->root, word, h->root_from, &h->root[word], class);
}

void index_settle(struct heap *h)
{
    struct region r = region_of(h, h->hand);
    h->hand = NULL;
    region_loses(h, &r, h->hand_units);
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

/* The same from the top, which has a match. */
static inline size_t descend_all(const struct node *n, struct wanted w)
{
    size_t j = first_byte(matches(n->upper[0], w)) + 1;
    j = 8 * j + first_byte(matches(n->upper[j], w)) + 1;
    j = 8 * j + first_byte(matches(n->upper[j], w)) + 1 - HEAP_UPPER;
    return 8 * j + first_byte(matches(n->group[j].classes, w));
}

/* The same in the root, down to the number of a chunk. */
static inline size_t descend_root(const struct heap *h, size_t j, struct wanted w)
{
    while (j < HEAP_UPPER)
        j = 8 * j + first_byte(matches(h->root[j], w)) + 1;
    return 8 * (j - HEAP_UPPER) + first_byte(matches(h->root[j], w));
}

/* Matches in the bytes of a word behind byte `k`. */
static inline uint64_t behind(uint64_t word, size_t k, struct wanted w)
{
    return k == 7 ? 0 : matches(word, w) & ~(uint64_t)0 << (8 * k + 8);
}

/* A tree's lowest byte `i`, in the word `lowest`, does not do: the next higher byte that does leads
 * on; true: it is byte *byte of word *j. */
static bool next_match(const uint64_t *words, uint64_t lowest, size_t i, struct wanted w, size_t *j,
                       unsigned *byte)
{
    uint64_t fits = behind(lowest, i & 7, w);
    *j = HEAP_UPPER + (i >> 3);
    while (!fits && *j) {
        size_t k = (*j - 1) & 7;
        *j = (*j - 1) >> 3;
        fits = behind(words[*j], k, w);
    }
    *byte = fits ? first_byte(fits) : 0;
    return fits;
}

static inline void set_region(const struct heap *h, struct region *r, size_t chunk, size_t number)
{
    *r = (struct region){.chunk = chunk, .number = number, .node = node_at(h, chunk)};
    r->group = &r->node->group[number >> 3];
}

static bool next_region(const struct heap *h, struct region *r, struct wanted w)
{
    size_t j;
    unsigned byte;
    if (next_match(r->node->upper, r->group->classes, r->number, w, &j, &byte)) {
        size_t below = 8 * j + byte; /* a region's own byte, or that of a word further down */
        set_region(h, r, r->chunk,
                   j < HEAP_UPPER ? descend(r->node, below + 1, w) : below - 8 * HEAP_UPPER);
        return true;
    }
    if (!next_match(h->root, h->root[HEAP_UPPER + (r->chunk >> 3)], r->chunk, w, &j, &byte))
        return false;
    size_t below = 8 * j + byte;
    size_t chunk = j < HEAP_UPPER ? descend_root(h, below + 1, w) : below - 8 * HEAP_UPPER;
    set_region(h, r, chunk, descend_all(node_at(h, chunk), w));
    return true;
}

static inline bool first_region(const struct heap *h, struct region *r, struct wanted w)
{
    size_t j = h->root_from;
    uint64_t fits = matches(h->root[j], w);
    if (!fits)
        return false;
    size_t chunk = j == HEAP_UPPER ? first_byte(fits) : descend_root(h, j, w);
    set_region(h, r, chunk, descend_all(node_at(h, chunk), w));
    return true;
}

/* The lowest block of the region that has the units and stands behind `after`. */
static inline struct block *fit_in(const struct heap *h, const struct region *r, size_t units,
                                   const struct block *after)
{
    const uint8_t *at = block_payload(block_in(h, r, 0));
    size_t next = r->group->first[r->number & 7];
    for (unsigned i = 0; i < REGION_UNITS && next; i++) {
        struct block *b = block_of(at + ((next - 1) << UNIT_SHIFT));
        uint64_t link = *link_of(b);
        if ((size_t)(link >> LINK_BITS) >= units && b > after)
            return b;
        next = link & LINK_MASK;
    }
    return NULL;
}

static inline struct wanted wanted(unsigned class)
{
    return (struct wanted){.low = (class & 127) * EVERY, .high = class > 127};
}

/* Of a class that does not tell all: the first few that are of it or more, then a class more. */
[[gnu::noinline]] static struct block *first_large_fit(const struct heap *h, size_t units)
{
    unsigned class = class_of(units);
    struct region r;
    bool found = first_region(h, &r, wanted(class));
    for (unsigned i = 0; found && i < FURTHER; i++) {
        struct block *b = fit_in(h, &r, units, NULL);
        if (b)
            return b;
        found = next_region(h, &r, wanted(class));
    }
    if (!found || class == CLASS_MAX)
        return NULL;
    return first_region(h, &r, wanted(class + 1)) ? fit_in(h, &r, units, NULL) : NULL;
}

struct block *index_first_fit(const struct heap *h, size_t units)
{
    struct region r;
    if (units >= EXACT)
        return first_large_fit(h, units);
    struct wanted w = {.low = units * EVERY, .high = false};
    return first_region(h, &r, w) ? fit_in(h, &r, units, NULL) : NULL;
}

struct block *index_next_fit(const struct heap *h, const struct block *after, size_t units)
{
    struct region r = region_of(h, after);
    struct block *b = fit_in(h, &r, units, after);
    if (b)
        return b;
    return next_region(h, &r, wanted(class_of(units))) ? fit_in(h, &r, units, NULL) : NULL;
}

/* ---- size ----------------------------------------------------------------------------------- */

static size_t groups_of(size_t bytes)
{
    return (bytes + (8 << REGION_SHIFT) - 1) >> (REGION_SHIFT + 3);
}

size_t index_bytes(size_t bytes)
{
    size_t chunks = bytes >> HEAP_CHUNK_SHIFT;
    size_t groups = groups_of(bytes & (((size_t)1 << HEAP_CHUNK_SHIFT) - 1));
    size_t last = groups ? offsetof(struct node, group) + groups * sizeof(struct group) : 0;
    return chunks * sizeof(struct node) + last;
}

static size_t chunks_of(size_t bytes)
{
    return (bytes + ((size_t)1 << HEAP_CHUNK_SHIFT) - 1) >> HEAP_CHUNK_SHIFT;
}

/* Searches and changes use the root from the lowest word that spans all chunks. When that moves up,
 * the words above become true; what is there now may be old. */
static void set_root_from(struct heap *h, size_t chunks)
{
    unsigned from = chunks <= 8 ? HEAP_UPPER : chunks <= 64 ? 9 : chunks <= 512 ? 1 : 0;
    for (size_t j = h->root_from; j > from; j = (j - 1) >> 3) {
        h->root[(j - 1) >> 3] = 0;
        *byte_of(h->root, j - 1) = (uint8_t)largest_byte(&h->root[j]);
    }
    h->root_from = from;
}

void index_extend(struct heap *h, size_t from, size_t to)
{
    for (size_t i = chunks_of(from); i < chunks_of(to); i++)
        __builtin_memset(node_at(h, i)->upper, 0, sizeof node_at(h, i)->upper);
    set_root_from(h, chunks_of(to));
}

/* Bytes above groups and nodes that go become 0: what is there later counts as empty. */
void index_cut(struct heap *h, size_t from, size_t to)
{
    for (size_t i = chunks_of(to); i < chunks_of(from); i++)
        *byte_of(h->root, 8 * HEAP_UPPER + i) = 0;
    size_t last = to >> HEAP_CHUNK_SHIFT, keep = groups_of(to & ((1u << HEAP_CHUNK_SHIFT) - 1));
    if (keep) {
        uint8_t *bytes = byte_of(node_at(h, last)->upper, HEAP_UPPER - 1);
        size_t end = groups_of(from) - last * GROUPS;
        __builtin_memset(bytes + keep, 0, (end < GROUPS ? end : GROUPS) - keep);
    }
    set_root_from(h, chunks_of(to));
}

/* ---- checking ------------------------------------------------------------------------------- */

/* I1, I2 and I4 for one region. */
static bool region_holds(const struct heap *h, struct region r, unsigned class, size_t *count)
{
    size_t unit = class ? r.group->first[r.number & 7] : 0, last = 0, most = 0;
    for (; unit; last = unit, unit = (size_t)(*link_of(block_in(h, &r, unit - 1)) & LINK_MASK)) {
        struct block *b = block_in(h, &r, unit - 1);
        if (unit <= last || unit > REGION_UNITS || b < heap_first(h) || b >= heap_last(h))
            return false;
        struct view v = block_view(h, b);
        if (v.state != HEAP_FREE || v.units != linked_units(b) || class_of(v.units) > class)
            return false;
        most = v.units > most ? v.units : most;
        ++*count;
    }
    return class_of(most) == class || (region_has_hand(h, &r) && class_of(most) < class);
}

static bool group_holds(const struct heap *h, size_t chunk, size_t group, unsigned byte,
                        size_t regions, size_t *count)
{
    struct region r = {.chunk = chunk, .node = node_at(h, chunk)};
    r.group = &r.node->group[group];
    for (size_t i = 0; byte && i < 8; i++) {
        unsigned class = (unsigned)(r.group->classes >> 8 * i & 0xff);
        r.number = group * 8 + i;
        if (class > byte || (class && r.number >= regions) || !region_holds(h, r, class, count))
            return false;
    }
    return !byte || byte == largest_byte(&r.group->classes);
}

/* I3 for the words above the lowest; words under a zero byte are not looked at. */
static bool upper_holds(const uint64_t *words)
{
    for (size_t i = 0; i < HEAP_UPPER - 1; i++) {
        unsigned byte = (unsigned)(words[i >> 3] >> 8 * (i & 7) & 0xff);
        if (i + 1 < HEAP_UPPER && byte && byte != largest_byte(&words[i + 1]))
            return false;
    }
    return true;
}

static bool node_holds(const struct heap *h, size_t chunk, size_t regions, size_t *count)
{
    const uint64_t *upper = node_at(h, chunk)->upper;
    size_t groups = (regions + 7) / 8;
    for (size_t i = 0; i < GROUPS; i++) {
        size_t at = HEAP_UPPER - 1 + i;
        unsigned byte = (unsigned)(upper[at >> 3] >> 8 * (at & 7) & 0xff);
        if (i < groups ? !group_holds(h, chunk, i, byte, regions, count) : byte)
            return false;
    }
    return upper_holds(upper);
}

bool index_holds(const struct heap *h, size_t *count)
{
    size_t regions = (size_t)(h->top - h->start) >> REGION_SHIFT;
    size_t chunks = chunks_of((size_t)(h->top - h->start));
    for (size_t chunk = 0; chunk < HEAP_CHUNKS; chunk++) {
        unsigned byte = (unsigned)(h->root[HEAP_UPPER + (chunk >> 3)] >> 8 * (chunk & 7) & 0xff);
        if (chunk >= chunks ? byte : byte != largest_byte(&node_at(h, chunk)->upper[0]))
            return false;
        if (chunk < chunks && !node_holds(h, chunk, regions - chunk * CHUNK_REGIONS, count))
            return false;
    }
    return true;
}
