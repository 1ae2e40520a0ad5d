/* SPDX-License-Identifier: MIT */
/*
 * pages.c - map, unmap and protect, single pages and ranges, in three address spaces.
 *
 * Each place is 8 MiB across the borders of large pages, and an array says for each of its pages
 * what is mapped there and with which rights. Physical addresses are numbers that nobody touches.
 * A refused call must have changed nothing; an address space is destroyed now and then with all
 * that is in it. Tables come from the common frames, so calls fail for want of them, too.
 */
#include "soak.h"

#include <string.h>

enum { WIDE = sizeof(void *) == 8, RIGHTS = MAP_WRITE | MAP_EXEC | MAP_USER };
enum { PAGES = 2048, PLACES = 3, HEAP = PLACES, SPACES };

/* More tables than any one call here takes: two large pages split, and every level anew. */
enum { SCARCE = 2 + 2 * PAGING_MAX_LEVELS };

struct page {
    uint32_t frame;
    uint8_t mapped, flags;
};

static struct aspace space[SPACES]; /* [0] is the kernel's, the last one has the heap alone */
static struct page model[PLACES][PAGES];
static uint64_t mapped;
static const vword_t start[PLACES] = {
    (vword_t)(WIDE ? 0xffffc0003fc00000 : 0xd03ff000),
    0x3ffff000,
    (vword_t)(WIDE ? 0x00007fffff800000 : 0xbf800000),
};

struct call {
    unsigned place, page, pages;
    unsigned flags;
    uint32_t frame;
};

static struct aspace *space_of(const struct call *c)
{
    return &space[c->place];
}

static vaddr_t va_of(unsigned place, unsigned page)
{
    return VA(start[place] + ((vword_t)page << PAGE_SHIFT));
}

/* Mostly a few pages; sometimes a range that holds large pages, often at an address that suits. */
static unsigned draw_pages(unsigned page)
{
    unsigned most = PAGES - page;
    unsigned pages = 1 + (soak_below(32) ? soak_below(1 << soak_below(6)) : soak_below(PAGES));
    return pages < most ? pages : most;
}

static struct call draw(bool ranged)
{
    static const uint8_t rights[] = {MAP_READ, MAP_WRITE, MAP_EXEC, MAP_WRITE | MAP_NO_LARGE,
                                     MAP_WRITE | MAP_CACHE_UC};
    struct call c = {.place = soak_below(PLACES), .page = soak_below(PAGES), .pages = 1};
    if (ranged)
        c.pages = draw_pages(c.page);
    c.flags = soak_below(200) ? rights[soak_below(sizeof rights)] : MAP_WRITE | MAP_EXEC;
    if (c.place)
        c.flags |= MAP_USER;
    c.frame = 0x40000 + soak_below(0x40000);
    if (soak_below(2)) /* as far from a large page's border as the address is */
        c.frame = (c.frame & ~1023u) + ((va_of(c.place, c.page).v >> PAGE_SHIFT) & 1023);
    return c;
}

/* ---- what should come of it ----------------------------------------------------------------- */

static unsigned count_mapped(const struct call *c)
{
    unsigned n = 0;
    for (unsigned i = 0; i < c->pages; i++)
        n += model[c->place][c->page + i].mapped;
    return n;
}

static bool frames_are_scarce(void)
{
    return ledger_count(OWNER_NONE) < SCARCE;
}

/* A call that should be done was, or frames are scarce; one that should not gave a right reason. */
static bool accept(enum mem_err err, enum mem_err reason, enum mem_err other, const char *what,
                   const struct call *c)
{
    soak_note(err);
    soak.refused += err != MEM_OK;
    soak.dry += err == MEM_NO_FRAME;
    bool right =
        err == reason || (err && err == other) || (err == MEM_NO_FRAME && frames_are_scarce());
    if (!right)
        soak_wrong("%s of %u pages at %p: %s, not %s", what, c->pages,
                   (void *)va_of(c->place, c->page).v, mem_err_name(err), mem_err_name(reason));
    return !err;
}

static enum mem_err write_and_execute(const struct call *c)
{
    return (c->flags & MAP_WRITE) && (c->flags & MAP_EXEC) ? MEM_WX : MEM_OK;
}

static void set(const struct call *c, bool present)
{
    for (unsigned i = 0; i < c->pages; i++)
        model[c->place][c->page + i] =
            (struct page){c->frame + i, present, present ? (uint8_t)(c->flags & RIGHTS) : 0};
}

static void look_at(unsigned place, unsigned page)
{
    const struct page *p = &model[place][page];
    paddr_t pa = PA(0);
    enum mem_err err = translate(&space[place], va_of(place, page), &pa);
    if (err != (p->mapped ? MEM_OK : MEM_NOT_MAPPED) ||
        (p->mapped && pa.v != (uint64_t)p->frame << PAGE_SHIFT))
        soak_wrong("page %p: %s, physical 0x%llx; it should be %s0x%llx",
                   (void *)va_of(place, page).v, mem_err_name(err), (unsigned long long)pa.v,
                   p->mapped ? "" : "absent, was ", (unsigned long long)p->frame << PAGE_SHIFT);
}

/* Both ends of the range, inside and outside: done or refused, they are as the model says. */
static void look(const struct call *c)
{
    unsigned last = c->page + c->pages - 1;
    look_at(c->place, c->page);
    look_at(c->place, last);
    look_at(c->place, c->page ? c->page - 1 : 0);
    look_at(c->place, last + 1 < PAGES ? last + 1 : last);
}

/* ---- calls ---------------------------------------------------------------------------------- */

static void did_map(enum mem_err err, const struct call *c)
{
    enum mem_err wx = write_and_execute(c), taken = count_mapped(c) ? MEM_MAPPED : MEM_OK;
    if (accept(err, wx ? wx : taken, taken, "map", c)) {
        set(c, true);
        mapped += c->pages;
    }
    look(c);
}

static void did_unmap(enum mem_err err, const struct call *c)
{
    enum mem_err reason = count_mapped(c) == c->pages ? MEM_OK : MEM_NOT_MAPPED;
    if (accept(err, reason, reason, "unmap", c)) {
        set(c, false);
        mapped -= c->pages;
    }
    look(c);
}

static void map_all(const struct call *c)
{
    did_map(map_range(space_of(c), va_of(c->place, c->page), PA((uint64_t)c->frame << PAGE_SHIFT),
                      (size_t)c->pages << PAGE_SHIFT, c->flags),
            c);
}

static void unmap_all(const struct call *c)
{
    did_unmap(unmap_range(space_of(c), va_of(c->place, c->page), (size_t)c->pages << PAGE_SHIFT),
              c);
}

static void map_one(const struct call *c)
{
    did_map(map_page(space_of(c), va_of(c->place, c->page), PA((uint64_t)c->frame << PAGE_SHIFT),
                     c->flags),
            c);
}

static void unmap_one(const struct call *c)
{
    paddr_t was = PA(0);
    enum mem_err err = unmap_page(space_of(c), va_of(c->place, c->page), &was);
    if (!err && was.v != (uint64_t)model[c->place][c->page].frame << PAGE_SHIFT)
        soak_wrong("unmap of page %u gave 0x%llx", c->page, (unsigned long long)was.v);
    did_unmap(err, c);
}

static void map(bool ranged)
{
    struct call c = draw(ranged);
    (ranged ? map_all : map_one)(&c);
}

static void unmap(bool ranged)
{
    struct call c = draw(ranged);
    (ranged ? unmap_all : unmap_one)(&c);
}

static void protect(bool ranged)
{
    struct call c = draw(ranged);
    vaddr_t va = va_of(c.place, c.page);
    enum mem_err wx = write_and_execute(&c);
    enum mem_err absent = count_mapped(&c) == c.pages ? MEM_OK : MEM_NOT_MAPPED;
    enum mem_err err = ranged
                           ? protect_range(space_of(&c), va, (size_t)c.pages << PAGE_SHIFT, c.flags)
                           : protect_page(space_of(&c), va, c.flags);
    if (accept(err, wx ? wx : absent, absent, "protect", &c)) {
        for (unsigned i = 0; i < c.pages; i++)
            model[c.place][c.page + i].flags = (uint8_t)(c.flags & RIGHTS);
    }
    look(&c);
}

/* How many of its pages of 4 KiB lie in large ones. */
static uint64_t large_pages_of(const struct call *c)
{
    uint64_t large = 0;
    for (unsigned i = 0; i < c->pages; i++) {
        struct walk w;
        paging_walk(space_of(c), va_of(c->place, c->page + i), &w);
        large += w.mapped && w.page_bytes > PAGE_SIZE;
    }
    return large;
}

/* Makes room to the end of a place, run by run, and fills it with one mapping: so large pages come
 * about, for later calls to split. */
static void fill(void)
{
    struct call c = draw(true), rest = c;
    c.page = soak_below(PAGES / 2);
    c.pages = PAGES - c.page;
    for (unsigned page = c.page; page < PAGES; page += rest.pages) {
        bool there = model[c.place][page].mapped;
        rest = (struct call){.place = c.place, .page = page, .pages = 1};
        while (page + rest.pages < PAGES && model[c.place][page + rest.pages].mapped == there)
            rest.pages++;
        if (there)
            unmap_all(&rest);
    }
    c.frame = 0x40000 + ((va_of(c.place, c.page).v >> PAGE_SHIFT) & 0x3ffff);
    map_all(&c);
    soak.large += large_pages_of(&c);
}

/* ---- address spaces ------------------------------------------------------------------------- */

static void make(unsigned place)
{
    enum mem_err err = paging_create(&space[place], place == 0, soak_tables, &soak_features);
    if (!err && place == 0)
        err = paging_pin(&space[0], VA(start[0] & ~(vword_t)0x3fffff), 16u << 20);
    else if (!err && place != HEAP)
        err = paging_share_kernel(&space[place], &space[0],
                                  VA(WIDE ? 0xffff800000000000 : 0xc0000000));
    if (err)
        soak_wrong("address space %u: %s", place, mem_err_name(err));
}

static void destroy(unsigned place)
{
    paging_destroy(&space[place]);
    for (unsigned i = 0; i < PAGES; i++) {
        mapped -= model[place][i].mapped;
        model[place][i] = (struct page){0};
    }
}

/* ---- what main.c calls ---------------------------------------------------------------------- */

struct aspace *pages_heap(void)
{
    return &space[HEAP];
}

uint64_t pages_mapped(void)
{
    return mapped;
}

void pages_start(void)
{
    for (unsigned i = 0; i < SPACES; i++)
        make(i);
}

void pages_call(void)
{
    bool ranged = soak_below(4) == 0;
    bool more = mapped < (uint64_t)PLACES * PAGES * soak.want_pages / 16;
    unsigned what = soak_below(1 << 16);
    if (what == 0 && ledger_count(OWNER_NONE) > SCARCE) {
        unsigned place = 1 + soak_below(PLACES - 1);
        destroy(place);
        make(place);
    } else if (what < 32) {
        fill();
    } else if (what % 4 == 0) {
        protect(ranged);
    } else if (what % 16 < 10 ? more : !more) {
        map(ranged);
    } else {
        unmap(ranged);
    }
}

static void audit_page(unsigned place, unsigned page)
{
    const struct page *p = &model[place][page];
    unsigned expected = p->flags | (!WIDE && p->mapped ? MAP_EXEC : 0); /* two levels have no NX */
    struct walk w;
    paging_walk(&space[place], va_of(place, page), &w);
    look_at(place, page);
    if (w.mapped != p->mapped || (w.mapped && (w.flags & RIGHTS) != expected))
        soak_wrong("page %p may 0x%x, and should 0x%x", (void *)va_of(place, page).v,
                   w.flags & RIGHTS, expected);
}

void pages_audit(void)
{
    const char *broken = NULL;
    size_t tables = 0;
    for (unsigned i = 0; i < SPACES; i++) {
        tables += space[i].tables;
        for (unsigned page = 0; i < PLACES && page < PAGES; page++)
            audit_page(i, page);
        if (!paging_holds(&space[i], &broken))
            soak_wrong("address space %u: %s", i, broken);
    }
    if (tables != ledger_count(OWNER_TABLE))
        soak_wrong("%zu tables are in use, the ledger has %zu", tables,
                   (size_t)ledger_count(OWNER_TABLE));
}

/* The user spaces go at once, the kernel's page by page: its tables are then those of the start. */
void pages_finish(void)
{
    for (unsigned i = 1; i < PLACES; i++)
        destroy(i);
    for (unsigned page = 0; page < PAGES; page++) {
        struct call c = {.page = page, .pages = 1};
        if (model[0][page].mapped)
            unmap_one(&c);
    }
    for (unsigned i = 1; i < PLACES; i++)
        make(i);
}

/* One page's rights change, and the model is not told. */
void pages_plant(void)
{
    for (unsigned page = 0; page < PAGES; page++) {
        const struct page *p = &model[1][page];
        unsigned other = p->flags & MAP_WRITE ? MAP_USER : MAP_USER | MAP_WRITE;
        if (p->mapped && protect_page(&space[1], va_of(1, page), other) == MEM_OK)
            return;
    }
    soak_wrong("no page to spoil");
}
