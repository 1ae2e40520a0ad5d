/* SPDX-License-Identifier: MIT */
/*
 * klines.c - reads the packed line table from its beginning; only constants, so it works in a panic.
 *
 * A row says where in the code a new line begins. It is one byte and what that asks for:
 *
 *   bits 4..0  code bytes since the row before; 0: a number follows
 *   bits 7..5  0 to 5: lines since the row before, and 2; 6: a number follows, the lines since,
 *              doubled, or doubled less one when negative; 7: a byte, the file, and a number, the
 *              line
 *
 * A number has seven bits a byte, the lowest first; a byte with the eighth set is not the last.
 * File 0 is none: assembly. Some 7000 rows take under two bytes each.
 */
#include "diag/klines.h"

#include <stddef.h>

enum { SAME_STEP = 0, DELTA_BIAS = 2, WAY_DELTA = 6, WAY_FILE = 7, STEP_MASK = 31, WAY_SHIFT = 5 };

extern const uint8_t kernel_text_start[], kernel_text_end[];

struct row {
    uint32_t offset; /* from kernel_text_start */
    unsigned file, line;
};

struct reader {
    const uint8_t *at, *end;
};

static uint32_t read_byte(struct reader *r)
{
    return r->at < r->end ? *r->at++ : 0;
}

static uint32_t read_number(struct reader *r)
{
    uint32_t value = 0;
    for (unsigned shift = 0; shift < 32; shift += 7) {
        uint32_t byte = read_byte(r);
        value |= (byte & 127) << shift;
        if (byte < 128)
            break;
    }
    return value;
}

static void read_row(struct reader *r, struct row *row)
{
    uint32_t head = read_byte(r), way = head >> WAY_SHIFT, step = head & STEP_MASK;
    row->offset += step == SAME_STEP ? read_number(r) : step;
    if (way < WAY_DELTA) {
        row->line += way - DELTA_BIAS;
        return;
    }
    if (way == WAY_FILE)
        row->file = read_byte(r);
    uint32_t number = read_number(r);
    if (way == WAY_FILE)
        row->line = number;
    else
        row->line += number & 1 ? -((number + 1) / 2) : number / 2;
}

static const char *file_name(unsigned file)
{
    const char *name = kline_files;
    for (unsigned i = 1; i < file && *name; i++) {
        while (*name)
            name++;
        name++;
    }
    return name;
}

bool kline_lookup(uintptr_t address, struct kline *out)
{
    uintptr_t start = (uintptr_t)kernel_text_start;
    if (address < start || address >= (uintptr_t)kernel_text_end)
        return false;

    struct reader r = {kline_bytes, kline_bytes + kline_size};
    struct row next = {0}, found = {0};
    while (r.at < r.end) {
        read_row(&r, &next);
        if (next.offset > address - start)
            break;
        found = next;
    }
    if (!found.file)
        return false;
    *out = (struct kline){file_name(found.file), found.line};
    return true;
}
