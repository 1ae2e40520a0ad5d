/* SPDX-License-Identifier: MIT */
/* mappings.c - a sorted list of stretches, cut and joined. */
#include "mappings.h"

#include "fuzz.h"

void mappings_push(struct mappings *l, struct stretch s)
{
    struct stretch *last = &l->s[l->count - !!l->count];
    if (l->count && last->va + last->bytes == s.va && last->pa + last->bytes == s.pa &&
        last->flags == s.flags) {
        last->bytes += s.bytes;
        return;
    }
    CLAIM(l->count < MAPPINGS_MAX, "the list is too short");
    l->s[l->count++] = s;
}

/* The part of `s` before `va` and from there on. */
static struct stretch before(struct stretch s, uint64_t va)
{
    if (s.va >= va)
        s.bytes = 0;
    else if (s.bytes > va - s.va)
        s.bytes = va - s.va;
    return s;
}

static struct stretch from(struct stretch s, uint64_t va)
{
    uint64_t cut = va > s.va ? va - s.va : 0;
    cut = cut < s.bytes ? cut : s.bytes;
    return (struct stretch){s.va + cut, s.bytes - cut, s.pa + cut, s.flags};
}

uint64_t mappings_in(const struct mappings *l, uint64_t va, uint64_t bytes)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < l->count; i++)
        sum += before(from(l->s[i], va), va + bytes - 1).bytes +
               (from(l->s[i], va + bytes - 1).bytes && l->s[i].va <= va + bytes - 1);
    return sum;
}

void mappings_change(struct mappings *l, uint64_t va, uint64_t bytes, bool keep, unsigned flags,
                     const struct mappings *add)
{
    static struct mappings was;
    was = *l;
    l->count = 0;
    uint64_t end = va + bytes; /* 0: the end of the address space */
    size_t i = 0;
    for (; i < was.count && was.s[i].va < va; i++) {
        if (before(was.s[i], va).bytes)
            mappings_push(l, before(was.s[i], va));
        if (from(was.s[i], va).bytes)
            break;
    }
    for (size_t j = 0; add && j < add->count; j++)
        mappings_push(l, add->s[j]);
    for (; i < was.count; i++) {
        struct stretch in = end ? before(from(was.s[i], va), end) : from(was.s[i], va);
        struct stretch after = end ? from(was.s[i], end) : (struct stretch){0};
        in.flags = flags;
        if (keep && in.bytes)
            mappings_push(l, in);
        if (after.bytes)
            mappings_push(l, after);
    }
}

const struct stretch *mappings_at(const struct mappings *l, uint64_t va)
{
    for (size_t i = 0; i < l->count; i++) {
        if (va - l->s[i].va < l->s[i].bytes)
            return &l->s[i];
    }
    return NULL;
}

void mappings_same(const struct mappings *a, const struct mappings *b, unsigned mask)
{
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        const struct stretch *x = &a->s[i], *y = &b->s[i];
        CLAIM(x->va == y->va && x->bytes == y->bytes && x->pa == y->pa &&
                  !((x->flags ^ y->flags) & mask),
              "%llx+%llx to %llx flags %x for %llx+%llx to %llx flags %x",
              (unsigned long long)x->va, (unsigned long long)x->bytes, (unsigned long long)x->pa,
              x->flags, (unsigned long long)y->va, (unsigned long long)y->bytes,
              (unsigned long long)y->pa, y->flags);
    }
    CLAIM(a->count == b->count, "%zu stretches for %zu", a->count, b->count);
}
