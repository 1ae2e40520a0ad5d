/* SPDX-License-Identifier: MIT */
/*
 * bootmap.c - the algebra of ranges: adding, sorting, rounding, settling, looking.
 *
 * Every loop here stays inside the array and ends. Rounding is exact: usable RAM keeps precisely its
 * whole pages, and everything else gets every page that it touches.
 */
#include <mem/bootmap.h>

#include "bits.h"

/*@
  predicate sound{L}(struct bootmap *m) =
    \valid(m) && \valid(m->ranges + (0 .. m->capacity - 1)) && m->count <= m->capacity &&
    m->capacity <= 0xffffff && \separated(m, m->ranges + (0 .. m->capacity - 1));
*/

/*@
  predicate good{L}(struct boot_range *r, integer i) =
    r[i].kind < RANGE_KIND_COUNT && r[i].owner < OWNER_COUNT;
  predicate known{L}(struct boot_range *r, integer n) = \forall integer i; 0 <= i < n ==> good(r, i);

  // What a store to r[at] leaves.
  predicate stored{A, B}(struct boot_range *r, integer at) =
    good{B}(r, at) && \forall integer i; i != at ==> good{A}(r, i) ==> good{B}(r, i);
*/

/*@ axiomatic multiples {
  axiom rounded: \forall integer x, n; 0 <= x < 18446744073709551616 ==> 0 <= n < 64 ==>
    rem(x - rem(x, n), n) == 0;
  axiom masked: \forall integer x, m, n; 0 <= x < 18446744073709551616 ==> 0 <= n < 64 ==>
    0 <= m < 18446744073709551616 ==> pow2(n) <= m + 1 ==> m < pow2(n) ==> (x & m) == rem(x, n);
  axiom frames: pow2(12) == 4096;
  axiom whole_pages: \forall integer x, n; 0 <= x < 18446744073709551616 ==> 12 <= n < 64 ==>
    rem(x, n) == 0 ==> x % 4096 == 0;
} */

#include "src/mem/bootmap.c"

#include "src/mem/bootmap_owners.c"

#include "src/mem/range_kind.c"

/*@ assigns \nothing;
    ensures \result < RANGE_KIND_COUNT;
    ensures \result == RANGE_USABLE <==> type == 1;
*/
enum range_kind range_kind_of_e820(uint32_t type);

/*@ assigns \nothing;
    ensures \result < RANGE_KIND_COUNT;
    ensures \result == RANGE_USABLE <==> 1 <= type <= 4 || type == 7;
*/
enum range_kind range_kind_of_efi(uint32_t type);

/*@ assigns \nothing; */
const char *range_kind_name(enum range_kind kind);

/*@ assigns \nothing; ensures \result.v == v; */
static inline paddr_t PA(uint64_t v);

/*@ assigns \nothing; ensures \result.v == v; */
static inline pfn_t PFN(vword_t v);

/*@ assigns \nothing; ensures \result.v == (vword_t)(p.v / 4096); */
static inline pfn_t paddr_pfn(paddr_t p);

/*@ assigns \nothing; ensures \result.v == (uint64_t)(f.v * 4096); */
static inline paddr_t pfn_paddr(pfn_t f);

/*@ assigns \nothing;
    ensures \result == (sizeof(vword_t) == 4 ? 0xffffffff * 4096 : 0);
*/
static uint64_t end_of_names(void);

/*@ requires \valid(map);
    assigns *map;
    ensures \result == MEM_OK <==> array != \null && capacity != 0;
    ensures \result == MEM_OK ==> map->count == 0 && map->capacity == capacity &&
        map->ranges == array && !map->finished;
    ensures \result == MEM_OK && sizeof(vword_t) == 8 ==> map->limit == limit;
    ensures \result == MEM_OK && sizeof(vword_t) == 4 ==>
        map->limit == (limit == 0 || limit > 0xffffffff * 4096 ? 0xffffffff * 4096 : limit);
*/
enum mem_err bootmap_init(struct bootmap *map, struct boot_range *array, size_t capacity,
                          uint64_t limit);

/*@ requires sound(map) && map->count < map->capacity && kind < RANGE_KIND_COUNT;
    requires known(map->ranges, map->count);
    assigns map->count, map->ranges[map->count];
    ensures map->count == \old(map->count) + 1;
    ensures map->ranges[\old(map->count)].start == at;
    ensures map->ranges[\old(map->count)].kind == kind;
    ensures known(map->ranges, map->count);
*/
static void add_event(struct bootmap *map, uint64_t at, bool begins, enum range_kind kind);

/*@ requires sound(map) && known(map->ranges, map->count);
    assigns map->count, map->dropped, map->clamped, map->ranges[0 .. map->capacity - 1];
    ensures \old(map->count) <= map->count <= \old(map->count) + 2;
    ensures map->count <= map->capacity && known(map->ranges, map->count);
    ensures \result != MEM_OK ==> map->count == \old(map->count);
    ensures \result == MEM_OK ==> length > 0 ==> map->ranges[\old(map->count)].start == start;
    ensures \result == MEM_OK ==> length > 0 ==> start + length < 18446744073709551616 ==>
        map->count == \old(map->count) + 2;
    ensures \result == MEM_OK ==> length > 0 ==> start + length < 18446744073709551616 ==>
        map->ranges[\old(map->count) + 1].start == start + length;
    ensures \result == MEM_OK ==> length > 0 ==> start + length >= 18446744073709551616 ==>
        map->count == \old(map->count) + 1;
    ensures \result == MEM_OK ==> length > 0 ==> start + length <= 18446744073709551616 ==>
        map->clamped == \old(map->clamped);
*/
enum mem_err bootmap_add(struct bootmap *map, uint64_t start, uint64_t length,
                         enum range_kind kind);

/*@ requires \valid(heap + (0 .. count - 1)) && hole < count <= 0xffffff;
    requires known(heap, count) && now.kind < RANGE_KIND_COUNT && now.owner < OWNER_COUNT;
    assigns heap[0 .. count - 1];
    ensures known(heap, count);
*/
static void sift_down(struct boot_range *heap, size_t count, size_t hole, struct boot_range now);

/*@ requires \valid(r + (0 .. count - 1)) && count <= 0xffffff;
    requires known(r, count);
    assigns r[0 .. count - 1];
    ensures known(r, count);
*/
static void sort_by_start(struct boot_range *r, size_t count);

/*@ requires \valid_read(active + (0 .. RANGE_KIND_COUNT - 1));
    assigns \nothing;
    ensures 0 <= \result <= RANGE_KIND_COUNT;
    ensures \result < RANGE_KIND_COUNT ==> active[\result] != 0;
    ensures \forall integer k; \result < k < RANGE_KIND_COUNT ==> active[k] == 0;
*/
static enum range_kind strongest(const size_t *active);

/*@ assigns \nothing;
    ensures \result == at - at % 4096;
*/
static inline uint64_t page_first(uint64_t at);

/*@ assigns \nothing;
    ensures \result == at - at % 4096 + 4095;
*/
static inline uint64_t page_last(uint64_t at);

/*@ requires \valid(r);
    assigns r->start, r->last;
    ensures \old(r->start) <= \old(r->last) ==> \result ==> r->start % 4096 == 0 && r->last % 4096 == 4095 && r->start <= r->last;
    ensures \old(r->start) <= \old(r->last) ==> \result ==> r->kind == RANGE_USABLE ==>
        \old(r->start) <= r->start < \old(r->start) + 4096 &&
        r->last <= \old(r->last) < r->last + 4096;
    ensures \old(r->start) <= \old(r->last) ==> r->kind != RANGE_USABLE ==> \result &&
        r->start <= \old(r->start) < r->start + 4096 && r->last - 4096 < \old(r->last) <= r->last;
    ensures \old(r->start) <= \old(r->last) ==> !\result ==> \forall integer page;
        !(\old(r->start) <= 4096 * page && 4096 * page + 4095 <= \old(r->last));
*/
static bool round_range(struct boot_range *r);

/*@ requires \valid(count) && \valid(r) && \valid(out + (0 .. *count - 1));
    requires \separated(count, r, out + (0 .. *count - 1));
    assigns *count, r->start, out[0 .. *count - 1];
    ensures *count <= \old(*count);
    ensures \forall integer n; \old(known(out, n)) ==> known(out, n);
*/
static bool settle(struct boot_range *out, size_t *count, struct boot_range *r);

/*@ assigns \nothing;
    ensures \result <==> (uint64_t)(a.last + 1) == b.start && a.kind == b.kind && a.owner == b.owner;
*/
static inline bool joins(struct boot_range a, struct boot_range b);

/*@ requires \valid(r + (0 .. count)) && count <= 0xffffff;
    requires now.kind < RANGE_KIND_COUNT && now.owner < OWNER_COUNT;
    assigns r[0 .. count];
    ensures \forall integer n; count < n ==> \old(known(r, n)) ==> known(r, n);
    ensures count <= \result <= count + 1;
    ensures count == 0 ==> \result == 1;
*/
static inline size_t put_behind(struct boot_range *r, size_t count, struct boot_range now);

/*@ assigns \nothing;
    ensures \result <==> r.kind == RANGE_USABLE && r.owner == owner;
*/
static bool is_held(struct boot_range r, enum frame_owner owner);

/*@ assigns \nothing;
    ensures \result == \min(a, b);
*/
static uint64_t least(uint64_t a, uint64_t b);

/*@ assigns \nothing;
    ensures \result == \max(a, b);
*/
static uint64_t greatest(uint64_t a, uint64_t b);

/*@ requires 12 <= shift < 64 && 1 <= bytes;
    assigns \nothing;
    ensures \result != 0 ==> from <= \result <= last && bytes - 1 <= last - \result;
    ensures \result != 0 ==> rem(\result, shift) == 0;
*/
static uint64_t fit(uint64_t from, uint64_t last, uint64_t bytes, unsigned shift);

/*@ requires sound((struct bootmap *)map) && 12 <= shift < 64 && 1 <= bytes;
    assigns \nothing;
    ensures \result != 0 ==> 0x100000 <= \result && \result + bytes - 1 <= top;
    ensures \result != 0 ==> rem(\result, shift) == 0;
    ensures \result != 0 ==> \exists integer i; 0 <= i < map->count &&
        map->ranges[i].kind == RANGE_USABLE && map->ranges[i].owner == OWNER_NONE &&
        map->ranges[i].start <= \result && \result + bytes - 1 <= map->ranges[i].last;
*/
static uint64_t find_room(const struct bootmap *map, uint64_t top, uint64_t bytes, unsigned shift);

/*@ requires sound((struct bootmap *)map);
    assigns \nothing;
    ensures \result <= map->count;
    ensures \result < map->count ==> map->ranges[\result].kind == RANGE_USABLE;
    ensures \result < map->count ==> map->ranges[\result].owner == owner;
    ensures \result < map->count ==> map->ranges[\result].start <= start;
    ensures \result < map->count ==> last <= map->ranges[\result].last;
    ensures \result < map->count ==> \forall integer j; 0 <= j < \result ==>
        map->ranges[j].last < start;
*/
static size_t find_held(const struct bootmap *map, uint64_t start, uint64_t last,
                        enum frame_owner owner);

/*@ requires \valid(r + (0 .. count)) && index < count <= 0xffffff && known(r, count);
    assigns r[index + 1 .. count];
    ensures known(r, count + 1);
*/
static void open_gap(struct boot_range *r, size_t index, size_t count);

/*@ requires sound(map) && index < map->count < map->capacity && known(map->ranges, map->count);
    requires map->ranges[index].start < at <= map->ranges[index].last;
    assigns map->count, map->ranges[index .. map->count];
    ensures map->count == \old(map->count) + 1 && known(map->ranges, map->count);
    ensures map->ranges[index].start == \old(map->ranges[index].start);
    ensures map->ranges[index].last == at - 1;
    ensures map->ranges[index + 1].start == at;
*/
static void split(struct bootmap *map, size_t index, uint64_t at);

/*@ requires \valid(r + (0 .. count - 1)) && count <= 0xffffff && start <= last;
    requires known(r, count) && to < OWNER_COUNT;
    assigns r[0 .. count - 1];
    ensures \result <= count && known(r, \result);
    ensures count > 0 ==> \result > 0;
*/
static size_t pass_on(struct boot_range *r, size_t count, uint64_t start, uint64_t last,
                      enum frame_owner from, enum frame_owner to);

/*@ requires start <= last && to < OWNER_COUNT;
    requires sound(map) && known(map->ranges, map->count);
    assigns map->count, map->ranges[0 .. map->capacity - 1];
    ensures \result == MEM_OK || \result == MEM_FULL;
    ensures \old(map->count) + 2 <= map->capacity ==> \result == MEM_OK;
    ensures map->count <= map->capacity && map->count <= \old(map->count) + 2;
    ensures known(map->ranges, map->count);
    ensures \result != MEM_OK ==> map->count == \old(map->count);
    ensures \result != MEM_OK ==> \forall integer j; 0 <= j < map->capacity ==>
        map->ranges[j] == \old(map->ranges[j]);
*/
static enum mem_err hand_over(struct bootmap *map, uint64_t start, uint64_t last,
                              enum frame_owner from, enum frame_owner to);

/*@ requires sound(map) && known(map->ranges, map->count);
    assigns map->count, map->ranges[0 .. map->capacity - 1];
    ensures map->count <= map->capacity && map->count <= \old(map->count) + 2;
    ensures known(map->ranges, map->count);
    ensures \result != MEM_OK ==> map->count == \old(map->count);
    ensures \result != MEM_OK ==> \forall integer j; 0 <= j < map->capacity ==>
        map->ranges[j] == \old(map->ranges[j]);
*/
enum mem_err bootmap_reserve(struct bootmap *map, uint64_t start, uint64_t length,
                             enum frame_owner owner);

/*@ requires sound(map) && known(map->ranges, map->count);
    assigns map->count, map->ranges[0 .. map->capacity - 1];
    ensures map->count <= map->capacity && map->count <= \old(map->count) + 2;
    ensures known(map->ranges, map->count);
    ensures \result != MEM_OK ==> map->count == \old(map->count);
    ensures \result != MEM_OK ==> \forall integer j; 0 <= j < map->capacity ==>
        map->ranges[j] == \old(map->ranges[j]);
*/
enum mem_err bootmap_give(struct bootmap *map, pfn_t first, size_t frames, enum frame_owner owner);

/*@ requires sound(map) && known(map->ranges, map->count);
    requires \valid(first) && \separated(first, map);
    requires \separated(first, map->ranges + (0 .. map->capacity - 1));
    requires sizeof(vword_t) == 4 ==> 0 < map->limit <= 0xffffffff * 4096;
    assigns *first, map->count, map->ranges[0 .. map->capacity - 1];
    ensures map->count <= map->capacity && map->count <= \old(map->count) + 2;
    ensures known(map->ranges, map->count);
    ensures \result != MEM_OK ==> map->count == \old(map->count) && *first == \old(*first);
    ensures \result != MEM_OK ==> \forall integer j; 0 <= j < map->capacity ==>
        map->ranges[j] == \old(map->ranges[j]);
    ensures \result == MEM_OK ==> first->v >= 256;
    ensures \result == MEM_OK ==> rem(first->v * 4096, align_log2 + 12) == 0;
    ensures \result == MEM_OK ==> below != 0 ==> (first->v + frames) * 4096 <= below;
    ensures \result == MEM_OK ==> map->limit != 0 ==> (first->v + frames) * 4096 <= map->limit;
    ensures \result == MEM_OK ==> \exists integer i; 0 <= i < \old(map->count) &&
        \old(map->ranges[i].kind) == RANGE_USABLE && \old(map->ranges[i].owner) == OWNER_NONE &&
        \old(map->ranges[i].start) <= first->v * 4096 &&
        (first->v + frames) * 4096 - 1 <= \old(map->ranges[i].last);
*/
enum mem_err bootmap_take(struct bootmap *map, size_t frames, unsigned align_log2, uint64_t below,
                          enum frame_owner owner, pfn_t *first);

/*@ requires \valid(map);
    assigns map->closed;
    ensures map->closed;
*/
void bootmap_close(struct bootmap *map);

/*@ requires sound((struct bootmap *)map) && known(map->ranges, map->count);
    assigns \nothing;
*/
struct bootmap_totals bootmap_totals(const struct bootmap *map);

/*@ requires \valid_read(r + (0 .. events - 1)) && i < events <= 0xffffff;
    requires \valid(active + (0 .. RANGE_KIND_COUNT - 1));
    requires \separated(r + (0 .. events - 1), active + (0 .. RANGE_KIND_COUNT - 1));
    requires known(r, events);
    assigns active[0 .. RANGE_KIND_COUNT - 1];
    ensures i < \result <= events;
*/
static size_t count_events(const struct boot_range *r, size_t i, size_t events, size_t *active);

/*@ requires \valid(r + (0 .. events - 1)) && events <= 0xffffff && known(r, events);
    assigns r[0 .. events - 1];
    ensures \result <= events && known(r, \result);
*/
static size_t sweep(struct boot_range *r, size_t events);

/*@ requires \valid(r + (0 .. count - 1)) && count <= 0xffffff && known(r, count);
    assigns r[0 .. count - 1];
    ensures \result <= count && known(r, \result);
*/
static size_t round_all(struct boot_range *r, size_t count);

/*@ requires sound(map) && known(map->ranges, map->count);
    assigns map->count, map->finished, map->ranges[0 .. map->capacity - 1];
    ensures \result == (\old(map->finished) ? MEM_ALREADY_INIT : MEM_OK);
    ensures map->finished && map->count <= \old(map->count);
    ensures known(map->ranges, map->count);
*/
enum mem_err bootmap_finish(struct bootmap *map);
