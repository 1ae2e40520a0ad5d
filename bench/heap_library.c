/* SPDX-License-Identifier: MIT */
/*
 * heap_library.c - finds the calls of a heap by name.
 *
 * The libraries are opened for themselves alone (RTLD_LOCAL), so this process keeps the C library's
 * own malloc whatever is measured. Debian's jemalloc exports the plain names, mimalloc its own too.
 */
#define _GNU_SOURCE
#include "heap_library.h"

#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#define ARENA       ((size_t)1 << 31) /* what is not touched takes no memory */
#define ARENA_ALIGN ARENA             /* so that addresses differ as offsets do */

/* One instruction: what is left of a replay with it is the replay's own. */
void library_nothing(void);
__asm__(".pushsection .text\n"
        ".globl library_nothing\n"
        ".type library_nothing, @function\n"
        "library_nothing:\n"
        "    ret\n"
        ".popsection\n");

static void *open_first(const char *const *files)
{
    void *handle = NULL;
    for (; *files && !handle; files++)
        handle = dlopen(*files, RTLD_NOW | RTLD_LOCAL);
    return handle;
}

/* The symbols "take", "take_aligned", "resize", "give" by their names here. */
static bool look_up(void *handle, const char *const names[4], struct heap_library *out)
{
    *(void **)&out->take = dlsym(handle, names[0]);
    *(void **)&out->take_aligned = dlsym(handle, names[1]);
    *(void **)&out->resize = dlsym(handle, names[2]);
    *(void **)&out->give = dlsym(handle, names[3]);
    return out->take && out->take_aligned && out->resize && out->give;
}

static bool start_arena(void *handle)
{
    int (*init)(void *, size_t);
    *(void **)&init = dlsym(handle, "bench_init");
    void *room = mmap(NULL, ARENA + ARENA_ALIGN, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!init || room == MAP_FAILED)
        return false;
    uintptr_t start = ((uintptr_t)room + ARENA_ALIGN - 1) & ~(uintptr_t)(ARENA_ALIGN - 1);
    return init((void *)start, ARENA) == 0;
}

static bool open_object(const char *path, struct heap_library *out)
{
    static const char *const names[] = {"bench_alloc", "bench_aligned", "bench_realloc",
                                        "bench_free"};
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (!handle || !look_up(handle, names, out) || !start_arena(handle))
        return false;
    *(void **)&out->footprint = dlsym(handle, "bench_footprint");
    return out->footprint;
}

bool heap_library_open(const char *name, struct heap_library *out)
{
    static const char *const mimalloc[] = {"libmimalloc.so.2", "libmimalloc.so.3", "libmimalloc.so",
                                           NULL};
    static const char *const jemalloc[] = {"libjemalloc.so.2", "libjemalloc.so", NULL};
    static const char *const plain[] = {"malloc", "aligned_alloc", "realloc", "free"};
    static const char *const prefixed[] = {"mi_malloc", "mi_aligned_alloc", "mi_realloc",
                                           "mi_free"};
    void *handle;
    *out = (struct heap_library){0};
    if (!strcmp(name, "nothing")) {
        *out = (struct heap_library){.take = (void *(*)(size_t))library_nothing,
                                     .take_aligned = (void *(*)(size_t, size_t))library_nothing,
                                     .resize = (void *(*)(void *, size_t))library_nothing,
                                     .give = (void (*)(void *))library_nothing};
        return true;
    }
    if (!strcmp(name, "glibc")) {
        *out = (struct heap_library){malloc, memalign, realloc, free, NULL};
        return true;
    }
    if (!strcmp(name, "mimalloc"))
        return (handle = open_first(mimalloc)) && look_up(handle, prefixed, out);
    if (!strcmp(name, "jemalloc"))
        return (handle = open_first(jemalloc)) && look_up(handle, plain, out);
    return open_object(name, out);
}
