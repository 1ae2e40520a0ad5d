/* SPDX-License-Identifier: MIT */
/*
 * bootmap - what the kernel makes of a memory map, without booting it.
 *
 *   bootmap [-j] [--limit SIZE|none] FILE|-
 *
 * FILE is a .map file, a Linux log with BIOS-e820 or efi: mem lines, or a raw Multiboot2 blob. All
 * three become a blob and go through the kernel's own C files. Exit: 0, 1 malformed input (one
 * named error), 2 usage.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <mem/bootmap.h>
#include <multiboot2.h>

#include "diag/console.h"
#include "diag/report_mmap.h"
#include "input.h"

/* ---- the console, as the shared report expects it ------------------------------------------- */

void kprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

const char *colour(enum colour which)
{
    static const char *const codes[] = {"0", "1", "90", "91", "92", "93", "94", "95", "96"};
    static char sequence[16];
    if (!isatty(STDOUT_FILENO))
        return "";
    snprintf(sequence, sizeof sequence, "\033[%sm", codes[which]);
    return sequence;
}

/* ---- arguments ------------------------------------------------------------------------------ */

struct options {
    bool json;
    uint64_t limit; /* 0: none */
    const char *file;
};

static int usage(void)
{
    fprintf(stderr, "usage: bootmap [-j] [--limit 4G|SIZE|none] FILE|-\n");
    return 2;
}

static bool read_limit(const char *text, uint64_t *limit)
{
    char *end;
    if (strcmp(text, "none") == 0) {
        *limit = 0;
        return true;
    }
    errno = 0;
    uint64_t value = strtoull(text, &end, 0);
    static const char units[] = "KMGT";
    const char *unit = *end ? strchr(units, *end) : NULL;
    unsigned shift = unit ? 10 * (unsigned)(unit - units + 1) : 0;
    end += unit != NULL;
    if (errno || end == text || *text == '-' || *end || !value || value > UINT64_MAX >> shift)
        return false;
    *limit = value << shift;
    return *limit % 4096 == 0;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    *o = (struct options){0};
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "-j") == 0)
            o->json = true;
        else if (strcmp(argv[i], "--limit") == 0 && i + 1 < argc) {
            if (!read_limit(argv[++i], &o->limit))
                return false;
        } else if (strncmp(argv[i], "--limit=", 8) == 0) {
            if (!read_limit(argv[i] + 8, &o->limit))
                return false;
        } else if (o->file || (argv[i][0] == '-' && argv[i][1]))
            return false;
        else
            o->file = argv[i];
    }
    return o->file;
}

/* ---- work ----------------------------------------------------------------------------------- */

static uint8_t *read_all(FILE *from, size_t *size)
{
    size_t room = 1 << 16;
    uint8_t *bytes = malloc(room);
    *size = 0;
    for (size_t got; bytes && (got = fread(bytes + *size, 1, room - *size, from)) > 0;) {
        *size += got;
        if (*size == room)
            bytes = realloc(bytes, room *= 2);
    }
    return bytes;
}

static int complain(const char *name, const char *error, const char *text)
{
    fprintf(stderr, "bootmap: %s: %s: %s\n", name, error, text);
    return 1;
}

static int show(const struct options *o, const struct blob *blob)
{
    struct boot_info info;
    size_t where;
    enum multiboot2_err bad =
        multiboot2_parse(MULTIBOOT2_MAGIC, blob->bytes, blob->size, &info, &where);
    if (bad)
        return complain(o->file, multiboot2_err_name(bad), multiboot2_err_text(bad));

    /* each entry makes at most two ranges more, each reservation two */
    size_t room = 2 * ((size_t)info.mmap.count + info.efi_map.count + info.module_count) + 16;
    struct boot_range *ranges = calloc(room, sizeof *ranges);
    struct bootmap map;
    enum mem_err err = ranges ? bootmap_init(&map, ranges, room, o->limit) : MEM_FULL;
    if (!err)
        err = bootmap_from_multiboot2(&map, blob->bytes, &info);
    if (err)
        return complain(o->file, mem_err_name(err), "the memory map cannot be used");
    report_mmap(&map, blob->bytes, &info, o->json);
    free(ranges);
    return 0;
}

int main(int argc, char **argv)
{
    struct options o;
    if (!read_options(argc, argv, &o))
        return usage();
    bool standard = strcmp(o.file, "-") == 0;
    FILE *from = standard ? stdin : fopen(o.file, "rb");
    if (!from)
        return complain(o.file, "cannot be read", strerror(errno));
    size_t size;
    uint8_t *text = read_all(from, &size);
    if (!text || ferror(from))
        return complain(o.file, "cannot be read", strerror(errno));
    struct blob blob;
    bool good = input_to_blob(standard ? "stdin" : o.file, text, size, &blob);
    int status = good ? show(&o, &blob) : 1;
    free(text);
    if (good)
        free(blob.bytes);
    if (!standard)
        fclose(from);
    return status;
}
