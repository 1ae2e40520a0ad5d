/* SPDX-License-Identifier: MIT */
/* cmdline.c - one pass over the line, a word at a time, into a small buffer; no globals. */
#include "cmdline.h"

#include <limits.h>
#include <stdint.h>

#include "lib/string.h"

enum { WORD_MAX = 256 };

/* Unquotes the next word into `word`; NULL at the end of the line, else where to go on. */
static const char *next_word(const char *at, char *word)
{
    while (*at == ' ')
        at++;
    if (!*at)
        return NULL;

    size_t length = 0;
    char quote = 0;
    for (; *at && (quote || *at != ' '); at++) {
        char c = *at;
        if (c == '\\' && at[1]) {
            c = *++at;
        } else if (quote ? c == quote : c == '"' || c == '\'') {
            quote = quote ? 0 : c;
            continue;
        }
        if (length < WORD_MAX - 1)
            word[length++] = c;
    }
    word[length] = 0;
    return at;
}

static void copy_cut(char *to, size_t bytes, const char *from)
{
    if (!bytes)
        return;
    size_t length = strlen(from);
    if (length > bytes - 1)
        length = bytes - 1;
    memcpy(to, from, length);
    to[length] = 0;
}

bool cmdline_find(const char *line, const char *key, char *value, size_t bytes)
{
    char word[WORD_MAX];
    size_t key_length = strlen(key);
    bool found = false;
    while ((line = next_word(line, word))) {
        if (strncmp(word, key, key_length) != 0)
            continue;
        const char *rest = word + key_length;
        if (*rest != 0 && *rest != '=')
            continue;
        found = true;
        if (value)
            copy_cut(value, bytes, *rest ? rest + 1 : "");
    }
    return found;
}

bool cmdline_number(const char *line, const char *key, unsigned *value)
{
    char text[12];
    if (!cmdline_find(line, key, text, sizeof text))
        return false;
    uint64_t number = 0; /* of eleven digits at most */
    for (const char *c = text; *c >= '0' && *c <= '9'; c++)
        number = number * 10 + (unsigned)(*c - '0');
    *value = number < UINT_MAX ? (unsigned)number : UINT_MAX;
    return true;
}
