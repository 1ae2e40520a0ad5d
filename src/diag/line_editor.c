/* SPDX-License-Identifier: MIT */
/*
 * line_editor.c - see the header for the keys.
 *
 *   L1  at <= length < LINE_BYTES, and line[length] is 0.
 *   L2  the terminal's cursor stands at prompt + at; every change is drawn from there on.
 */
#include "diag/line_editor.h"

#include "lib/fmt.h"
#include "lib/string.h"

static void emit_text(struct line_editor *e, const char *text)
{
    e->emit(text, strlen(text));
}

static void move_left(struct line_editor *e, size_t by)
{
    char text[16];
    if (by)
        e->emit(text, fmt(text, sizeof text, "\033[%zuD", by));
}

static void move_right(struct line_editor *e, size_t by)
{
    char text[16];
    if (by)
        e->emit(text, fmt(text, sizeof text, "\033[%zuC", by));
}

/* Draws line[at..] and puts the cursor back. */
static void draw_rest(struct line_editor *e)
{
    e->emit(e->line + e->at, e->length - e->at);
    emit_text(e, "\033[K");
    move_left(e, e->length - e->at);
}

static void go_to(struct line_editor *e, size_t at)
{
    if (at < e->at)
        move_left(e, e->at - at);
    else
        move_right(e, at - e->at);
    e->at = at;
}

static void insert(struct line_editor *e, const char *text, size_t bytes)
{
    if (bytes > LINE_BYTES - 1 - e->length)
        return;
    memmove(e->line + e->at + bytes, e->line + e->at, e->length - e->at + 1);
    memcpy(e->line + e->at, text, bytes);
    e->length += bytes;
    e->emit(e->line + e->at, bytes);
    e->at += bytes;
    if (e->at < e->length)
        draw_rest(e);
}

/* Removes line[from..to) and leaves the cursor at from. */
static void cut(struct line_editor *e, size_t from, size_t to)
{
    go_to(e, from);
    memmove(e->line + from, e->line + to, e->length - to + 1);
    e->length -= to - from;
    draw_rest(e);
}

static void replace_line(struct line_editor *e, const char *text)
{
    cut(e, 0, e->length);
    insert(e, text, strlen(text));
}

static size_t word_start(const struct line_editor *e)
{
    size_t at = e->at;
    while (at && e->line[at - 1] == ' ')
        at--;
    while (at && e->line[at - 1] != ' ')
        at--;
    return at;
}

/* ---- history -------------------------------------------------------------------------------- */

static void browse(struct line_editor *e, unsigned back)
{
    unsigned kept = e->stored < LINE_HISTORY ? e->stored : LINE_HISTORY;
    if (back > kept || back == e->back)
        return;
    if (!e->back)
        memcpy(e->typed, e->line, sizeof e->typed);
    e->back = back;
    replace_line(e, back ? e->history[(e->stored - back) % LINE_HISTORY] : e->typed);
}

static void store(struct line_editor *e)
{
    const char *newest = e->stored ? e->history[(e->stored - 1) % LINE_HISTORY] : "";
    if (e->length && strcmp(newest, e->line) != 0)
        memcpy(e->history[e->stored++ % LINE_HISTORY], e->line, sizeof e->line);
}

/* ---- completion ----------------------------------------------------------------------------- */

static size_t common_length(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

static void list_candidates(struct line_editor *e)
{
    const char *word;
    emit_text(e, "\n");
    for (unsigned i = 0; (word = e->candidate(e->line, e->at, i)); i++) {
        emit_text(e, word);
        emit_text(e, "  ");
    }
    emit_text(e, "\n");
    emit_text(e, e->prompt);
    e->emit(e->line, e->length);
    move_left(e, e->length - e->at);
}

/* Completes as far as all candidates agree; where they differ at once, shows them. */
static void complete(struct line_editor *e)
{
    const char *first = e->candidate ? e->candidate(e->line, e->at, 0) : NULL;
    if (!first)
        return;
    size_t typed = e->at;
    while (typed && e->line[typed - 1] != ' ' && e->line[typed - 1] != ';')
        typed--;
    typed = e->at - typed;

    size_t agree = strlen(first);
    unsigned count = 1;
    for (const char *word; (word = e->candidate(e->line, e->at, count)); count++) {
        size_t same = common_length(first, word);
        agree = same < agree ? same : agree;
    }
    if (agree > typed)
        insert(e, first + typed, agree - typed);
    if (count == 1)
        insert(e, " ", 1);
    else if (agree == typed)
        list_candidates(e);
}

/* ---- keys ----------------------------------------------------------------------------------- */

static void escape_sequence(struct line_editor *e, const char *s)
{
    if (!strcmp(s, "[A"))
        browse(e, e->back + 1);
    else if (!strcmp(s, "[B") && e->back)
        browse(e, e->back - 1);
    else if (!strcmp(s, "[C") && e->at < e->length)
        go_to(e, e->at + 1);
    else if (!strcmp(s, "[D") && e->at)
        go_to(e, e->at - 1);
    else if (!strcmp(s, "[H") || !strcmp(s, "[1~") || !strcmp(s, "OH"))
        go_to(e, 0);
    else if (!strcmp(s, "[F") || !strcmp(s, "[4~") || !strcmp(s, "OF"))
        go_to(e, e->length);
    else if (!strcmp(s, "[3~") && e->at < e->length)
        cut(e, e->at, e->at + 1);
}

static void sequence_byte(struct line_editor *e, char c)
{
    if (e->sequence_length < sizeof e->sequence)
        e->sequence[e->sequence_length++] = c;
    bool introducer = e->sequence_length == 2 && (c == '[' || c == 'O');
    if (e->sequence_length == 1 || introducer || (c >= '0' && c <= '9') || c == ';')
        return;
    e->sequence[e->sequence_length < sizeof e->sequence ? e->sequence_length
                                                        : sizeof e->sequence - 1] = 0;
    e->sequence_length = 0;
    escape_sequence(e, e->sequence + 1);
}

static void give_up(struct line_editor *e)
{
    emit_text(e, "^C\n");
    line_editor_begin(e);
}

static void control(struct line_editor *e, char c)
{
    switch (c) {
    case 'A' & 31:
        go_to(e, 0);
        break;
    case 'E' & 31:
        go_to(e, e->length);
        break;
    case 'B' & 31:
        go_to(e, e->at - (e->at > 0));
        break;
    case 'F' & 31:
        go_to(e, e->at + (e->at < e->length));
        break;
    case 'U' & 31:
        cut(e, 0, e->at);
        break;
    case 'K' & 31:
        cut(e, e->at, e->length);
        break;
    case 'W' & 31:
        cut(e, word_start(e), e->at);
        break;
    case 'P' & 31:
        browse(e, e->back + 1);
        break;
    case 'N' & 31:
        browse(e, e->back - (e->back > 0));
        break;
    case 'C' & 31:
        give_up(e);
        break;
    case 'L' & 31:
        emit_text(e, "\033[H\033[J");
        emit_text(e, e->prompt);
        e->emit(e->line, e->length);
        move_left(e, e->length - e->at);
        break;
    case '\t':
        complete(e);
        break;
    case '\b':
    case 127:
        if (e->at)
            cut(e, e->at - 1, e->at);
        break;
    default:
        break;
    }
}

void line_editor_init(struct line_editor *e, const char *prompt,
                      void (*emit)(const char *text, size_t bytes),
                      const char *(*candidate)(const char *line, size_t length, unsigned i))
{
    memset(e, 0, sizeof *e);
    e->prompt = prompt;
    e->emit = emit;
    e->candidate = candidate;
}

void line_editor_begin(struct line_editor *e)
{
    e->length = e->at = 0;
    e->line[0] = 0;
    e->back = 0;
    e->sequence_length = 0;
    emit_text(e, e->prompt);
}

bool line_editor_byte(struct line_editor *e, char c)
{
    if (e->sequence_length || c == 27) {
        sequence_byte(e, c);
        return false;
    }
    if (c == '\r' || c == '\n') {
        emit_text(e, "\n");
        store(e);
        return true;
    }
    if ((unsigned char)c < ' ' || c == 127)
        control(e, c);
    else if ((unsigned char)c < 127)
        insert(e, &c, 1);
    return false;
}
