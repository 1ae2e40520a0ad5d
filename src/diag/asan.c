/* SPDX-License-Identifier: MIT */
/*
 * asan.c - the shadow: which bytes of image, stacks and heap may be touched.
 *
 * The compiler calls __asan_load and __asan_store before each access of C. One byte of shadow tells
 * of 8 bytes of memory, at (address >> 3) + SHADOW_OFFSET for all of the kernel's half. Two parts
 * of it exist:
 *
 *   - the image's 8 MiB, the stacks among them: its shadow is the image's last MiB (the linker
 *     script leaves it free), zero from the first instruction on, so early code may be
 * instrumented;
 *   - the first MiBs of the heap's blocks, as many as there is RAM: taken and mapped by asan_build.
 *
 * Elsewhere (physical window, devices, user space) all is allowed. The heap's own files are not
 * instrumented: its headers lie in the red zones. A freed block is poisoned until it is given
 * again; there is no quarantine, so that the heap behaves as it always does.
 */
#include "diag/asan.h"

#include <mem/heap.h>
#include <mem/kmap.h>

#include "diag/asan_shadow.h"
#include "layout.h"
#include "lib/shadow.h"

enum { GRAIN_SHIFT = 3, GRAIN = 1 << GRAIN_SHIFT, MODULES = 256 };
#define IMAGE_BYTES    ((vword_t)8 << 20)
#define HEAP_BYTES_MAX ((vword_t)512 << 20)

static vword_t heap_start, heap_bytes; /* what of the heap's window has a shadow */
static unsigned paused;
static struct {
    const struct asan_global *globals;
    size_t count;
} modules[MODULES];
static size_t module_count;

uint8_t *asan_shadow(vword_t va)
{
    return vaddr_ptr(VA((va >> GRAIN_SHIFT) + (vword_t)SHADOW_OFFSET));
}

/* Unpoisons [start, start + bytes), start a multiple of 8, and poisons from there to `end`. */
static void paint(vword_t start, size_t bytes, vword_t end, enum shadow_byte why)
{
    vword_t whole = start + (bytes & ~(size_t)(GRAIN - 1));
    for (vword_t at = start; at < whole; at += GRAIN)
        *asan_shadow(at) = 0;
    for (vword_t at = whole; at < end; at += GRAIN)
        *asan_shadow(at) = at == whole && bytes % GRAIN ? bytes % GRAIN : why;
}

/* ---- checking ------------------------------------------------------------------------------- */

static bool has_shadow(vword_t va)
{
    return va - (vword_t)KERNEL_OFFSET < IMAGE_BYTES || va - heap_start < heap_bytes;
}

/* The first byte of [at, end) that may not be touched, or `end`. */
static vword_t first_poisoned(vword_t at, vword_t end)
{
    for (; at < end; at = (at | (GRAIN - 1)) + 1) {
        int8_t grain = (int8_t)*asan_shadow(at);
        vword_t good = grain == 0 ? GRAIN : grain < 0 ? 0 : (vword_t)grain;
        vword_t stop = (at & ~(vword_t)(GRAIN - 1)) + good;
        if (stop < end && good < GRAIN)
            return at > stop ? at : stop;
    }
    return end;
}

/* For the functions that the compiler calls: the access is their caller's. */
#define CHECK(va, bytes, write)                                                                    \
    check(va, bytes, write, (vword_t)__builtin_return_address(0),                                  \
          *(const vword_t *)__builtin_frame_address(0))

static inline void check(vword_t va, size_t bytes, bool write, vword_t back, vword_t bp)
{
    if (paused || !bytes || !has_shadow(va) || !has_shadow(va + bytes - 1))
        return;
    vword_t bad = first_poisoned(va, va + bytes);
    if (bad == va + bytes)
        return;
    paused++;
    asan_report(&(struct asan_access){bad, bytes, write, back - 1, bp});
}

#define DEFINE_CHECK(name, write)                                                                  \
    void __asan_##name##N_noabort(vword_t va, size_t bytes);                                       \
    void __asan_##name##N_noabort(vword_t va, size_t bytes)                                        \
    {                                                                                              \
        CHECK(va, bytes, write);                                                                   \
    }
#define DEFINE_SIZED(name, bytes, write)                                                           \
    void __asan_##name##bytes##_noabort(vword_t va);                                               \
    void __asan_##name##bytes##_noabort(vword_t va)                                                \
    {                                                                                              \
        CHECK(va, bytes, write);                                                                   \
    }
DEFINE_CHECK(load, false)
DEFINE_SIZED(load, 1, false)
DEFINE_SIZED(load, 2, false)
DEFINE_SIZED(load, 4, false)
DEFINE_SIZED(load, 8, false)
DEFINE_SIZED(load, 16, false)
DEFINE_CHECK(store, true)
DEFINE_SIZED(store, 1, true)
DEFINE_SIZED(store, 2, true)
DEFINE_SIZED(store, 4, true)
DEFINE_SIZED(store, 8, true)
DEFINE_SIZED(store, 16, true)

/* ---- what lib/shadow.h asks for ------------------------------------------------------------- */

/* The caller of memcpy and friends did it. */
void shadow_touch(const void *at, size_t bytes, bool write)
{
    const vword_t *frame = *(vword_t *const *)__builtin_frame_address(0);
    check((vword_t)at, bytes, write, frame[1], frame[0]);
}

void shadow_live(const void *block, size_t bytes)
{
    if ((vword_t)block - heap_start < heap_bytes)
        paint((vword_t)block, bytes, ((vword_t)block + bytes + GRAIN - 1) & ~(vword_t)(GRAIN - 1),
              SHADOW_HEAP);
}

/* A live block ends where the next header stands, whose grain is poisoned for ever. */
void shadow_dead(const void *block)
{
    for (vword_t at = (vword_t)block; at - heap_start < heap_bytes; at += GRAIN) {
        if (*asan_shadow(at) >= GRAIN)
            return;
        *asan_shadow(at) = SHADOW_FREED;
    }
}

void shadow_pause(void)
{
    paused++;
}

void shadow_resume(void)
{
    paused--;
}

/* ---- globals and stacks, by the compiler's names -------------------------------------------- */

void __asan_register_globals(const struct asan_global *globals, size_t count);
void __asan_unregister_globals(const struct asan_global *globals, size_t count);
void __asan_handle_no_return(void);
void __asan_poison_stack_memory(vword_t va, size_t bytes);
void __asan_unpoison_stack_memory(vword_t va, size_t bytes);

void __asan_register_globals(const struct asan_global *globals, size_t count)
{
    for (size_t i = 0; i < count; i++)
        paint(globals[i].start, globals[i].size, globals[i].start + globals[i].size_with_red_zone,
              SHADOW_GLOBAL);
    if (module_count < MODULES) { /* beyond that: found as well, but not named */
        modules[module_count].globals = globals;
        modules[module_count++].count = count;
    }
}

void __asan_unregister_globals(const struct asan_global *globals, size_t count)
{
    (void)globals;
    (void)count;
}

const struct asan_global *asan_find_global(vword_t va)
{
    for (size_t m = 0; m < module_count; m++) {
        for (size_t i = 0; i < modules[m].count; i++) {
            const struct asan_global *g = &modules[m].globals[i];
            if (va - g->start < g->size_with_red_zone)
                return g;
        }
    }
    return NULL;
}

/* Frames are not left behind here: whoever does not return stops the machine. */
void __asan_handle_no_return(void)
{
}

void __asan_poison_stack_memory(vword_t va, size_t bytes)
{
    paint(va, 0, va + bytes, SHADOW_STACK_SCOPE);
}

void __asan_unpoison_stack_memory(vword_t va, size_t bytes)
{
    paint(va, bytes, (va + bytes + GRAIN - 1) & ~(vword_t)(GRAIN - 1), SHADOW_STACK_SCOPE);
}

/* clang's prologues fill the shadow of large frames by these. */
#define DEFINE_SET(value)                                                                          \
    void __asan_set_shadow_##value(vword_t shadow, size_t bytes);                                  \
    void __asan_set_shadow_##value(vword_t shadow, size_t bytes)                                   \
    {                                                                                              \
        for (size_t i = 0; i < bytes; i++)                                                         \
            ((volatile uint8_t *)vaddr_ptr(VA(shadow)))[i] = 0x##value;                            \
    }
DEFINE_SET(00)
DEFINE_SET(f1)
DEFINE_SET(f2)
DEFINE_SET(f3)
DEFINE_SET(f5)
DEFINE_SET(f8)

/* ---- bring-up ------------------------------------------------------------------------------- */

extern void (*const kernel_init_start[])(void); /* the linker script: one for each file */
extern void (*const kernel_init_end[])(void);

void asan_start(void)
{
    for (void (*const *init)(void) = kernel_init_start; init < kernel_init_end; init++)
        (*init)();
}

static void poison_frames(pfn_t first, size_t frames)
{
    for (size_t i = 0; i < frames; i++) {
        volatile uint8_t *page = kmap(pfn_add(first, i));
        for (size_t b = 0; b < PAGE_SIZE; b++)
            page[b] = SHADOW_HEAP;
        kunmap((const void *)page);
    }
}

enum mem_err asan_build(struct bootmap *map, struct aspace *as)
{
    uint64_t ram = bootmap_totals(map).usable_frames << PAGE_SHIFT;
    vword_t most = HEAP_BYTES < HEAP_BYTES_MAX ? HEAP_BYTES : HEAP_BYTES_MAX;
    vword_t covered = ram < most ? (vword_t)ram : most;
    size_t frames = covered >> GRAIN_SHIFT >> PAGE_SHIFT;
    heap_start = (HEAP_START + (vword_t)heap_reserve(HEAP_BYTES)) &
                 ~((vword_t)(PAGE_SIZE << GRAIN_SHIFT) - 1);
    vaddr_t at = ptr_vaddr(asan_shadow(heap_start));
    pfn_t first;

    enum mem_err err = bootmap_take(map, frames, 0, 0, OWNER_KERNEL, &first);
    if (!err)
        err = paging_pin(as, at, frames << PAGE_SHIFT);
    if (!err)
        err = map_range(as, at, pfn_paddr(first), frames << PAGE_SHIFT, MAP_WRITE | MAP_GLOBAL);
    if (err)
        return err;
    poison_frames(first, frames);
    heap_bytes = (vword_t)frames << PAGE_SHIFT << GRAIN_SHIFT;
    return MEM_OK;
}
