/* SPDX-License-Identifier: MIT */
/*
 * test_paging_exhaustive.c - every sequence of three calls on page tables, over addresses at the
 * borders of every level.
 *
 * A call is map, unmap or protect, of a page, a range or (map) single frames, with each kind of
 * flags. What it should answer and leave is told by a model that knows nothing of tables: a list of
 * pieces (paging_pieces.h), of which the walker of paging_walker.c, written from the SDM, sees the
 * pages that it looks at. After each call: the answer, every page of interest by three readers (the
 * walker, translate and paging_walk), the invariants, no frame lost; and a call that was refused
 * has not changed a byte.
 *
 * Calls are made on a state, and the state is put back by copying: the frames that tables are in.
 * `make exhaustive` makes four calls deep of three.
 */
#include <string.h>

#include "paging_pieces.h"
#include "paging_walker.h"

enum { FRAMES = 32, FIRST = FAKE_FRAMES / 2, SPANS_MAX = 32, MARKS_MAX = 40 };

/* ---- the calls ------------------------------------------------------------------------------- */

enum verb { MAP, UNMAP, PROTECT, VERBS };

struct call {
    enum verb verb;
    struct span at;
    unsigned flags;
    paddr_t pa; /* MAP: with an offset that large pages can or cannot have */
    bool page;  /* through the calls for one page                       */
};

static unsigned depth = 3;
static struct call calls[600];
static unsigned call_count;
static struct span spans[SPANS_MAX];
static unsigned span_count;
static vword_t marks[MARKS_MAX]; /* pages to look at: the ends of spans, and their neighbours */
static unsigned mark_count;

static void add_mark(vword_t va)
{
    for (unsigned i = 0; i < mark_count; i++) {
        if (marks[i] == va)
            return;
    }
    assert_true(mark_count < MARKS_MAX);
    marks[mark_count++] = va;
}

static void add_span(vword_t va, size_t bytes)
{
    assert_true(span_count < SPANS_MAX);
    spans[span_count++] = (struct span){va, bytes};
    if (va)
        add_mark(va - PAGE);
    add_mark(va);
    add_mark(va + (bytes - PAGE));
    if (va + bytes)
        add_mark(va + bytes);
}

static void add_calls_for(struct span s)
{
    static const unsigned flags[] = {MAP_WRITE, MAP_EXEC | MAP_USER,
                                     MAP_GLOBAL | MAP_CACHE_UC | MAP_NO_LARGE};
    vword_t gib = (vword_t)1 << 30;
    bool page = s.bytes == PAGE, huge = s.bytes > 4 * LARGE;
    for (unsigned f = 0; f < (huge ? 2 : 3); f++) {     /* a GiB in small pages: too many tables */
        vword_t off = f == 0 ? 0 : huge ? LARGE : PAGE; /* pages of any size fit; smaller ones */
        paddr_t pa = PA(gib + (s.va & (gib - 1)) + off);
        calls[call_count++] = (struct call){MAP, s, flags[f], pa, page};
        calls[call_count++] = (struct call){PROTECT, s, flags[f], PA(0), page};
    }
    calls[call_count++] = (struct call){UNMAP, s, 0, PA(0), page};
}

/* What the call must answer, and what is mapped then. */
static enum mem_err should(struct model *m, const struct call *c)
{
    size_t mapped = mapped_in(m, c->at);
    if (c->verb == MAP) {
        if (mapped)
            return MEM_MAPPED;
        add_piece(m, c->at, c->pa, c->flags);
        return MEM_OK;
    }
    if (mapped != c->at.bytes)
        return MEM_NOT_MAPPED;
    cut(m, c->at, c->verb == PROTECT ? &c->flags : NULL);
    return MEM_OK;
}

/* ---- the state ------------------------------------------------------------------------------- */

/* Everything that the address space is: the struct, and the frames of its tables. */
struct state {
    struct aspace as;
    bool taken[FRAMES];
    unsigned taken_count, kmaps;
    uint64_t ram[FRAMES][512];
};
static struct state states[CALLS_MAX + 1];

static void save(struct state *s)
{
    s->as = as;
    s->taken_count = fake.taken_count;
    s->kmaps = fake.kmaps;
    assert_true(fake.taken_count <= FRAMES);
    for (unsigned i = 0; i < FRAMES; i++) {
        s->taken[i] = fake.taken[FIRST + i];
        const uint64_t *from = (const void *)fake.ram[FIRST + i];
        for (unsigned w = 0; s->taken[i] && w < 512; w++)
            s->ram[i][w] = from[w];
    }
}

static void put_back(const struct state *s)
{
    as = s->as;
    fake.taken_count = s->taken_count;
    fake.kmaps = s->kmaps;
    for (unsigned i = 0; i < FRAMES; i++) {
        fake.taken[FIRST + i] = s->taken[i];
        uint64_t *to = (void *)fake.ram[FIRST + i];
        for (unsigned w = 0; s->taken[i] && w < 512; w++)
            to[w] = s->ram[i][w];
    }
}

/* The count of the table in hand is in the struct; the table's own is not yet written. */
static uint64_t word_of(const struct aspace *space, const uint64_t *table, unsigned frame,
                        unsigned w)
{
    bool in_hand = space->leaf.table && space->leaf.frame.v == FAKE_FIRST + FIRST + frame;
    uint64_t ours = WIDE ? 0xe00 : 0xe0000000e00;
    return in_hand && w < (WIDE ? 4u : 2u) ? table[w] & ~ours : table[w];
}

static void nothing_changed(const struct state *s)
{
    assert_int_equal(as.tables, s->as.tables);
    assert_int_equal(fake.taken_count, s->taken_count);
    for (unsigned i = 0; i < FRAMES; i++) {
        const uint64_t *now = (const void *)fake.ram[FIRST + i];
        assert_int_equal(fake.taken[FIRST + i], s->taken[i]);
        if (!s->taken[i])
            continue;
        bool mine = as.leaf.table && as.leaf.frame.v == FAKE_FIRST + FIRST + i;
        bool was = s->as.leaf.table && s->as.leaf.frame.v == FAKE_FIRST + FIRST + i;
        const struct aspace *in_hand = mine ? &as : was ? &s->as : NULL;
        for (unsigned w = 0; w < 512; w++) {
            uint64_t a = in_hand ? word_of(in_hand, s->ram[i], i, w) : s->ram[i][w];
            uint64_t b = in_hand ? word_of(in_hand, now, i, w) : now[w];
            if (a != b)
                fail();
        }
    }
}

/* ---- one call -------------------------------------------------------------------------------- */

static unsigned long long made;

static enum mem_err make(const struct call *c)
{
    vaddr_t va = VA(c->at.va);
    made++;
    switch (c->verb) {
    case MAP:
        return c->page ? map_page(&as, va, c->pa, c->flags)
                       : map_range(&as, va, c->pa, c->at.bytes, c->flags);
    case UNMAP:
        return c->page ? unmap_page(&as, va, NULL) : unmap_range(&as, va, c->at.bytes);
    default:
        return c->page ? protect_page(&as, va, c->flags)
                       : protect_range(&as, va, c->at.bytes, c->flags);
    }
}

static void check_page(const struct model *m, vword_t va)
{
    const struct piece *p = piece_at(m, va);
    struct seen s = look(va);
    if (s.mapped != (p != NULL))
        fail();
    agrees(va);
    if (!p)
        return;
    bool right = s.pa == p->pa.v + (va - p->at.va) && s.write == !!(p->flags & MAP_WRITE) &&
                 s.exec == (!WIDE || p->flags & MAP_EXEC);
    if (!right)
        fail();
}

static bool add_bytes(void *ctx, const struct map_stretch *s)
{
    *(uint64_t *)ctx += s->bytes;
    return true;
}

/* All that is mapped is what the model has: by its ends, and by its sum. */
static void check_state(const struct model *m)
{
    const char *broken;
    uint64_t bytes = 0, should_be = 0;
    for (unsigned i = 0; i < mark_count; i++)
        check_page(m, marks[i]);
    paging_visit(&as, VA(0), VA(~(vword_t)0), add_bytes, &bytes);
    for (unsigned i = 0; i < m->count; i++)
        should_be += m->piece[i].at.bytes;
    assert_true(bytes == should_be);
    assert_true(paging_holds(&as, &broken));
    assert_int_equal(fake.taken_count, as.tables);
    assert_true(m->count || as.tables == 1);
}

static const struct call *path[CALLS_MAX]; /* the calls made, the last one first */

static void say(unsigned left, enum mem_err err, enum mem_err right)
{
    static const char *const verbs[VERBS] = {"map", "unmap", "protect"};
    for (unsigned i = CALLS_MAX; i-- > left - 1;) {
        const struct call *c = path[i];
        if (c)
            print_error("%s [%llx, +%llx) flags %x\n", verbs[c->verb], (unsigned long long)c->at.va,
                        (unsigned long long)c->at.bytes, c->flags);
    }
    print_error("%s, not %s\n", mem_err_name(err), mem_err_name(right));
}

/* A refused call leads nowhere new: the sequences that go on from it are shorter ones. */
static unsigned long long walk(const struct model *before, unsigned left)
{
    struct state *s = &states[left];
    unsigned long long sequences = 0;
    save(s);
    for (unsigned i = 0; i < call_count; i++) {
        struct model m = *before;
        path[left - 1] = &calls[i];
        enum mem_err right = should(&m, &calls[i]), err = make(&calls[i]);
        if (err != right) {
            say(left, err, right);
            fail();
        }
        if (err) {
            nothing_changed(s);
            sequences++;
            continue;
        }
        check_state(&m);
        sequences += left > 1 ? walk(&m, left - 1) : 1;
        put_back(s);
    }
    return sequences;
}

/* ---- the places ------------------------------------------------------------------------------ */

static void forget_places(void)
{
    call_count = span_count = mark_count = 0;
}

static void walk_places(const char *what)
{
    struct model nothing_mapped = {.count = 0};
    for (unsigned i = 0; i < span_count; i++)
        add_calls_for(spans[i]);
    made = 0;
    unsigned long long sequences = walk(&nothing_mapped, depth);
    print_message("%s: %u calls, %u deep: %llu sequences, %llu calls made\n", what, call_count,
                  depth, sequences, made);
    assert_true(sequences > 10000);
}

/* Around the first address of a table of each level, and of the last page of all. */
static void borders_of_tables(void **state)
{
    (void)state;
    forget_places();
    for (unsigned shift = WIDE ? 21 : 22; shift < (WIDE ? 40u : 32u); shift += 9) {
        vword_t border = BASE + ((vword_t)1 << shift);
        if (border < BASE)
            continue;
        add_span(border - PAGE, PAGE);
        add_span(border, PAGE);
        add_span(border - PAGE, 2 * PAGE);
    }
    add_span(PAGE, 2 * PAGE); /* behind the null page */
    add_span((vword_t)0 - PAGE, PAGE);
    add_span((vword_t)0 - 2 * PAGE, 2 * PAGE);
    walk_places("borders of tables");
}

/*  [small][    large    ][    large    ][small]   and what cuts into them */
static void borders_of_large_pages(void **state)
{
    (void)state;
    forget_places();
    add_span(BASE, LARGE);
    add_span(BASE - PAGE, LARGE + 2 * PAGE);
    add_span(BASE, 2 * LARGE);
    add_span(BASE, PAGE);
    add_span(BASE + PAGE, PAGE);
    add_span(BASE + LARGE - PAGE, 2 * PAGE);
    add_span(BASE + LARGE / 2, LARGE);
    add_span(BASE + LARGE, PAGE);
    add_span(BASE - LARGE, 3 * LARGE);
    walk_places("borders of large pages");
}

/* A page of 1 GiB, cut to 2 MiB, cut to 4 KiB; on i386, which has none, large pages again. */
static void borders_of_gib_pages(void **state)
{
    (void)state;
    size_t gib = WIDE ? (size_t)1 << 30 : 8 * LARGE;
    forget_places();
    add_span(BASE, gib);
    add_span(BASE + gib - PAGE, PAGE);
    add_span(BASE + LARGE, LARGE);
    add_span(BASE + LARGE - PAGE, 2 * PAGE);
    add_span(BASE + gib - LARGE, 2 * LARGE);
    add_span(BASE - PAGE, gib);
    add_span(BASE + gib / 2, LARGE);
    walk_places("borders of GiB pages");
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(borders_of_tables),
        TEST(borders_of_large_pages),
        TEST(borders_of_gib_pages),
    };
    depth = argc > 1 && strcmp(argv[1], "long") == 0 ? CALLS_MAX : depth;
    return cmocka_run_group_tests_name("paging_exhaustive", tests, NULL, NULL);
}
