/* SPDX-License-Identifier: MIT */
/*
 * shell.h - the prompt: words in, reports out.
 *
 * A command is a row in a table. `-j` anywhere among the words asks for the machine-readable form
 * and is taken out before the command sees them.
 */
#ifndef DIAG_SHELL_H
#define DIAG_SHELL_H

#include <stdbool.h>

enum { SHELL_WORDS_MAX = 16, SHELL_LINE_MAX = 256 };

struct shell_args {
    int count; /* words after the command's name */
    const char *word[SHELL_WORDS_MAX];
    bool json;
};

struct shell_command {
    const char *name;
    const char *usage;                          /* "walk ADDR"                               */
    const char *summary;                        /* one line for help                         */
    bool (*run)(const struct shell_args *args); /* false: it failed   */
};

/* The table, NULL-name terminated, given once by kernel.c. */
void shell_init(const struct shell_command *commands);

/* Runs "cmd; cmd". True if every command was known, well-formed and succeeded. */
bool shell_execute(const char *line);

/* Reads lines from the keyboard and the serial port for ever. */
[[gnu::noreturn]] void shell_run(void);

/* Parses 0x hex, decimal, with K M G suffix; false (and *value untouched) if it is no number. */
bool shell_number(const char *word, unsigned long long *value);

#endif
