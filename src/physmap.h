/* SPDX-License-Identifier: MIT */
/*
 * physmap.h - the physical window in this kernel's address space; physmap_kmap.c or
 * physmap_hhdm.c, as PHYSMAP says, joins kmap.c or hhdm.c to the layout.
 */
#ifndef PHYSMAP_H
#define PHYSMAP_H

#include <mem/bootmap.h>
#include <mem/paging.h>

struct physmap {
    const char *name; /* "kmap window"                                            */
    vword_t start, bytes;
    bool shows_all;         /* all RAM is there for good, frame 0 at `start`            */
    uint64_t reach_at_boot; /* bytes of physical memory that kmap reaches on the boot
                               tables; 0: all                                       */
};
extern const struct physmap physmap;

/* At the first C line: kmap works on the boot tables from here on. */
void physmap_start(void);

/* Puts the window into the kernel's own tables; [text, text_end) must not become writable. */
enum mem_err physmap_build(struct aspace *as, const struct bootmap *map, paddr_t text,
                           paddr_t text_end);

#endif
