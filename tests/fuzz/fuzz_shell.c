/* SPDX-License-Identifier: MIT */
/*
 * fuzz_shell.c - any text at the prompt: the right commands run with the right words.
 *
 * The first byte chooses: the text is a line, or a number. A line is split a second time here, into
 * fresh memory with the quotes left out as they come, where shell.c writes over its own input; a
 * number is read a second time, in two halves. What the shell says goes through the C library's
 * printf, which reads every string.
 */
#include "diag/shell.h"

#include <stdarg.h>

#include "diag/console.h"
#include "diag/input.h"
#include "fuzz.h"

enum { COMMANDS = SHELL_LINE_MAX };

struct command {
    char word[SHELL_WORDS_MAX][SHELL_LINE_MAX]; /* the name is word 0 */
    int count;
    bool json;
};

static struct command *expected; /* those that must run, in order */
static size_t wanted, seen;

/* ---- what the shell talks to ---------------------------------------------------------------- */

void kprintf(const char *format, ...)
{
    char text[2 * SHELL_LINE_MAX];
    va_list args;
    va_start(args, format);
    int length = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    CLAIM(length >= 0 && (size_t)length < sizeof text, "%d characters at once", length);
}

void console_write(const char *text, size_t bytes)
{
    kprintf("%.*s", (int)bytes, text);
}

const char *colour(enum colour which)
{
    return which == PLAIN ? "]" : "[";
}

int input_getchar(void)
{
    return '\r';
}

static bool listen(const struct shell_args *args)
{
    CLAIM(seen < wanted, "one command too many");
    const struct command *e = &expected[seen++];
    CLAIM(args->count == e->count - 1, "%d words for %d", args->count, e->count - 1);
    CLAIM(args->json == e->json, "-j");
    for (int i = 0; i < args->count; i++)
        CLAIM(!strcmp(args->word[i], e->word[i + 1]), "'%s' for '%s'", args->word[i],
              e->word[i + 1]);
    return args->count == 0 || strcmp(args->word[0], "fail") != 0;
}

static const struct shell_command table[] = {
    {"e", "e [WORD...]", "hears words", listen},
    {"eat", "eat", "hears too", listen},
    {NULL, NULL, NULL, NULL},
};

static bool is_known(const char *name)
{
    return !strcmp(name, "e") || !strcmp(name, "eat");
}

/* ---- the oracle ----------------------------------------------------------------------------- */

/* Reads one word into `to`; NULL when its quote is not closed. */
static const char *read_word(const char *at, char *to)
{
    for (; *at && !strchr(" \t;", *at); at++) {
        if (*at != '"' && *at != '\'') {
            *to++ = *at;
            continue;
        }
        const char *close = strchr(at + 1, *at);
        if (!close)
            return NULL;
        memcpy(to, at + 1, (size_t)(close - at - 1));
        to += close - at - 1;
        at = close;
    }
    *to = 0;
    return at;
}

/* Reads one command; NULL when it is not well formed. */
static const char *read_command(const char *at, struct command *c)
{
    int words = 0;
    c->count = 0;
    c->json = false;
    for (;; words++) {
        at += strspn(at, " \t");
        if (!*at || *at == ';')
            return at + (*at == ';');
        if (words == SHELL_WORDS_MAX)
            return NULL;
        at = read_word(at, c->word[c->count]);
        if (!at)
            return NULL;
        if (words && !strcmp(c->word[c->count], "-j"))
            c->json = true;
        else
            c->count++;
    }
}

/* `eat` takes no words. */
static bool is_heard(const struct command *c)
{
    return is_known(c->word[0]) && (c->count == 1 || strcmp(c->word[0], "eat") != 0);
}

static bool result_of(const struct command *c)
{
    if (is_known(c->word[0]) && !is_heard(c))
        return false;
    if (is_known(c->word[0]))
        return c->count == 1 || strcmp(c->word[1], "fail") != 0;
    return !strcmp(c->word[0], "help") && (c->json || c->count == 1 || is_known(c->word[1]));
}

static bool expect(const char *line)
{
    bool good = true;
    if (strlen(line) >= SHELL_LINE_MAX)
        return false;
    while (*line) {
        line = read_command(line, &expected[wanted]);
        if (!line)
            return false;
        if (!expected[wanted].count)
            continue;
        good = result_of(&expected[wanted]) && good;
        wanted += is_heard(&expected[wanted]);
    }
    return good;
}

static void check_line(const char *line)
{
    static struct command commands[COMMANDS + 1];
    expected = commands;
    wanted = seen = 0;
    bool good = expect(line);
    shell_init(table);
    CLAIM(shell_execute(line) == good, "the result of '%s' is not %d", line, good);
    CLAIM(seen == wanted, "%zu commands for %zu", seen, wanted);
}

/* ---- numbers -------------------------------------------------------------------------------- */

static bool read_number(const char *word, unsigned long long *value)
{
    bool hex = word[0] == '0' && (word[1] == 'x' || word[1] == 'X');
    const char *set = hex ? "0123456789abcdefABCDEF" : "0123456789", *suffix = "KMG";
    word += hex ? 2 : 0;
    size_t digits = strspn(word, set), zeros = strspn(word, "0");
    if (!digits || digits - zeros > 20)
        return false;
    unsigned long long scale = 1;
    if (word[digits]) {
        const char *s = strchr(suffix, word[digits]);
        if (!s || word[digits + 1])
            return false;
        scale = 1ull << 10 * (s - suffix + 1);
    }
    unsigned long long high = 0, low = 0; /* in units of 2^32 and 1 */
    for (size_t i = 0; i < digits; i++) {
        char c = word[i];
        unsigned digit = (unsigned)(c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
        low = low * (hex ? 16 : 10) + digit;
        high = high * (hex ? 16 : 10) + (low >> 32);
        low &= 0xffffffff;
        if (high >> 32)
            return false;
    }
    unsigned long long n = high << 32 | low;
    if (n > ~0ull / scale)
        return false;
    *value = n * scale;
    return true;
}

static void check_number(const char *word)
{
    unsigned long long ours = 77, theirs = 77;
    bool good = shell_number(word, &ours);
    CLAIM(good == read_number(word, &theirs), "'%s' is %s number", word, good ? "no" : "a");
    CLAIM(ours == theirs, "'%s' is %llu, not %llu", word, theirs, ours);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    if (!bytes)
        return 0;
    char *text = malloc(bytes);
    memcpy(text, data + 1, bytes - 1);
    text[bytes - 1] = 0;
    char *exact = strdup(text); /* ends where the text ends, for ASan */
    if (*data % 4 == 3)
        check_number(exact);
    else
        check_line(exact);
    free(exact);
    free(text);
    return 0;
}
