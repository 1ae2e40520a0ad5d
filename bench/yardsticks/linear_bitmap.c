/* SPDX-License-Identifier: MIT */
/*
 * linear_bitmap.c - yardstick: one bit a frame, searched from the start, a word at a time.
 *
 * What most first kernels have. Freeing is a few instructions; the cost of finding a frame is the
 * place of the lowest free one, so it grows with the memory and with how full it is. No checks.
 */
#include "../frame_source.h"

enum { BITS = 64 };

static uint64_t *used; /* 1 = taken */
static uint64_t words, room;

static bool init(uint64_t frames)
{
    used = metadata_room(used, room, frames / 8);
    room = used ? frames / 8 : 0;
    words = frames / BITS;
    for (uint64_t i = 0; i < words && used; i++)
        used[i] = 0;
    return used;
}

static uint64_t take(void)
{
    for (uint64_t i = 0; i < words; i++) {
        if (!~used[i])
            continue;
        uint64_t bit = (uint64_t)__builtin_ctzll(~used[i]);
        used[i] |= 1ull << bit;
        return i * BITS + bit;
    }
    return FRAME_NONE;
}

static void give(uint64_t frame)
{
    used[frame / BITS] &= ~(1ull << frame % BITS);
}

/* How many frames from `first` on are free, at most `most`. */
static uint64_t stretch(uint64_t first, uint64_t most)
{
    uint64_t n = 0;
    while (n < most && !(used[(first + n) / BITS] >> (first + n) % BITS & 1))
        n++;
    return n;
}

static uint64_t alloc_run(uint64_t frames, uint64_t align)
{
    uint64_t first = 0, n;
    while (first + frames <= words * BITS) {
        n = stretch(first, frames);
        if (n == frames)
            break;
        first = (first + n + align) & ~(align - 1);
    }
    if (first + frames > words * BITS)
        return FRAME_NONE;
    for (uint64_t i = first; i < first + frames; i++)
        used[i / BITS] |= 1ull << i % BITS;
    return first;
}

static void free_run(uint64_t first, uint64_t frames)
{
    while (frames--)
        give(first++);
}

static size_t metadata_bytes(void)
{
    return words * sizeof *used;
}

const struct frame_source source_linear_bitmap = {
    .name = "linear bitmap",
    .most = 4ull << 18, /* 4 GiB: filling it costs the square of the frames */
    .init = init,
    .alloc = take,
    .free = give,
    .alloc_run = alloc_run,
    .free_run = free_run,
    .metadata_bytes = metadata_bytes,
};
