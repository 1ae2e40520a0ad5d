/* SPDX-License-Identifier: MIT */
/*
 * fuzz_cmdline.c - any text as the kernel command line, any key, any room for the value.
 *
 * The oracle unquotes the whole line at once into words of any length, and only then looks for the
 * key: two passes where cmdline.c makes one. A word longer than cmdline.c keeps is cut in both.
 */
#include "cmdline.h"

#include "fuzz.h"

enum { WORD_MAX = 256, ROOM_MAX = 300 };

/* The line as words, each ended by 0, a further 0 at the end; `out` has twice the line's room. */
static void unquote(const char *line, char *out)
{
    char quote = 0;
    bool inside = false;
    for (; *line; line++) {
        if (*line == ' ' && !quote) {
            if (inside)
                *out++ = 0;
            inside = false;
            continue;
        }
        if (!inside)
            *out++ = 1; /* a word, though it may be empty */
        inside = true;
        if (*line == '\\' && line[1])
            *out++ = *++line;
        else if (quote && *line == quote)
            quote = 0;
        else if (!quote && (*line == '"' || *line == '\''))
            quote = *line;
        else
            *out++ = *line;
    }
    if (inside)
        *out++ = 0;
    *out = 0;
}

/* The value of the last word that is `key` or begins with "key=", or NULL. */
static const char *look(char *words, const char *key)
{
    const char *value = NULL;
    size_t length = strlen(key);
    for (char *word = words; *word;) {
        char *next = word + strlen(word) + 1;
        if (strlen(++word) >= WORD_MAX)
            word[WORD_MAX - 1] = 0;
        if (!strncmp(word, key, length) && (!word[length] || word[length] == '='))
            value = word[length] ? word + length + 1 : "";
        word = next;
    }
    return value;
}

static void check(const char *line, const char *key, size_t room)
{
    char *words = malloc(3 * strlen(line) + 2), *value = malloc(room ? room : 1);
    unquote(line, words);
    const char *expected = look(words, key);
    bool found = cmdline_find(line, key, value, room);
    CLAIM(found == (expected != NULL), "key '%s' in '%s'", key, line);
    CLAIM(found == cmdline_find(line, key, NULL, 0), "the answer depends on the room");
    if (found && room) {
        CLAIM(memchr(value, 0, room), "value without its end");
        CLAIM(!strncmp(value, expected, room - 1), "'%s' for '%s'", value, expected);
        CLAIM(strlen(value) == strlen(expected) || strlen(value) == room - 1, "cut too short");
    }
    free(words);
    free(value);
}

/* Input: room (2 bytes), key up to a 0, line. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct choices c = {data, data + bytes};
    size_t room = pick16(&c) % ROOM_MAX;
    char key[16], *line = malloc(bytes + 1);
    size_t length = 0;
    while (length < sizeof key - 1 && (key[length] = (char)pick8(&c)))
        length++;
    key[length] = 0;
    size_t left = (size_t)(c.end - c.at);
    memcpy(line, c.at, left);
    line[left] = 0;
    char *exact = strdup(line); /* ends where the text ends, for ASan */
    check(exact, key, room);
    free(exact);
    free(line);
    return 0;
}
