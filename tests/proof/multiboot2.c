/* SPDX-License-Identifier: MIT */
/*
 * multiboot2.c - what the boot information's parser promises, for every blob of any size.
 *
 * M1 is every memory access proved inside its `\valid_read`; M2 is `kept`; M3 is the loops'
 * variants. The calls by index are safe on every blob that multiboot2_parse took: `accepted`.
 */
#include <multiboot2.h>

#include "bytes.h"

/*@
  logic integer word32{L}(uint8_t *p) = p[0] + 0x100 * p[1] + 0x10000 * p[2] + 0x1000000 * p[3];
  logic integer word64{L}(uint8_t *p) = word32(p) + 0x100000000 * word32(p + 4);
  lemma rows: \forall integer i, n, s; 0 <= i < n ==> 0 < s ==> i * s + s <= n * s;
  logic integer times(integer a, integer b) = a * b;
  lemma quotient: \forall integer a, b; 0 <= a ==> 0 < b ==> 0 <= times(a / b, b) <= a;
  lemma inside: \forall integer i, n, s; 0 <= i < n ==> 0 < s ==> times(i, s) + s <= times(n, s);
  lemma positive: \forall integer i, s; 0 <= i ==> 0 < s ==> 0 <= times(i, s);
  logic integer up8(integer n) = (n + 7) / 8 * 8;

  predicate table_inside(struct boot_table *t, integer least, integer total) =
    t->offset == 0 && t->count == 0 ||
    16 <= t->offset && least <= t->stride && t->offset + times(t->count, t->stride) <= total;

  // M2: every offset is inside the blob, and so is all that it counts.
  predicate kept{L}(struct boot_info *b, integer total) =
    table_inside(&b->mmap, 24, total) && table_inside(&b->efi_map, 40, total) &&
    b->rsdp_offset <= total;

  // What `kept` looks at is as it was.
  predicate still{A, B}(struct boot_info *b) =
    \at(b->mmap.offset, A) == \at(b->mmap.offset, B) &&
    \at(b->mmap.stride, A) == \at(b->mmap.stride, B) &&
    \at(b->mmap.count, A) == \at(b->mmap.count, B) &&
    \at(b->efi_map.offset, A) == \at(b->efi_map.offset, B) &&
    \at(b->efi_map.stride, A) == \at(b->efi_map.stride, B) &&
    \at(b->efi_map.count, A) == \at(b->efi_map.count, B) &&
    \at(b->rsdp_offset, A) == \at(b->rsdp_offset, B);

  predicate nothing{L}(struct boot_info *b) =
    b->mmap.count == 0 && b->efi_map.count == 0 && b->module_count == 0 && b->rsdp_offset == 0 &&
    b->framebuffer.kind == FB_NONE && b->mmap.offset == 0 && b->efi_map.offset == 0;

  // What a successful parse leaves behind, and the calls by index ask for.
  predicate accepted{L}(uint8_t *blob, struct boot_info *b) =
    16 <= b->total_size && b->total_size % 8 == 0 && \valid_read(blob + (0 .. b->total_size - 1)) &&
    kept(b, b->total_size);
*/

#include "src/multiboot2.c"

/*@
  predicate tag_inside{L}(struct tag t, integer total) =
    8 <= t.size && \valid_read(t.bytes + (0 .. t.size - 1)) &&
    8 <= t.offset && t.offset + t.size <= total <= 0xffffffff;

  predicate apart{L}(struct tag t, struct boot_info *b) = \separated(t.bytes + (0 .. t.size - 1), b);
*/

/*@ requires \valid_read(p + (0 .. 1));
    assigns \nothing;
    ensures \result == p[0] + 0x100 * p[1];
*/
static uint32_t u16(const uint8_t *p);

/*@ requires \valid_read(p + (0 .. 3));
    assigns \nothing;
    ensures \result == word32(p);
*/
static uint32_t u32(const uint8_t *p);

/*@ requires \valid_read(p + (0 .. 7));
    assigns \nothing;
    ensures \result == word64(p);
*/
static uint64_t u64(const uint8_t *p);

/*@ requires \valid_read(tag.bytes + (0 .. tag.size - 1)) && skip <= tag.size;
    assigns \nothing;
    ensures skip <= \result <= tag.size;
    ensures \result < tag.size ==> tag.bytes[\result] == 0;
*/
static uint32_t text_end(struct tag tag, uint32_t skip);

/*@ requires \valid_read(tag.bytes + (0 .. tag.size - 1)) && 8 <= tag.size;
    requires 1 <= bytes && \valid(to + (0 .. bytes - 1)) && (cut == \null || \valid(cut));
    requires \separated(tag.bytes + (0 .. tag.size - 1), to + (0 .. bytes - 1));
    requires cut != \null ==> \separated(cut, to + (0 .. bytes - 1)) &&
        \separated(cut, tag.bytes + (0 .. tag.size - 1));
    assigns to[0 .. bytes - 1], *cut;
    ensures \result == MB2_OK ==> \exists integer i; 0 <= i < bytes && to[i] == 0;
*/
static enum multiboot2_err read_string(struct tag tag, char *to, uint32_t bytes, bool *cut);

/*@ requires tag_inside(tag, tag.offset + tag.size) && \valid(out) && apart(tag, out);
    assigns out->module_count;
*/
static enum multiboot2_err read_module(struct tag tag, struct boot_info *out);

/*@ requires tag_inside(tag, tag.offset + tag.size) && 16 <= tag.size && 1 <= least;
    requires \valid(table) && \separated(table, tag.bytes + (0 .. tag.size - 1));
    assigns table->offset, table->stride, table->count;
    ensures \result ==> table_inside(table, least, tag.offset + tag.size);
*/
static bool read_table(struct tag tag, uint32_t least, struct boot_table *table);

/*@ requires tag_inside(tag, tag.offset + tag.size) && \valid(out) && apart(tag, out);
    assigns out->mmap.offset, out->mmap.stride, out->mmap.count;
    ensures \result == MB2_OK ==> table_inside(&out->mmap, 24, tag.offset + tag.size);
*/
static enum multiboot2_err read_mmap(struct tag tag, struct boot_info *out);

/*@ requires tag_inside(tag, tag.offset + tag.size) && \valid(out) && apart(tag, out);
    assigns out->efi_map.offset, out->efi_map.stride, out->efi_map.count;
    ensures \result == MB2_OK ==> table_inside(&out->efi_map, 40, tag.offset + tag.size);
*/
static enum multiboot2_err read_efi_map(struct tag tag, struct boot_info *out);

/*@ requires \valid_read(p + (0 .. 5)) && \valid(fb) && \separated(p + (0 .. 5), fb);
    assigns fb->red_shift, fb->red_bits, fb->green_shift, fb->green_bits, fb->blue_shift, fb->blue_bits;
    ensures fb->red_shift == p[0] && fb->green_shift == p[2] && fb->blue_shift == p[4];
*/
static void read_channels(const uint8_t *p, struct boot_framebuffer *fb);

/*@ requires 8 <= tag.size && \valid_read(tag.bytes + (0 .. tag.size - 1));
    requires \valid(out) && apart(tag, out);
    assigns out->framebuffer;
*/
static enum multiboot2_err read_framebuffer(struct tag tag, struct boot_info *out);

/*@ requires tag_inside(tag, tag.offset + tag.size) && \valid(out) && apart(tag, out);
    assigns *out;
    ensures \result == MB2_OK ==> \forall integer total; tag.offset + tag.size <= total ==>
        \old(kept(out, total)) ==> kept(out, total);
    ensures out->total_size == \old(out->total_size);
*/
static enum multiboot2_err read_tag(struct tag tag, struct boot_info *out);

/*@ requires size <= 0xfffffff8;
    assigns \nothing;
    ensures \result == up8(size);
*/
static uint32_t padded(uint32_t size);

/*@ requires \valid_read(blob + (0 .. bytes - 1)) && \valid(where);
    requires \separated(where, blob + (0 .. bytes - 1));
    assigns *where;
    ensures \result == MB2_OK ==>
        8 <= bytes && 16 <= word32(blob) <= bytes && word32(blob) % 8 == 0 && magic == 0x36d76289;
*/
static enum multiboot2_err check_frame(uint32_t magic, const uint8_t *blob, size_t bytes,
                                       size_t *where);

/*@ requires \valid_read(blob + (at .. at + 7)) && at <= 0xfffffff8;
    assigns \nothing;
    ensures \result.bytes == blob + at && \result.offset == at;
    ensures \result.type == word32(blob + at) && \result.size == word32(blob + at + 4);
*/
static struct tag tag_at(const uint8_t *blob, uint32_t at);

/*@ requires \valid_read(blob + (0 .. total - 1)) && 8 <= at <= total;
    assigns \nothing;
    ensures \result == MB2_OK ==> at <= total - 8 && 8 <= word32(blob + at + 4) <= total - at;
*/
static enum multiboot2_err check_tag(const uint8_t *blob, uint32_t total, uint32_t at);

/*@ requires \valid_read(blob + (0 .. total - 1)) && 16 <= total && total % 8 == 0;
    requires 8 <= at <= total && at % 8 == 0;
    requires \valid(out) && \valid(next) && \separated(out, next, blob + (0 .. total - 1));
    requires kept(out, total);
    assigns *out, *next;
    ensures \result == MB2_OK ==> kept(out, total);
    ensures \result == MB2_OK ==> *next == at || at + 8 <= *next <= total && *next % 8 == 0;
    ensures out->total_size == \old(out->total_size);
*/
static enum multiboot2_err read_next(const uint8_t *blob, uint32_t total, uint32_t at,
                                     struct boot_info *out, uint32_t *next);

/*@ requires \valid_read(blob + (0 .. total - 1)) && 16 <= total && total % 8 == 0;
    requires \valid(out) && \valid(where) && \separated(out, where, blob + (0 .. total - 1));
    requires kept(out, total);
    assigns *out, *where;
    ensures \result == MB2_OK ==> kept(out, total);
    ensures out->total_size == \old(out->total_size);
*/
static enum multiboot2_err read_tags(const uint8_t *blob, uint32_t total, struct boot_info *out,
                                     size_t *where);

/*@ requires \valid(out);
    assigns *out;
    ensures nothing(out);
*/
static void forget(struct boot_info *out);

/*@ requires \valid_read((uint8_t *)blob + (0 .. bytes - 1)) && \valid(out);
    requires where == \null || \valid(where) && \separated(where, out) &&
        \separated(where, (uint8_t *)blob + (0 .. bytes - 1));
    requires \separated(out, (uint8_t *)blob + (0 .. bytes - 1));
    assigns *out, *where;
    ensures \result == MB2_OK ==> magic == MULTIBOOT2_MAGIC && out->total_size <= bytes;
    ensures \result == MB2_OK ==> 16 <= out->total_size && out->total_size % 8 == 0;
    ensures \result == MB2_OK ==> kept(out, out->total_size);
    ensures \result == MB2_OK ==> out->mmap.offset != 0 || out->efi_map.offset != 0;
    ensures \result != MB2_OK ==> nothing(out);
*/
enum multiboot2_err multiboot2_parse(uint32_t magic, const void *blob, size_t bytes,
                                     struct boot_info *out, size_t *where);

/*@ requires \valid_read(table) && index < table->count && 0 < table->stride;
    requires table->offset + times(table->count, table->stride) <= 0xffffffff;
    requires \valid_read((uint8_t *)blob + (0 .. table->offset + times(table->count, table->stride) - 1));
    assigns \nothing;
    ensures \valid_read(\result + (0 .. table->stride - 1));
*/
static const uint8_t *entry_at(const void *blob, const struct boot_table *table, uint32_t index);

/*@ requires \valid_read(info) && accepted((uint8_t *)blob, info) && index < info->mmap.count;
    assigns \nothing;
*/
struct boot_range_raw multiboot2_mmap_entry(const void *blob, const struct boot_info *info,
                                            uint32_t index);

/*@ requires \valid_read(info) && accepted((uint8_t *)blob, info) && index < info->efi_map.count;
    assigns \nothing;
*/
struct boot_range_raw multiboot2_efi_entry(const void *blob, const struct boot_info *info,
                                           uint32_t index);

/*@ requires \valid_read(info) && accepted((uint8_t *)blob, info) && \valid(out);
    requires \separated(info, out);
    assigns *out;
    ensures \result ==> out->name_offset < info->total_size;
*/
bool multiboot2_module(const void *blob, const struct boot_info *info, uint32_t index,
                       struct boot_module *out);
