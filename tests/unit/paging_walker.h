/* SPDX-License-Identifier: MIT */
/*
 * paging_walker.h - what the tests of paging share: one address space on the fake machine, and an
 * oracle: a walker of its own, written from SDM 3A 4.3 and 4.5, that reads fake RAM.
 */
#ifndef PAGING_WALKER_H
#define PAGING_WALKER_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include <mem/paging.h>

#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096 };
#define LARGE ((vword_t)(WIDE ? 2 : 4) << 20)
#define BASE  ((vword_t)(WIDE ? 0xffffc00000000000ull : 0xd0000000u)) /* a kernel address */

extern struct paging_features features; /* of this CPU: everything, at the start of each test */
extern struct aspace as;                /* the kernel's own, empty at the start of each test  */
int paging_set_up(void **state);

/* Whatever a test did: tables add up, every kmap came back, invariants hold. */
int paging_tear_down(void **state);

#define TEST(name) cmocka_unit_test_setup_teardown(name, paging_set_up, paging_tear_down)

/* What the hardware would find at `va`. */
struct seen {
    bool mapped, write, user, exec;
    uint64_t pa, page;
};
struct seen look(uint64_t va);

/* The processor uses `va`: it may remember the translation, and the tables that it came by, until
 * they are flushed. recalls: what it may still remember is what the tables say now. */
void touch(vword_t va);
void recalls(void);

/* paging_walk and translate say the same as look(va). */
void agrees(vword_t va);

#endif
