/* SPDX-License-Identifier: MIT */
/*
 * heap_trace_file.c - reads a recorded trace: text, one call a line.
 *
 *   a SIZE [ALIGN]   takes the next block
 *   r BACK SIZE      resizes a block; BACK: how many were taken after it
 *   f BACK           gives it back
 *
 * Counting back from the newest makes programs repeat themselves, so that xz finds little to keep.
 * A file that says anything else, or a block that is not live, is refused whole.
 */
#include "heap_trace.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST = 1 << 20 };

struct reader {
    struct heap_trace trace;
    bool *live;
};

/* The block that was taken `back` blocks ago. */
static bool live_block(const struct reader *r, unsigned long back, uint32_t *block)
{
    if (back >= r->trace.blocks)
        return false;
    *block = r->trace.blocks - 1 - (uint32_t)back;
    return r->live[*block];
}

static bool read_line(struct reader *r, const char *line)
{
    unsigned long first, second = 0;
    char word;
    int n = sscanf(line, "%c %lu %lu", &word, &first, &second);
    struct heap_op op = {.call = HEAP_TAKE, .block = r->trace.blocks, .size = (uint32_t)first};
    if (n < 2 || r->trace.count == MOST)
        return false;
    if (word == 'a' && first) {
        op.align = (uint32_t)second;
        r->trace.blocks++;
    } else if (word == 'r' && second && live_block(r, first, &op.block)) {
        op.call = HEAP_RESIZE;
        op.size = (uint32_t)second;
    } else if (word == 'f' && n == 2 && live_block(r, first, &op.block)) {
        op.call = HEAP_GIVE;
        op.size = 0;
    } else {
        return false;
    }
    r->live[op.block] = op.call != HEAP_GIVE;
    r->trace.ops[r->trace.count++] = op;
    return true;
}

bool heap_trace_read(const char *path, struct heap_trace *out)
{
    struct reader r = {.trace = {.name = path}};
    char line[80];
    FILE *file = fopen(path, "r");
    r.trace.ops = heap_trace_pages(MOST * sizeof *r.trace.ops);
    r.live = heap_trace_pages(MOST * sizeof *r.live);
    bool good = file && r.trace.ops && r.live;
    while (good && fgets(line, sizeof line, file))
        good = read_line(&r, line);
    if (file)
        fclose(file);
    *out = r.trace;
    return good && r.trace.count;
}
