/* SPDX-License-Identifier: MIT */
/*
 * fuzz_editor.c - any keys, any bytes that look like keys: the line and the screen agree.
 *
 * A terminal of one endless row, written here, understands what the editor may emit and nothing
 * else. After every key it must show the prompt and the line, with the cursor where the editor
 * believes it to be (L2), and the line must be whole (L1).
 */
#include "diag/line_editor.h"

#include "fuzz.h"

enum { COLUMNS = 384 };

static const char prompt[] = "> ";
static struct line_editor editor;
static char row[COLUMNS], blank[COLUMNS];
static size_t cursor;

/* ---- the terminal --------------------------------------------------------------------------- */

static void clear_row(void)
{
    memset(row, ' ', sizeof row);
    cursor = 0;
}

/* ESC [ number letter; returns how many bytes it was. */
static size_t sequence(const char *text, size_t bytes)
{
    char *end, copy[16] = {0};
    CLAIM(bytes >= 3 && text[1] == '[', "an unknown sequence");
    memcpy(copy, text, bytes < sizeof copy - 1 ? bytes : sizeof copy - 1);
    unsigned long n = strtoul(copy + 2, &end, 10);
    switch (*end) {
    case 'D':
        CLAIM(n && n <= cursor, "%lu to the left of %zu", n, cursor);
        cursor -= n;
        break;
    case 'C':
        CLAIM(n && n < COLUMNS - cursor, "%lu to the right of %zu", n, cursor);
        cursor += n;
        break;
    case 'K':
        memset(row + cursor, ' ', COLUMNS - cursor);
        break;
    case 'H':
        cursor = 0;
        break;
    case 'J':
        clear_row();
        break;
    default:
        CLAIM(false, "ESC [ %c", *end);
    }
    return (size_t)(end - copy) + 1;
}

static void emit(const char *text, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] == 27) {
            i += sequence(text + i, bytes - i) - 1;
        } else if (text[i] == '\n') {
            clear_row();
        } else {
            CLAIM(text[i] >= ' ' && text[i] < 127 && cursor < COLUMNS, "byte %d at %zu", text[i],
                  cursor);
            row[cursor++] = text[i];
        }
    }
}

/* ---- the editor ----------------------------------------------------------------------------- */

static const char *candidate(const char *line, size_t length, unsigned i)
{
    static const char *const words[] = {"meminfo", "memtest", "mmap", "pmm"};
    size_t start = length;
    while (start && line[start - 1] != ' ' && line[start - 1] != ';')
        start--;
    for (unsigned w = 0; w < 4; w++) {
        if (!strncmp(words[w], line + start, length - start) && i-- == 0)
            return words[w];
    }
    return NULL;
}

static void check(void)
{
    const struct line_editor *e = &editor;
    CLAIM(e->length < LINE_BYTES && e->at <= e->length, "L1: %zu of %zu", e->at, e->length);
    CLAIM(strlen(e->line) == e->length, "L1: %zu bytes, length %zu", strlen(e->line), e->length);
    CLAIM(cursor == strlen(prompt) + e->at, "L2: the cursor is at %zu", cursor);
    CLAIM(!memcmp(row, prompt, strlen(prompt)), "L2: no prompt");
    CLAIM(!memcmp(row + strlen(prompt), e->line, e->length), "L2: '%s' looks different", e->line);
    size_t end = strlen(prompt) + e->length;
    CLAIM(!memcmp(row + end, blank, COLUMNS - end), "L2: something is left behind the line");
}

static void finish(void)
{
    const char *newest = editor.stored ? editor.history[(editor.stored - 1) % LINE_HISTORY] : "";
    CLAIM(!editor.length || !strcmp(newest, editor.line), "'%s' was not stored", editor.line);
    for (size_t i = 0; i < editor.length; i++)
        CLAIM(editor.line[i] >= ' ' && editor.line[i] < 127, "byte %d in the line", editor.line[i]);
    line_editor_begin(&editor);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    memset(blank, ' ', sizeof blank);
    clear_row();
    line_editor_init(&editor, prompt, emit, candidate);
    line_editor_begin(&editor);
    for (size_t i = 0; i < bytes; i++) {
        if (line_editor_byte(&editor, (char)data[i]))
            finish();
        check();
    }
    return 0;
}
