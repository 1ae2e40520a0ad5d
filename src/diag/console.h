/* SPDX-License-Identifier: MIT */
/*
 * console.h - every word the kernel says, to every device at once, and remembered.
 *
 * Sinks (serial, port 0xE9, VGA text, framebuffer) are added as they come up; a late one is given
 * the log from the start. Text may hold ANSI colour sequences (ESC [ n m); sinks that cannot show
 * them drop them. Usable from any context, a panic included: no locks, no allocation.
 */
#ifndef DIAG_CONSOLE_H
#define DIAG_CONSOLE_H

#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>

struct console_sink {
    const char *name;
    void (*write)(void *ctx, const char *text, size_t bytes);
    void *ctx;
    bool ansi;                 /* takes colour sequences as they are            */
    bool screen;               /* hushed by console_quiet, for `quiet` and -j   */
    struct console_sink *next; /* console's own                   */
};

/* Adds a sink for good; when `replay`, it first gets everything logged so far. */
void console_add(struct console_sink *sink, bool replay);

/* Removes one, e.g. before its memory is remapped. */
void console_remove(struct console_sink *sink);

void console_write(const char *text, size_t bytes);
[[gnu::format(printf, 1, 2)]] void kprintf(const char *format, ...);
[[gnu::format(printf, 1, 0)]] void kvprintf(const char *format, va_list args);

/* The log ring (BOOT text survives first): calls emit for each stored piece, oldest first. */
void console_log_each(void (*emit)(void *ctx, const char *text, size_t bytes), void *ctx);

/* The same, but not remembered: for text that comes from the log itself. */
void console_write_unlogged(const char *text, size_t bytes);

/* While paused nothing is remembered: what the shell says is an answer, not a message. Returns
 * how it was. */
bool console_log_pause(bool pause);

/* Ordinary boot chatter is dropped from the sinks (still logged) while quiet. */
void console_quiet(bool quiet);

/* What is said goes to this sink alone, which need not be one of those added; NULL: to all again.
 */
void console_divert(const struct console_sink *to);

/* Ends both: what comes now is the last that is heard of this run. */
void console_to_all(void);

/* Colours used by reports: one place decides. "" when colour is off. */
enum colour { PLAIN, BOLD, DIM, RED, GREEN, YELLOW, BLUE, MAGENTA, CYAN };
const char *colour(enum colour which);
void colour_enable(bool on);

#endif
