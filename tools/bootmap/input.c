/* SPDX-License-Identifier: MIT */
/*
 * input.c - recognises what it was given by its content, and makes a Multiboot2 blob of it.
 *
 *   raw blob   a zero byte among the first sixteen: text has none
 *   log        some line has "BIOS-e820:", or "efi: mem" with a range; other lines are ignored.
 *              Where a log has both, the BIOS-e820 lines count: Linux made them of the others.
 *   .map       START LENGTH TYPE on each line, # comments; TYPE a number, or efi:N
 */
#include "input.h"

#include <ctype.h>
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct entry {
    uint64_t start, length;
    uint32_t type;
    bool efi;
};

struct entries {
    struct entry *list;
    size_t count, room;
};

struct source {
    const char *name;
    unsigned line;
};

static bool wrong(const struct source *at, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "bootmap: %s:%u: ", at->name, at->line);
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    return false;
}

static void add(struct entries *e, struct entry entry)
{
    if (e->count == e->room) {
        e->room = e->room ? 2 * e->room : 256;
        e->list = realloc(e->list, e->room * sizeof *e->list);
        if (!e->list)
            abort();
    }
    e->list[e->count++] = entry;
}

/* A number in `base` at *text, which moves behind it; base 0 takes 0x or decimal. */
static bool number(const char **text, int base, uint64_t *value)
{
    char *end;
    if (!isxdigit((unsigned char)**text))
        return false;
    errno = 0;
    *value = strtoull(*text, &end, base);
    if (errno || end == *text)
        return false;
    *text = end;
    return true;
}

static const char *skip_blanks(const char *at)
{
    while (*at == ' ' || *at == '\t')
        at++;
    return at;
}

/* Length of [start, last]; all of the address space does not fit and is one byte short. */
static uint64_t inclusive_length(uint64_t start, uint64_t last)
{
    return last - start == UINT64_MAX ? UINT64_MAX : last - start + 1;
}

/* ---- .map files ----------------------------------------------------------------------------- */

static bool field(const struct source *at, const char **text, const char *what, uint64_t *value)
{
    *text = skip_blanks(*text);
    if (!**text)
        return wrong(at, "missing %s", what);
    const char *from = *text;
    if (!number(text, 0, value) || (**text && !isspace((unsigned char)**text)))
        return wrong(at, "bad number for %s: %.*s", what, (int)strcspn(from, " \t"), from);
    return true;
}

static bool read_map_line(const struct source *at, const char *line, struct entries *out)
{
    struct entry entry = {0};
    uint64_t type;
    line = skip_blanks(line);
    if (!*line || *line == '#')
        return true;
    if (!field(at, &line, "start", &entry.start) || !field(at, &line, "length", &entry.length))
        return false;
    line = skip_blanks(line);
    entry.efi = strncmp(line, "efi:", 4) == 0;
    line += entry.efi ? 4 : 0;
    if (!field(at, &line, "type", &type))
        return false;
    if (type > UINT32_MAX)
        return wrong(at, "type does not fit 32 bits");
    line = skip_blanks(line);
    if (*line && *line != '#')
        return wrong(at, "unexpected text after the type: %s", line);
    entry.type = (uint32_t)type;
    add(out, entry);
    return true;
}

/* ---- BIOS-e820 lines ------------------------------------------------------------------------ */

static const struct {
    const char *word;
    uint32_t type;
} e820_words[] = {
    {"usable", 1},          {"reserved", 2},   {"ACPI data", 3},     {"ACPI NVS", 4},
    {"unusable", 5},        {"persistent", 7}, {"soft reserved", 2}, {"Soft Reserved", 2},
    {"device reserved", 2}, {"RAM buffer", 2}, {"protected", 2},
};

/* "usable", "(usable)", "type 20", "persistent (type 12)" */
static bool e820_type(const char *word, uint32_t *type)
{
    uint64_t value;
    if (*word == '(')
        word++;
    const char *explicit = strstr(word, "type ");
    if (explicit) {
        explicit += strlen("type ");
        bool good = number(&explicit, 0, &value) && value <= UINT32_MAX;
        *type = (uint32_t)value;
        return good;
    }
    for (size_t i = 0; i < sizeof e820_words / sizeof e820_words[0]; i++) {
        if (strncmp(word, e820_words[i].word, strlen(e820_words[i].word)) == 0) {
            *type = e820_words[i].type;
            return true;
        }
    }
    return false;
}

/* "[mem 0x0-0x9fbff] usable" with its last byte, or "0 - 9fc00 (usable)" with its end. */
static bool read_e820_line(const struct source *at, const char *text, struct entries *out)
{
    struct entry entry = {0};
    uint64_t end;
    text = skip_blanks(text);
    bool bracket = strncmp(text, "[mem ", 5) == 0;
    text = skip_blanks(text + (bracket ? 5 : 0));
    if (!number(&text, 16, &entry.start))
        return wrong(at, "bad start address in a BIOS-e820 line");
    text = skip_blanks(text);
    if (*text++ != '-')
        return wrong(at, "no range in a BIOS-e820 line");
    text = skip_blanks(text);
    if (!number(&text, 16, &end) || (bracket && *text++ != ']'))
        return wrong(at, "bad end address in a BIOS-e820 line");
    if (end < entry.start)
        return wrong(at, "the range ends before it starts");
    if (!e820_type(skip_blanks(text), &entry.type))
        return wrong(at, "unknown type in a BIOS-e820 line: %s", skip_blanks(text));
    entry.length = bracket ? inclusive_length(entry.start, end) : end - entry.start;
    add(out, entry);
    return true;
}

/* ---- efi: mem lines ------------------------------------------------------------------------- */

static const char *const efi_names[] = {
    /* by type, UEFI 2.10 table 7.6, as Linux prints them */
    "Reserved",     "Loader Code",  "Loader Data", "Boot Code",    "Boot Data", "Runtime Code",
    "Runtime Data", "Conventional", "Unusable",    "ACPI Reclaim", "ACPI Mem",  "MMIO Port",
    "MMIO",         "PAL Code",     "Persistent",  "Unaccepted",
};

static bool efi_type(const char *line, uint32_t *type)
{
    uint64_t value;
    const char *explicit = strstr(line, "type=");
    if (explicit) {
        explicit += strlen("type=");
        bool good = number(&explicit, 0, &value) && value <= UINT32_MAX;
        *type = (uint32_t)value;
        return good;
    }
    const char *open = strchr(strstr(line, "mem") + 3, '[');
    static const struct {
        const char *name;
        uint32_t type;
    } longer[] = {{"Memory Mapped I/O Port", 11}, {"Memory Mapped I/O", 12}, {"MMIO Port", 11}};
    for (size_t i = 0; open && i < 3; i++) {
        if (strncmp(open + 1, longer[i].name, strlen(longer[i].name)) == 0) {
            *type = longer[i].type;
            return true;
        }
    }
    for (uint32_t i = 0; open && i < sizeof efi_names / sizeof efi_names[0]; i++) {
        if (strncmp(open + 1, efi_names[i], strlen(efi_names[i])) == 0) {
            *type = i;
            return true;
        }
    }
    return false;
}

static bool read_efi_line(const struct source *at, const char *line, struct entries *out)
{
    struct entry entry = {.efi = true};
    uint64_t end;
    const char *text = strstr(line, "range=[") + strlen("range=[");
    if (!number(&text, 16, &entry.start) || *text++ != '-' || !number(&text, 16, &end) ||
        (*text != ')' && *text != ']'))
        return wrong(at, "bad range in an efi: mem line");
    if (end < entry.start)
        return wrong(at, "the range ends before it starts");
    if (!efi_type(line, &entry.type))
        return wrong(at, "unknown type in an efi: mem line");
    entry.length = *text == ']' ? inclusive_length(entry.start, end) : end - entry.start;
    add(out, entry);
    return true;
}

/* ---- lines ---------------------------------------------------------------------------------- */

enum format { MAP, LOG_E820, LOG_EFI };

static const char *e820_part(const char *line)
{
    const char *found = strstr(line, "BIOS-e820:");
    return found ? found + strlen("BIOS-e820:") : NULL;
}

static bool is_efi_line(const char *line)
{
    return (strstr(line, "efi: mem") || strstr(line, "EFI: mem")) && strstr(line, "range=[");
}

static enum format format_of(char *const *lines, size_t count)
{
    enum format format = MAP;
    for (size_t i = 0; i < count; i++) {
        if (e820_part(lines[i]))
            return LOG_E820;
        if (is_efi_line(lines[i]))
            format = LOG_EFI;
    }
    return format;
}

static bool read_line(const struct source *at, enum format format, const char *line,
                      struct entries *out)
{
    const char *e820 = e820_part(line);
    if (format == MAP)
        return read_map_line(at, line, out);
    if (format == LOG_E820)
        return !e820 || read_e820_line(at, e820, out);
    return !is_efi_line(line) || read_efi_line(at, line, out);
}

/* Cuts the text at its line ends, in place. */
static char **split_lines(char *text, size_t *count)
{
    size_t room = 1;
    for (const char *c = text; *c; c++)
        room += *c == '\n';
    char **lines = calloc(room, sizeof *lines);
    if (!lines)
        abort();
    *count = 0;
    for (char *at = text; at && *at;) {
        char *end = strchr(at, '\n');
        if (end)
            *end++ = 0;
        at[strcspn(at, "\r")] = 0;
        lines[(*count)++] = at;
        at = end;
    }
    return lines;
}

static bool read_text(const char *name, char *text, struct entries *out)
{
    size_t count;
    char **lines = split_lines(text, &count);
    enum format format = format_of(lines, count);
    struct source at = {name, 0};
    bool good = true;
    if (!count)
        good = wrong(&at, "empty input");
    for (size_t i = 0; good && i < count; i++) {
        at.line = (unsigned)i + 1;
        good = read_line(&at, format, lines[i], out);
    }
    free(lines);
    return good;
}

/* ---- the blob ------------------------------------------------------------------------------- */

static void put32(uint8_t *at, uint32_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put64(uint8_t *at, uint64_t value)
{
    memcpy(at, &value, sizeof value);
}

static void put_e820(uint8_t *at, const struct entry *e)
{
    put64(at, e->start);
    put64(at + 8, e->length);
    put32(at + 16, e->type);
}

/* A descriptor counts pages: what is no whole number of them is rounded up, as firmware would. */
static void put_efi(uint8_t *at, const struct entry *e)
{
    put32(at, e->type);
    put64(at + 8, e->start);
    put64(at + 24, e->length / 4096 + (e->length % 4096 != 0));
}

/* Tag 6 or 17 with the entries of one kind; 0 bytes when there are none, but for tag 6. */
static size_t put_table(uint8_t *at, const struct entries *e, bool efi)
{
    size_t stride = efi ? 40 : 24, size = 16;
    for (size_t i = 0; i < e->count; i++) {
        if (e->list[i].efi != efi)
            continue;
        if (efi)
            put_efi(at + size, &e->list[i]);
        else
            put_e820(at + size, &e->list[i]);
        size += stride;
    }
    if (efi && size == 16)
        return 0;
    put32(at, efi ? 17 : 6);
    put32(at + 4, (uint32_t)size);
    put32(at + 8, (uint32_t)stride);
    return size;
}

static struct blob make_blob(const struct entries *e)
{
    struct blob b = {calloc(1, 8 + 16 + 16 + 8 + 40 * e->count), 8};
    if (!b.bytes)
        abort();
    b.size += put_table(b.bytes + b.size, e, false);
    b.size += put_table(b.bytes + b.size, e, true);
    put32(b.bytes + b.size + 4, 8); /* the end tag */
    b.size += 8;
    put32(b.bytes, (uint32_t)b.size);
    return b;
}

bool input_to_blob(const char *name, const uint8_t *text, size_t size, struct blob *out)
{
    if (memchr(text, 0, size < 16 ? size : 16)) {
        *out = (struct blob){malloc(size + 8), size};
        if (!out->bytes)
            abort();
        memcpy(out->bytes, text, size);
        return true;
    }
    struct source at = {name, 1};
    if (memchr(text, 0, size))
        return wrong(&at, "neither text nor boot information: zero bytes in the middle");
    char *copy = calloc(1, size + 1);
    if (!copy)
        abort();
    memcpy(copy, text, size);
    struct entries entries = {0};
    bool good = read_text(name, copy, &entries);
    if (good)
        *out = make_blob(&entries);
    free(copy);
    free(entries.list);
    return good;
}
