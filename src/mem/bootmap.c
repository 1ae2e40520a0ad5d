/* SPDX-License-Identifier: MIT */
/*
 * bootmap.c - any firmware map made canonical by one sweep.
 *
 * While entries are added the array holds events: "from here on one more (or one less) of this
 * kind". bootmap_finish sorts them and sweeps once, keeping a count for each kind; where the most
 * restrictive kind present changes, a range ends and another begins. A range comes out only after
 * the events that made it went in, so the result overwrites the events in place. Then ranges are
 * rounded to pages, again in place.
 *
 *   B1  ranges are sorted, disjoint and whole pages.
 *   B2  neighbours that touch differ in kind or owner.
 *   B3  only usable ranges have an owner.
 *   B4  count <= capacity.
 */
#include <mem/bootmap.h>

enum { MIB = 1 << 20 };

/* 0: a pfn_t can name every frame there is. Else (32 bits) the first byte of PFN_NONE, no frame. */
static uint64_t end_of_names(void)
{
    uint64_t end = pfn_paddr(PFN_NONE).v;
    return end >> PAGE_SHIFT == PFN_NONE.v ? end : 0;
}

enum mem_err bootmap_init(struct bootmap *map, struct boot_range *array, size_t capacity,
                          uint64_t limit)
{
    if (!array || !capacity)
        return MEM_BAD_ARG;
    if (limit - 1 > end_of_names() - 1) /* 0 is the highest of all */
        limit = end_of_names();
    *map = (struct bootmap){.ranges = array, .capacity = capacity, .limit = limit};
    return MEM_OK;
}

/* An event: at `start`, one more (`last` 1) or one less (`last` 0) of `kind`. */
static void add_event(struct bootmap *map, uint64_t at, bool begins, enum range_kind kind)
{
    map->ranges[map->count++] = (struct boot_range){at, begins, kind, OWNER_NONE};
}

enum mem_err bootmap_add(struct bootmap *map, uint64_t start, uint64_t length, enum range_kind kind)
{
    if (map->finished)
        return MEM_ALREADY_INIT;
    if ((unsigned)kind >= RANGE_KIND_COUNT)
        return MEM_BAD_ARG;
    if (!length) {
        map->dropped++;
        return MEM_OK;
    }
    if (map->capacity - map->count < 2)
        return MEM_FULL;

    bool wraps = length - 1 > UINT64_MAX - start;
    uint64_t last = wraps ? UINT64_MAX : start + (length - 1);
    map->clamped += wraps;
    add_event(map, start, true, kind);
    if (last != UINT64_MAX)
        add_event(map, last + 1, false, kind);
    return MEM_OK;
}

/* ---- sorting: heapsort, in place, no recursion ---------------------------------------------- */

static void swap(struct boot_range *a, struct boot_range *b)
{
    struct boot_range t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(struct boot_range *heap, size_t root, size_t count)
{
    /*@ loop invariant 0 <= root <= count;
        loop assigns root, heap[0 .. count - 1];
        loop variant count - root;
    */
    while (2 * root + 1 < count) {
        size_t child = 2 * root + 1;
        if (child + 1 < count && heap[child].start < heap[child + 1].start)
            child++;
        if (heap[root].start >= heap[child].start)
            return;
        swap(&heap[root], &heap[child]);
        root = child;
    }
}

static void sort_by_start(struct boot_range *r, size_t count)
{
    /*@ loop invariant 0 <= i <= count / 2;
        loop assigns i, r[0 .. count - 1];
        loop variant i;
    */
    for (size_t i = count / 2; i-- > 0;)
        sift_down(r, i, count);
    /*@ loop invariant 0 <= left <= count;
        loop assigns left, r[0 .. count - 1];
        loop variant left;
    */
    for (size_t left = count; left > 1; left--) {
        swap(&r[0], &r[left - 1]);
        sift_down(r, 0, left - 1);
    }
}

/* ---- the sweep ------------------------------------------------------------------------------ */

/* The most restrictive kind with a count, or RANGE_KIND_COUNT where there is none. */
static enum range_kind strongest(const size_t *active)
{
    /*@ loop invariant 0 <= k <= RANGE_KIND_COUNT;
        loop invariant \forall integer j; k <= j < RANGE_KIND_COUNT ==> active[j] == 0;
        loop assigns k;
        loop variant k;
    */
    for (enum range_kind k = RANGE_KIND_COUNT; k-- > 0;) {
        if (active[k])
            return k;
    }
    return RANGE_KIND_COUNT;
}

/* Events -> ranges to the byte, disjoint, neighbours of one kind joined. */
static size_t sweep(struct boot_range *r, size_t events)
{
    size_t active[RANGE_KIND_COUNT] = {0}, out = 0;
    enum range_kind now = RANGE_KIND_COUNT;
    uint64_t since = 0;
    for (size_t i = 0; i < events;) {
        uint64_t at = r[i].start;
        for (; i < events && r[i].start == at; i++) {
            if (r[i].last)
                active[r[i].kind]++;
            else
                active[r[i].kind]--;
        }
        enum range_kind next = strongest(active);
        if (next == now)
            continue;
        if (now != RANGE_KIND_COUNT)
            r[out++] = (struct boot_range){since, at - 1, now, OWNER_NONE};
        now = next;
        since = at;
    }
    if (now != RANGE_KIND_COUNT) /* an entry reaches 2^64, and has no end event */
        r[out++] = (struct boot_range){since, UINT64_MAX, now, OWNER_NONE};
    return out;
}

/* ---- rounding ------------------------------------------------------------------------------- */

#define PAGE_MASK ((uint64_t)PAGE_SIZE - 1)

/* The first and the last byte of the page that has this one. */
static uint64_t page_first(uint64_t at)
{
    return at & ~PAGE_MASK;
}

static uint64_t page_last(uint64_t at)
{
    return at | PAGE_MASK;
}

/* Usable inward, everything else outward; false when nothing is left. */
static bool round_range(struct boot_range *r)
{
    if (r->kind != RANGE_USABLE) {
        r->start = page_first(r->start);
        r->last = page_last(r->last);
        return true;
    }
    if (r->start > UINT64_MAX - PAGE_MASK)
        return false;
    uint64_t start = page_first(r->start + PAGE_MASK);
    uint64_t end = page_first(r->last + 1); /* 0 also when the range reaches 2^64 */
    if (r->last != UINT64_MAX && end <= start)
        return false;
    r->start = start;
    r->last = end - 1;
    return true;
}

/*
 * Two ranges may both have a byte of one page. The more restrictive one gets the page; the other
 * gives up that page, and with it perhaps all it had. False: `r` had nothing else.
 */
static bool settle(struct boot_range *out, size_t *count, struct boot_range *r)
{
    /*@ loop invariant 0 <= *count <= \at(*count, Pre);
        loop assigns *count;
        loop variant *count;
    */
    while (*count && out[*count - 1].last >= r->start) {
        struct boot_range *before = &out[*count - 1];
        if (before->kind >= r->kind) {
            if (before->last >= r->last)
                return false;
            r->start = before->last + 1;
            return true;
        }
        if (before->start < r->start) {
            before->last = r->start - 1;
            return true;
        }
        --*count;
    }
    return true;
}

static bool joins(const struct boot_range *a, const struct boot_range *b)
{
    return a->last + 1 == b->start && a->kind == b->kind && a->owner == b->owner;
}

static size_t round_all(struct boot_range *r, size_t count)
{
    size_t out = 0;
    for (size_t i = 0; i < count; i++) {
        struct boot_range now = r[i];
        if (!round_range(&now) || !settle(r, &out, &now))
            continue;
        if (out && joins(&r[out - 1], &now))
            r[out - 1].last = now.last;
        else
            r[out++] = now;
    }
    return out;
}

enum mem_err bootmap_finish(struct bootmap *map)
{
    if (map->finished)
        return MEM_ALREADY_INIT;
    sort_by_start(map->ranges, map->count);
    map->count = sweep(map->ranges, map->count);
    map->count = round_all(map->ranges, map->count);
    map->finished = true;
    return MEM_OK;
}

/* ---- owners --------------------------------------------------------------------------------- */

static void insert_at(struct bootmap *map, size_t index, struct boot_range r)
{
    for (size_t i = map->count; i > index; i--)
        map->ranges[i] = map->ranges[i - 1];
    map->ranges[index] = r;
    map->count++;
}

static void remove_at(struct bootmap *map, size_t index)
{
    map->count--;
    for (size_t i = index; i < map->count; i++)
        map->ranges[i] = map->ranges[i + 1];
}

static void join_with_next(struct bootmap *map, size_t index)
{
    if (index + 1 >= map->count || !joins(&map->ranges[index], &map->ranges[index + 1]))
        return;
    map->ranges[index].last = map->ranges[index + 1].last;
    remove_at(map, index + 1);
}

/* Gives [start, last], all inside ranges[index], to owner; needs room for two more ranges. */
static void assign(struct bootmap *map, size_t index, uint64_t start, uint64_t last,
                   enum frame_owner owner)
{
    struct boot_range old = map->ranges[index];
    map->ranges[index] = (struct boot_range){start, last, old.kind, owner};
    if (last < old.last)
        insert_at(map, index + 1, (struct boot_range){last + 1, old.last, old.kind, old.owner});
    if (start > old.start) {
        insert_at(map, index, (struct boot_range){old.start, start - 1, old.kind, old.owner});
        index++;
    }
    join_with_next(map, index);
    if (index)
        join_with_next(map, index - 1);
}

static bool is_free(const struct boot_range *r)
{
    return r->kind == RANGE_USABLE && r->owner == OWNER_NONE;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

static uint64_t greatest(uint64_t a, uint64_t b)
{
    return a > b ? a : b;
}

/* The first free range that meets [start, last], or count. */
static size_t find_free(const struct bootmap *map, uint64_t start, uint64_t last)
{
    size_t i = 0;
    /*@ loop invariant 0 <= i <= map->count;
        loop assigns i;
        loop variant map->count - i;
    */
    while (i < map->count && (!is_free(&map->ranges[i]) || map->ranges[i].last < start))
        i++;
    return i < map->count && map->ranges[i].start <= last ? i : map->count;
}

enum mem_err bootmap_reserve(struct bootmap *map, uint64_t start, uint64_t length,
                             enum frame_owner owner)
{
    if (!map->finished)
        return MEM_NOT_INIT;
    if (map->closed)
        return MEM_CLOSED;
    if (owner == OWNER_NONE || owner >= OWNER_COUNT)
        return MEM_BAD_ARG;
    if (!length)
        return MEM_OK;
    uint64_t last = length - 1 > UINT64_MAX - start ? UINT64_MAX : start + (length - 1);
    start = page_first(start);
    last = page_last(last);
    if (map->capacity - map->count < 2) /* only the first and the last piece can split a range */
        return MEM_FULL;

    for (size_t i; (i = find_free(map, start, last)) < map->count;) {
        const struct boot_range *r = &map->ranges[i];
        assign(map, i, greatest(start, r->start), least(last, r->last), owner);
    }
    return MEM_OK;
}

/* The lowest fitting address in [from, last], all ends inclusive; false: none. */
static bool fit(uint64_t from, uint64_t last, uint64_t bytes, unsigned shift, uint64_t *at)
{
    uint64_t unit = 1ull << shift;
    if (from > UINT64_MAX - (unit - 1))
        return false;
    *at = (from + (unit - 1)) & ~(unit - 1);
    return *at <= last && last - *at >= bytes - 1;
}

enum mem_err bootmap_take(struct bootmap *map, size_t frames, unsigned align_log2, uint64_t below,
                          enum frame_owner owner, pfn_t *first)
{
    if (!map->finished)
        return MEM_NOT_INIT;
    if (map->closed)
        return MEM_CLOSED;
    if (!frames || align_log2 > 51 || owner == OWNER_NONE || owner >= OWNER_COUNT)
        return MEM_BAD_ARG;
    if (map->capacity - map->count < 2)
        return MEM_FULL;

    uint64_t top = below ? below - 1 : UINT64_MAX;
    if (map->limit)
        top = least(top, map->limit - 1);
    uint64_t bytes = (uint64_t)frames << PAGE_SHIFT, at;
    if (bytes >> PAGE_SHIFT != frames)
        return MEM_NO_FRAME;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        if (!is_free(r) ||
            !fit(greatest(r->start, MIB), least(r->last, top), bytes, PAGE_SHIFT + align_log2, &at))
            continue;
        assign(map, i, at, at + (bytes - 1), owner);
        *first = paddr_pfn(PA(at));
        return MEM_OK;
    }
    return MEM_NO_FRAME;
}

/* The usable range that holds all of [start, last] for `owner`, or count. */
static size_t find_held(const struct bootmap *map, uint64_t start, uint64_t last,
                        enum frame_owner owner)
{
    size_t i = 0;
    /*@ loop invariant 0 <= i <= map->count;
        loop assigns i;
        loop variant map->count - i;
    */
    while (i < map->count && map->ranges[i].last < start)
        i++;
    if (i == map->count)
        return i;
    const struct boot_range *r = &map->ranges[i];
    bool held =
        r->kind == RANGE_USABLE && r->owner == owner && r->start <= start && last <= r->last;
    return held ? i : map->count;
}

enum mem_err bootmap_give(struct bootmap *map, pfn_t first, size_t frames, enum frame_owner owner)
{
    if (!map->finished)
        return MEM_NOT_INIT;
    if (map->closed)
        return MEM_CLOSED;
    uint64_t start = pfn_paddr(first).v, bytes = (uint64_t)frames << PAGE_SHIFT;
    if (!frames || bytes >> PAGE_SHIFT != frames || owner == OWNER_NONE || owner >= OWNER_COUNT)
        return MEM_BAD_ARG;
    if (bytes - 1 > UINT64_MAX - start)
        return MEM_NOT_HELD;
    size_t i = find_held(map, start, start + (bytes - 1), owner);
    if (i == map->count)
        return MEM_NOT_HELD;
    const struct boot_range *r = &map->ranges[i];
    if (map->capacity - map->count < (size_t)(start > r->start) + (r->last - start > bytes - 1))
        return MEM_FULL;
    assign(map, i, start, start + (bytes - 1), OWNER_NONE);
    return MEM_OK;
}

void bootmap_close(struct bootmap *map)
{
    map->closed = true;
}

/* ---- sums ----------------------------------------------------------------------------------- */

struct bootmap_totals bootmap_totals(const struct bootmap *map)
{
    struct bootmap_totals t = {0};
    uint64_t limit = map->limit ? map->limit >> PAGE_SHIFT : UINT64_MAX;
    for (size_t i = 0; i < map->count; i++) {
        const struct boot_range *r = &map->ranges[i];
        if (r->kind != RANGE_USABLE)
            continue;
        uint64_t start = r->start >> PAGE_SHIFT, end = (r->last >> PAGE_SHIFT) + 1;
        uint64_t cut = greatest(start, least(end, limit));
        t.usable_frames += cut - start;
        t.owned_frames[r->owner] += cut - start;
        t.above_limit_frames += end - cut;
        if (cut > start)
            t.highest_frame = cut;
    }
    return t;
}
