/* SPDX-License-Identifier: MIT */
/*
 * report_line.c - collects a line in the interrupt, runs it when the shell is idle.
 *
 *   R1  While `complete` is set the line belongs to the reader and the interrupt leaves it alone.
 *   R2  What a command says here is on no screen and in no log, unless it ends the run: a fault, a
 *       panic and a verdict are for everybody (console_to_all).
 *
 * A line too long for the shell is dropped as a whole, up to its end.
 */
#include "diag/report_line.h"

#include "arch/control.h"
#include "dev/pic.h"
#include "dev/serial.h"
#include "diag/console.h"
#include "diag/input.h"
#include "diag/shell.h"

static char line[SHELL_LINE_MAX];
static size_t length;
static volatile bool complete;

static void to_report_line(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    serial_write(SERIAL_REPORTS, text, bytes);
}

static const struct console_sink sink = {.name = "reports", .write = to_report_line};

static void add(char c)
{
    if (c != '\r' && c != '\n') {
        if (length < sizeof line)
            line[length++] = c;
        return;
    }
    complete = length > 0 && length < sizeof line;
    if (complete)
        line[length] = 0;
    length = 0;
}

/* With interrupts off. */
static void receive(void)
{
    for (int c; !complete && (c = serial_read(SERIAL_REPORTS)) >= 0;)
        add((char)c);
}

static void serve(void)
{
    interrupts_off();
    receive();
    interrupts_on();
    if (!complete)
        return;
    console_divert(&sink);
    shell_execute(line);
    console_divert(NULL);
    complete = false;
}

bool report_line_start(void)
{
    if (!serial_init(SERIAL_REPORTS))
        return false;
    irq_install(IRQ_SERIAL_2, receive);
    serial_interrupts_on(SERIAL_REPORTS);
    input_on_idle(serve);
    return true;
}
