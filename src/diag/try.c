/* SPDX-License-Identifier: MIT */
/*
 * try.c - map, unmap, protect, grab, drop: change memory by hand and watch what it does.
 *
 * Made for looking: at `walk`, `ptdump`, `meminfo` and `frames` between two commands, or at a
 * debugger or a page that draws the tables. They use the calls that everybody uses.
 *
 *   Y1  What is mapped below USER_END in the kernel's own space was mapped by `map`: its frames are
 *       OWNER_USER and go back by `unmap`.
 *   Y2  grabbed[0..grabs) are live blocks of the heap, the newest last.
 */
#include "diag/try.h"

#include <mem/frames.h>
#include <mem/kmalloc.h>

#include "diag/console.h"
#include "diag/json.h"
#include "diag/report.h"
#include "diag/storm.h"
#include "diag/units.h"
#include "kernel.h"
#include "layout.h"
#include "lib/string.h"

enum { GRABS_MAX = 64, PAGES_MAX = 1 << 16 };

static void *grabbed[GRABS_MAX];
static unsigned grabs;

struct stretch {
    vaddr_t va;
    size_t pages;
};

/* "ADDR [PAGES]"; false unless all of it lies in user space, off the null page. */
static bool parse(const struct shell_args *args, struct stretch *s)
{
    unsigned long long va, pages = 1;
    if (args->count < 1 || !shell_number(args->word[0], &va))
        return false;
    if (args->count > 1 && !shell_number(args->word[1], &pages))
        return false;
    bool fits = va >= PAGE_SIZE && va < USER_END && va % PAGE_SIZE == 0 && pages &&
                pages <= PAGES_MAX && pages <= (USER_END - va) >> PAGE_SHIFT;
    *s = (struct stretch){VA((vword_t)va), (size_t)pages};
    return fits;
}

static bool done(const char *cmd, const struct shell_args *args, const struct stretch *s,
                 enum mem_err err)
{
    if (err)
        return report_error(cmd, args, "%s", mem_err_name(err));
    if (args->json) {
        struct json j;
        json_begin(&j, cmd);
        json_address(&j, "va", s->va.v);
        json_number(&j, "pages", s->pages);
        json_finish(&j);
    }
    return true;
}

static bool usage(const char *cmd, const struct shell_args *args, const char *words)
{
    return report_error(cmd, args, "usage: %s %s; a page below 0x%llx", cmd, words,
                        (unsigned long long)USER_END);
}

static pfn_t take_user(void *ctx)
{
    (void)ctx;
    return frames_take(OWNER_USER);
}

static void give_user(void *ctx, pfn_t frame)
{
    enum mem_err err = frames_give(frame, OWNER_USER);
    if (err && ctx)
        *(enum mem_err *)ctx = err;
}

bool try_map(const struct shell_args *args)
{
    struct stretch s;
    if (!parse(args, &s) || args->count > 2)
        return usage("map", args, "ADDR [PAGES]");
    if (!storm_is_over("map", args))
        return false;
    struct frame_source frames = {take_user, give_user, NULL};
    enum mem_err err = frames_free() < s.pages /* as it need not try to find out */
                           ? MEM_NO_FRAME
                           : map_frames(&kernel.aspace, s.va, s.pages, MAP_WRITE, &frames);
    return done("map", args, &s, err);
}

bool try_unmap(const struct shell_args *args)
{
    struct stretch s;
    if (!parse(args, &s) || args->count > 2)
        return usage("unmap", args, "ADDR [PAGES]");
    if (!storm_is_over("unmap", args))
        return false;
    enum mem_err refused = MEM_OK;
    struct frame_source frames = {take_user, give_user, &refused};
    enum mem_err err = unmap_frames(&kernel.aspace, s.va, s.pages, &frames);
    return done("unmap", args, &s, err ? err : refused);
}

bool try_protect(const struct shell_args *args)
{
    struct stretch s;
    struct shell_args place = *args;
    place.count--; /* the last word is what it may do */
    const char *may = args->count > 1 ? args->word[args->count - 1] : "";
    bool write = strcmp(may, "rw") == 0;
    if (args->count > 3 || (!write && strcmp(may, "r") != 0) || !parse(&place, &s))
        return usage("protect", args, "ADDR [PAGES] r|rw");
    if (!storm_is_over("protect", args))
        return false;
    unsigned flags = write ? MAP_WRITE : MAP_READ;
    return done("protect", args, &s,
                protect_range(&kernel.aspace, s.va, s.pages * PAGE_SIZE, flags));
}

static void say_block(const char *cmd, const struct shell_args *args, const void *block)
{
    if (args->json) {
        struct json j;
        json_begin(&j, cmd);
        json_address(&j, "va", ptr_vaddr(block).v);
        json_number(&j, "held", grabs);
        json_finish(&j);
    } else {
        kprintf("  %p; %u held\n", block, grabs);
    }
}

bool try_grab(const struct shell_args *args)
{
    unsigned long long bytes;
    if (args->count != 1 || !shell_number(args->word[0], &bytes) || !bytes || bytes > SIZE_MAX)
        return report_error("grab", args, "usage: grab BYTES, such as 300K");
    if (grabs == GRABS_MAX)
        return report_error("grab", args, "%u blocks are held already: drop one", grabs);
    void *block = kmalloc((size_t)bytes);
    if (!block)
        return report_error("grab", args, "the heap has no %s", size_text(bytes).text);
    memset(block, 0x5a, (size_t)bytes); /* used, and seen to be */
    grabbed[grabs++] = block;
    say_block("grab", args, block);
    return true;
}

bool try_drop(const struct shell_args *args)
{
    if (!grabs)
        return report_error("drop", args, "nothing is held");
    void *block = grabbed[--grabs];
    kfree(block);
    say_block("drop", args, block);
    return true;
}
