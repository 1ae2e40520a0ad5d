/* SPDX-License-Identifier: MIT */
/*
 * oom_stack.h - the kernel's memory, all of it on the fake machine, and a way to make any one frame
 * of it fail.
 *
 * Real code from the boot map to kmalloc, put together as kernel.c does. Every frame that the code
 * asks for comes through a frame source of this file, whoever asks: each is a point, and
 * plan_failure says at which of them there is none. The same sources keep the ledger that the tests
 * compare with: who was given which frame, one by one.
 *
 * Some of that code can be started only once in a process, and what fails must be seen to change
 * nothing: so every point runs in a child of its own (in_child).
 */
#ifndef OOM_STACK_H
#define OOM_STACK_H

#include <mem/bootmap.h>
#include <mem/heap.h>
#include <mem/mmio.h>
#include <mem/paging.h>
#include <mem/pmm.h>

#include "fake_machine.h"

enum { WIDE = sizeof(void *) == 8, PAGE = 4096, IMAGE_FRAMES = 64, MAP_ROOM = 64 };
#define LARGE       ((vword_t)(WIDE ? 2 : 4) << 20)
#define TEST_BASE   ((vword_t)(WIDE ? 0xffffe00000000000ull : 0x80000000u)) /* nothing is here */
#define USER_BASE   ((vword_t)0x400000)
#define HEAP_WINDOW ((size_t)8 << 20)

struct stack {
    struct boot_range ranges[MAP_ROOM];
    struct bootmap map;
    struct pmm pmm;
    struct aspace as, user;
    struct mmio_window mmio;
    struct heap heap;
    bool heap_started;
    struct frame_source early, tables, pages, frames; /* frames: the test's own */
};
extern struct stack stack;
extern uint8_t heap_window[HEAP_WINDOW]; /* which the heap believes to be mapped memory */

/* ---- failures -------------------------------------------------------------------------------- */

enum way {
    ONCE,   /* the n-th frame fails, those after it do not */
    ALWAYS, /* the n-th frame fails, and all after it      */
    LAST,   /* n - 1 frames are left                       */
    WAYS
};
extern const char *const way_names[WAYS];

void plan_failure(enum way way, unsigned n);
bool end_failure(void); /* true: it happened */

/* ---- starting -------------------------------------------------------------------------------- */

/* A map with `frames` frames of RAM after the kernel image, in an array of `room` entries. */
enum mem_err start_map(size_t frames, size_t room);
enum mem_err start_space(void); /* tables from the early allocator */
enum mem_err start_frames(void);
enum mem_err start_heap(void);
enum mem_err start_all(size_t frames); /* all of the above */

/* ---- what must not change -------------------------------------------------------------------- */

/* Stops the child with a word about what is not true. */
#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition))                                                                          \
            oom_failed(__FILE__, __LINE__, #condition);                                            \
    } while (0)
[[gnu::noreturn]] void oom_failed(const char *file, int line, const char *condition);
extern const char *oom_doing; /* what oom_failed says besides */

extern enum frame_owner owners[FAKE_FRAMES]; /* the ledger of the sources */

/* The ledger of the sources and the one of the frame allocator agree, frame by frame; they add up
 * to what the boot map has; every invariant holds. */
void check_everything(void);

void remember(void); /* owners, tables byte by byte, heap, mappings */
void check_nothing_changed(void);

/* ---- children -------------------------------------------------------------------------------- */

enum outcome { REFUSED = 40, SURVIVED, UNTOUCHED }; /* anything else: broken */

/* What `run` returns in a child of its own; dies with it. */
int in_child(enum outcome (*run)(const void *what, enum way way, unsigned n), const void *what,
             enum way way, unsigned n);

#endif
