/* SPDX-License-Identifier: MIT */
/*
 * fuzz.h - what the fuzz targets share: the entry point, a claim that stops, bytes read as choices.
 *
 * A target is one function of bytes. It must give the same answer for the same bytes, whatever ran
 * before in this process: state is reset first, nothing is random, no address is looked at.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes);

/* What a target promises. The input that breaks it is kept by libFuzzer, with the backtrace. */
#define CLAIM(condition, ...)                                                                      \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            fprintf(stderr, "%s:%d: claim broken: %s: ", __FILE__, __LINE__, #condition);          \
            fprintf(stderr, __VA_ARGS__);                                                          \
            fputc('\n', stderr);                                                                   \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

/* Bytes taken from the front as choices; zero once they are used up. */
struct choices {
    const uint8_t *at, *end;
};

static inline bool more(const struct choices *c)
{
    return c->at < c->end;
}

static inline uint8_t pick8(struct choices *c)
{
    return more(c) ? *c->at++ : 0;
}

static inline uint16_t pick16(struct choices *c)
{
    uint16_t low = pick8(c);
    return (uint16_t)(low | pick8(c) << 8);
}

static inline uint32_t pick32(struct choices *c)
{
    uint32_t low = pick16(c);
    return low | (uint32_t)pick16(c) << 16;
}

static inline uint64_t pick64(struct choices *c)
{
    uint64_t low = pick32(c);
    return low | (uint64_t)pick32(c) << 32;
}

#endif
