/* SPDX-License-Identifier: MIT */
/*
 * explain.h - sentences about addresses, for the fault report and for `why`.
 *
 * Each function writes a piece of a sentence, without a full stop, into the caller's buffer, or
 * returns one that is constant. They read only, and allocate nothing: a fault handler may ask.
 */
#ifndef DIAG_EXPLAIN_H
#define DIAG_EXPLAIN_H

#include <mem/heap.h>
#include <mem/paging.h>

enum access { ACCESS_READ, ACCESS_WRITE, ACCESS_EXECUTE, ACCESS_USER, ACCESS_COUNT };

/* "map_page+0x12 (src/mem/paging.c:177)"; as much of it as is known. */
struct place_text {
    char text[120];
};
struct place_text explain_place(vword_t ip);

/* "map_page at src/mem/paging.c:177". */
struct place_text explain_function(vword_t ip);

/* Where the code that called an address lies, by the word on top of the stack. False: unknown. */
bool explain_caller(vaddr_t sp, struct place_text *out);

/*
 * Whose memory it is: "the guard page of the boot stack", "the null page", "a freed heap block of
 * 64 bytes", "kernel text, map_page+0x0 (src/mem/paging.c:177)", "device memory (lapic)".
 */
struct owner_text {
    char text[160];
};
struct owner_text explain_owner(vaddr_t va);

/* The last block of the heap, live or freed, at or below `va`; its payload is NULL if none is. */
struct heap_block explain_block(vaddr_t va);

/* The entry that forbids an access, and the bit of it that does. */
struct denial {
    const struct walk_step *step; /* NULL: no entry, or the address itself is impossible     */
    const char *bit;              /* "P", "W", "U", "NX", "reserved"; NULL: nothing forbids  */
    const char *meaning;          /* "nothing is mapped there", "the page is read-only" ...  */
};

/* By the tables alone: the first entry on the way that does not let `access` through. */
struct denial explain_denial(const struct walk *w, enum access access);

/* "the PTE at 0x00123404 has W clear: the page is read-only". */
struct denial_text {
    char text[160];
};
struct denial_text explain_denial_text(const struct denial *d);

/* What step `index` of a walk decides: "P clear: nothing is mapped there", "W clear", "". */
struct step_text {
    char text[80];
};
struct step_text explain_step(const struct walk *w, unsigned index);

/* "PTE", "PDE", "PDPTE", "PML4E". */
const char *explain_level(unsigned level);

/* What usually brings a program to try this; never NULL. */
const char *explain_cause(vaddr_t va, enum access access, const struct walk *w);

#endif
