/* SPDX-License-Identifier: MIT */
/*
 * museum_exhibit.h - what a mistake is made of, and the tools to make one.
 *
 * The plants are in four files, by where the mistake sits: museum_tables.c (an entry),
 * museum_frames.c (the frame behind an entry), museum_machine.c (everything around the tables) and
 * src/arch/<arch>/museum.c (what only this paging mode can do wrong). museum.c has the catalogue.
 */
#ifndef MUSEUM_EXHIBIT_H
#define MUSEUM_EXHIBIT_H

#include "kernel_preflight.h"

struct exhibit {
    const char *name;    /* "stack unmapped"                                               */
    const char *mistake; /* one sentence: what somebody forgot or mixed up                 */
    void (*plant)(struct kernel *k, struct switch_plan *plan);
    void (*visit)(void); /* after the switch: runs into it; NULL: the CPU does, by itself  */
};

/* museum_tables.c */
extern const struct exhibit stack_unmapped, trap_entries_unmapped, fault_stack_unmapped,
    upper_level_read_only, upper_level_not_user, one_entry_off, writable_text, user_text,
    guard_mapped, window_unmapped, heap_entry_missing;

/* museum_frames.c */
extern const struct exhibit misaligned_root, wrong_base, overwritten_table;

/* museum_machine.c */
extern const struct exhibit identity_missing, gdt_unmapped, idt_unmapped, console_unmapped,
    pae_mixed_up, stale_entry;

/* src/arch/<arch>/museum.c */
extern const struct exhibit large_page_without_leave, permission_without_control, reserved_bit;
void enter_user(vaddr_t code);

/* Changes the entry of `level` on the way to va, behind the back of paging.c: no count is kept and
 * nothing is flushed. MUSEUM_LEAF: the entry that maps it. */
enum { MUSEUM_LEAF = 0 };
void spoil(const struct aspace *as, vaddr_t va, unsigned level, vword_t set, vword_t clear);

/* The same for the leaf of every page of [start, end) that is mapped. */
void spoil_pages(const struct aspace *as, vaddr_t start, vaddr_t end, vword_t set, vword_t clear);

/* The entry itself, or 0. */
vword_t entry_on_the_way(const struct aspace *as, vaddr_t va, unsigned level);

/* A page of the image that nobody else uses, and its frame. */
extern uint8_t museum_yard[3 * 4096];
paddr_t museum_yard_pa(void);

/* Says what a visit found out, when nothing stopped it. */
[[gnu::format(printf, 1, 2)]] void museum_note(const char *format, ...);

#endif
