/* SPDX-License-Identifier: MIT */
/*
 * console.c - one stream of text to all sinks, and the log.
 *
 * The log is filled once and then kept: what was said first explains the rest. What comes after
 * it is full goes round in its second half.
 */
#include "diag/console.h"

#include "lib/fmt.h"
#include "lib/string.h"

enum { LOG_BYTES = 56 << 10, LOG_FIRST = LOG_BYTES / 2 };

static char log_text[LOG_BYTES];
static size_t log_used;               /* up to LOG_BYTES, then stays      */
static size_t log_oldest = LOG_FIRST; /* where the second half begins, once full */
static struct console_sink *sinks;
static const struct console_sink *only; /* hears alone, or NULL */
static bool quiet, paused, colours = true;

static void log_byte(char c)
{
    if (log_used < LOG_BYTES) {
        log_text[log_used++] = c;
        return;
    }
    log_text[log_oldest] = c;
    if (++log_oldest == LOG_BYTES)
        log_oldest = LOG_FIRST;
}

/* Without colours: drops ESC [ ... letter. */
static void write_plain(const struct console_sink *sink, const char *text, size_t bytes)
{
    size_t from = 0;
    for (size_t i = 0; i < bytes; i++) {
        if (text[i] != '\033')
            continue;
        sink->write(sink->ctx, text + from, i - from);
        while (i < bytes && !((text[i] | 32) >= 'a' && (text[i] | 32) <= 'z'))
            i++;
        from = i + 1;
    }
    if (from < bytes)
        sink->write(sink->ctx, text + from, bytes - from);
}

static void write_sink(const struct console_sink *sink, const char *text, size_t bytes)
{
    if (sink->ansi)
        sink->write(sink->ctx, text, bytes);
    else
        write_plain(sink, text, bytes);
}

void console_log_each(void (*emit)(void *ctx, const char *text, size_t bytes), void *ctx)
{
    if (log_used < LOG_BYTES) {
        emit(ctx, log_text, log_used);
        return;
    }
    emit(ctx, log_text, LOG_FIRST);
    emit(ctx, log_text + log_oldest, LOG_BYTES - log_oldest);
    emit(ctx, log_text + LOG_FIRST, log_oldest - LOG_FIRST);
}

static void emit_to_sink(void *ctx, const char *text, size_t bytes)
{
    write_sink(ctx, text, bytes);
}

void console_add(struct console_sink *sink, bool replay)
{
    sink->next = sinks;
    sinks = sink;
    if (replay)
        console_log_each(emit_to_sink, sink);
}

void console_remove(struct console_sink *sink)
{
    for (struct console_sink **at = &sinks; *at; at = &(*at)->next) {
        if (*at == sink) {
            *at = sink->next;
            return;
        }
    }
}

void console_write_unlogged(const char *text, size_t bytes)
{
    if (only) {
        write_sink(only, text, bytes);
        return;
    }
    for (const struct console_sink *sink = sinks; sink; sink = sink->next)
        write_sink(sink, text, bytes);
}

void console_write(const char *text, size_t bytes)
{
    for (size_t i = 0; !paused && i < bytes; i++)
        log_byte(text[i]);
    if (!quiet)
        console_write_unlogged(text, bytes);
}

bool console_log_pause(bool pause)
{
    bool was = paused;
    paused = pause;
    return was;
}

void console_quiet(bool on)
{
    quiet = on;
}

void console_divert(const struct console_sink *to)
{
    only = to;
}

void console_to_all(void)
{
    quiet = false;
    only = NULL;
}

void kvprintf(const char *format, va_list args)
{
    char text[512];
    size_t length = vfmt(text, sizeof text, format, args);
    console_write(text, length < sizeof text ? length : sizeof text - 1);
}

void kprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    kvprintf(format, args);
    va_end(args);
}

void colour_enable(bool on)
{
    colours = on;
}

const char *colour(enum colour which)
{
    static const char *const sequences[] = {
        [PLAIN] = "\033[0m", [BOLD] = "\033[1m",     [DIM] = "\033[90m",
        [RED] = "\033[91m",  [GREEN] = "\033[92m",   [YELLOW] = "\033[93m",
        [BLUE] = "\033[94m", [MAGENTA] = "\033[95m", [CYAN] = "\033[96m",
    };
    return colours ? sequences[which] : "";
}
