/* SPDX-License-Identifier: MIT */
/*
 * line_editor.h - one line of input: editing, history, completion. Pure: bytes in, terminal text
 * out through a callback; no device, no globals.
 *
 * Keys: arrows, Home, End, Delete, Backspace, Tab; Ctrl-A E B F start, end, left, right; Ctrl-U K W
 * erase to the start, to the end, the word before; Ctrl-L clears the screen; Ctrl-C gives the line
 * up.
 */
#ifndef DIAG_LINE_EDITOR_H
#define DIAG_LINE_EDITOR_H

#include <stdbool.h>
#include <stddef.h>

enum { LINE_BYTES = 256, LINE_HISTORY = 32 };

struct line_editor {
    void (*emit)(const char *text, size_t bytes);
    const char *prompt;
    /* The i-th word that could follow the line so far, or NULL; may be NULL for no completion. */
    const char *(*candidate)(const char *line, size_t length, unsigned i);

    char line[LINE_BYTES];
    size_t length, at;
    char history[LINE_HISTORY][LINE_BYTES];
    unsigned stored; /* lines ever stored: the newest is stored - 1 */
    unsigned back;   /* how far up the arrow has gone, 0: the line being typed */
    char typed[LINE_BYTES];
    char sequence[8]; /* an escape sequence so far */
    size_t sequence_length;
};

void line_editor_init(struct line_editor *e, const char *prompt,
                      void (*emit)(const char *text, size_t bytes),
                      const char *(*candidate)(const char *line, size_t length, unsigned i));

/* Prints the prompt and starts an empty line. */
void line_editor_begin(struct line_editor *e);

/* Takes one byte; true when the line is finished (e->line, terminated; stored if not empty). */
bool line_editor_byte(struct line_editor *e, char c);

#endif
