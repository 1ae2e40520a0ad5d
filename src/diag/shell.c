/* SPDX-License-Identifier: MIT */
/* shell.c - splits a line into commands and words, finds the command, runs it. */
#include "diag/shell.h"

#include "diag/console.h"
#include "diag/input.h"
#include "diag/json.h"
#include "diag/line_editor.h"
#include "lib/string.h"

static const struct shell_command *table;

void shell_init(const struct shell_command *commands)
{
    table = commands;
}

bool shell_number(const char *word, unsigned long long *value)
{
    unsigned base = word[0] == '0' && (word[1] | 32) == 'x' ? 16 : 10;
    unsigned long long n = 0;
    word += base == 16 ? 2 : 0;
    const char *start = word;
    for (;; word++) {
        unsigned digit = *word >= '0' && *word <= '9' ? (unsigned)(*word - '0')
                         : (*word | 32) >= 'a' && (*word | 32) <= 'f'
                             ? (unsigned)((*word | 32) - 'a' + 10)
                             : 99;
        if (digit >= base)
            break;
        if (__builtin_mul_overflow(n, base, &n) || __builtin_add_overflow(n, digit, &n))
            return false;
    }
    if (word == start)
        return false;
    unsigned shift = *word == 'K' ? 10 : *word == 'M' ? 20 : *word == 'G' ? 30 : 0;
    word += shift != 0;
    if (*word || n > ~0ull >> shift)
        return false;
    *value = n << shift;
    return true;
}

/* ---- help and unknown commands -------------------------------------------------------------- */

static const struct shell_command *find(const char *name)
{
    for (const struct shell_command *c = table; c->name; c++) {
        if (strcmp(c->name, name) == 0)
            return c;
    }
    return NULL;
}

static bool help_json(void)
{
    struct json j;
    json_begin(&j, "help");
    json_array(&j, "commands");
    for (const struct shell_command *c = table; c->name; c++) {
        json_object(&j, NULL);
        json_string(&j, "name", c->name);
        json_string(&j, "usage", c->usage);
        json_string(&j, "summary", c->summary);
        json_end(&j);
    }
    json_finish(&j);
    return true;
}

static void help_line(const char *usage, const char *summary)
{
    kprintf("  %s%-18s%s %s\n", colour(CYAN), usage, colour(PLAIN), summary);
}

static bool unknown(const char *name, bool json);

static bool help(const struct shell_args *args)
{
    if (args->json)
        return help_json();
    if (args->count) {
        const struct shell_command *c = find(args->word[0]);
        if (!c)
            return unknown(args->word[0], false);
        help_line(c->usage, c->summary);
        return true;
    }
    for (const struct shell_command *c = table; c->name; c++)
        help_line(c->usage, c->summary);
    help_line("help [COMMAND]", "this list");
    kprintf("  -j after any of them: one line of JSON. Several at once: meminfo; pmm\n");
    return true;
}

static size_t common_prefix(const char *a, const char *b)
{
    size_t n = 0;
    while (a[n] && a[n] == b[n])
        n++;
    return n;
}

/* The command that shares most of its beginning with `name`. */
static const char *nearest(const char *name)
{
    const char *best = NULL;
    size_t most = 1;
    for (const struct shell_command *c = table; c->name; c++) {
        size_t same = common_prefix(c->name, name);
        if (same > most) {
            most = same;
            best = c->name;
        }
    }
    return best;
}

static bool error_json(const char *name, const char *error)
{
    struct json j;
    json_begin(&j, name);
    json_string(&j, "error", error);
    json_finish(&j);
    return false;
}

static bool unknown(const char *name, bool json)
{
    const char *guess = nearest(name);
    if (json)
        return error_json(name, "unknown command");
    if (guess) {
        kprintf("%sunknown command %s; did you mean %s?%s\n", colour(RED), name, guess,
                colour(PLAIN));
    } else {
        kprintf("%sunknown command %s; help lists them all%s\n", colour(RED), name, colour(PLAIN));
    }
    return false;
}

/* ---- running -------------------------------------------------------------------------------- */

enum split { SPLIT_OK, SPLIT_OPEN_QUOTE, SPLIT_TOO_MANY };

/* Words of one command, up to ';' or the end, quotes taken off in place. *line moves on. */
static enum split split_words(char **line, char **word, int *count)
{
    char *from = *line, *to = from;
    *count = 0;
    for (;;) {
        while (*from == ' ' || *from == '\t')
            from++;
        if (!*from || *from == ';')
            break;
        if (*count == SHELL_WORDS_MAX)
            return SPLIT_TOO_MANY;
        word[(*count)++] = to;
        char quote = 0;
        for (; *from && (quote || (*from != ' ' && *from != ';' && *from != '\t')); from++) {
            if (quote ? *from == quote : *from == '"' || *from == '\'')
                quote = quote ? 0 : *from;
            else
                *to++ = *from;
        }
        if (quote)
            return SPLIT_OPEN_QUOTE;
        bool more = *from == ' ' || *from == '\t';
        char *next = from + more;
        bool ends = *from == ';' || !*from;
        char stop = *from;
        *to++ = 0;
        from = ends ? from : next;
        if (ends) {
            *line = stop ? from + 1 : from;
            return SPLIT_OK;
        }
    }
    *line = *from ? from + 1 : from;
    return SPLIT_OK;
}

/* A command whose usage is its name alone takes no words. */
static bool run(const struct shell_command *c, const struct shell_args *args)
{
    if (!args->count || strcmp(c->usage, c->name) != 0)
        return c->run(args);
    if (args->json)
        return error_json(c->name, "no words expected");
    kprintf("%susage: %s; it takes no words%s\n", colour(RED), c->usage, colour(PLAIN));
    return false;
}

static bool run_words(char **word, int count)
{
    struct shell_args args = {0};
    for (int i = 1; i < count; i++) {
        if (strcmp(word[i], "-j") == 0)
            args.json = true;
        else
            args.word[args.count++] = word[i];
    }
    const struct shell_command *command = find(word[0]);
    if (command)
        return run(command, &args);
    return strcmp(word[0], "help") == 0 ? help(&args) : unknown(word[0], args.json);
}

bool shell_execute(const char *line)
{
    static char copy[SHELL_LINE_MAX];
    if (strlen(line) >= sizeof copy) {
        kprintf("%sline longer than %d characters%s\n", colour(RED), SHELL_LINE_MAX - 1,
                colour(PLAIN));
        return false;
    }
    memcpy(copy, line, strlen(line) + 1);
    bool good = true;
    for (char *at = copy, *end = copy + strlen(copy); at < end;) {
        char *word[SHELL_WORDS_MAX];
        int count;
        enum split split = split_words(&at, word, &count);
        if (split != SPLIT_OK) {
            kprintf("%s%s%s\n", colour(RED),
                    split == SPLIT_OPEN_QUOTE ? "a quote is not closed" : "too many words",
                    colour(PLAIN));
            return false;
        }
        if (count)
            good = run_words(word, count) && good;
    }
    return good;
}

/* The i-th command that begins with the last word of the line, if that word is a command's place.
 */
static const char *candidate(const char *line, size_t length, unsigned i)
{
    size_t start = length;
    while (start && line[start - 1] != ';' && line[start - 1] != ' ')
        start--;
    for (size_t at = start; at && line[at - 1] != ';'; at--) {
        if (line[at - 1] != ' ')
            return NULL; /* an argument */
    }
    for (const struct shell_command *c = table; c->name; c++) {
        if (strncmp(c->name, line + start, length - start) == 0 && i-- == 0)
            return c->name;
    }
    return strncmp("help", line + start, length - start) == 0 && i == 0 ? "help" : NULL;
}

void shell_run(void)
{
    static struct line_editor editor;
    kprintf("\nType %shelp%s for the commands.\n", colour(CYAN), colour(PLAIN));
    line_editor_init(&editor, "\033[92mtwinpage> \033[0m", console_write, candidate);
    for (;;) {
        line_editor_begin(&editor);
        while (!line_editor_byte(&editor, (char)input_getchar()))
            ;
        shell_execute(editor.line);
    }
}
