/* SPDX-License-Identifier: MIT */
/*
 * asan_report.c - one sentence about an access that the shadow forbids: what, where, beside what.
 */
#include "diag/asan_shadow.h"

#include "diag/explain.h"
#include "diag/fault.h"
#include "diag/units.h"
#include "kernel.h"
#include "lib/fmt.h"
#include "lib/string.h"

/* The shadow of the grain, or of the next one when some of its bytes are good: that says why. */
static uint8_t reason(vword_t va)
{
    uint8_t byte = *asan_shadow(va);
    return byte < 8 ? *asan_shadow(va + 8) : byte;
}

static void beside_block(vword_t va, char *text, size_t bytes)
{
    struct heap_block b = explain_block(VA(va));
    if (!b.payload) {
        fmt(text, bytes, "before the first block");
        return;
    }
    size_t size = b.requested ? b.requested : b.size;
    vword_t offset = va - (vword_t)b.payload;
    if (offset < size)
        fmt(text, bytes, "byte %zu of", (size_t)offset);
    else
        fmt(text, bytes, "%zu bytes behind the end of", (size_t)(offset - size));
    size_t used = strlen(text);
    fmt(text + used, bytes - used, " a %s block of %zu bytes at %p", b.live ? "live" : "freed",
        size, b.payload);
    used = strlen(text);
    if (b.allocated_by)
        fmt(text + used, bytes - used, ", asked for by %s",
            explain_function((vword_t)b.allocated_by - 1).text);
}

static void beside_global(vword_t va, char *text, size_t bytes)
{
    const struct asan_global *g = asan_find_global(va);
    if (g)
        fmt(text, bytes, "%zu bytes behind the end of %s, %zu bytes, of %s",
            (size_t)(va - g->start - g->size), g->name, (size_t)g->size, g->module);
    else
        fmt(text, bytes, "beside a variable");
}

static const char *name(uint8_t byte)
{
    switch (byte) {
    case SHADOW_STACK_LEFT:
    case SHADOW_STACK_MIDDLE:
    case SHADOW_STACK_RIGHT:
        return "stack overrun";
    case SHADOW_STACK_SCOPE:
        return "use after scope";
    case SHADOW_GLOBAL:
        return "overrun of a variable";
    case SHADOW_FREED:
        return "use after free";
    default:
        return "heap overrun";
    }
}

static void beside(uint8_t why, vword_t va, char *text, size_t bytes)
{
    if (why == SHADOW_HEAP || why == SHADOW_FREED)
        beside_block(va, text, bytes);
    else if (why == SHADOW_GLOBAL)
        beside_global(va, text, bytes);
    else
        fmt(text, bytes, "in %s, beside a local", explain_owner(VA(va)).text);
}

void asan_report(const struct asan_access *a)
{
    static char where[240];
    uint8_t why = reason(a->at);
    beside(why, a->at, where, sizeof where);
    fault_found("address sanitizer", a->ip, a->bp, "%s: it %s %zu byte%s, and %p is %s", name(why),
                a->write ? "writes" : "reads", a->bytes, plural(a->bytes), (void *)a->at, where);
}
