/* SPDX-License-Identifier: MIT */
/*
 * ptdump - what the kernel's own ptdump and paging_walk make of a dump of memory.
 *
 *   ptdump32|ptdump64 [-j] [-a] DUMP CR3 [pse] [pge] [pat] [nx] [gib_pages] [phys=BITS]
 *
 * DUMP is physical memory from address 0; the words say what the CPU has switched on. The files
 * that read tables are the kernel's, one program for each paging mode; only the window is another:
 * kmap is an offset into the dump. So the kernel's reader can be asked before the kernel runs.
 * -a reads addresses, one a line, and answers each with one line of JSON after the tables.
 *
 * Exit: 0, 1 tables that lead out of the dump, or a dump that cannot be read, 2 usage.
 */
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <mem/kmap.h>
#include <platform.h>

#include "diag/console.h"
#include "diag/json.h"
#include "diag/report.h"
#include "diag/units.h"
#include "kernel.h"
#include "kernel_space.h"

struct kernel kernel;

static uint8_t *dump;
static size_t dump_frames;

/* ---- the machine and the console, as the shared files expect them --------------------------- */

void *kmap(pfn_t frame)
{
    if (frame.v >= dump_frames)
        platform_panic("a table at frame 0x%zx, where the dump has no memory", (size_t)frame.v);
    return dump + (size_t)frame.v * PAGE_SIZE;
}

void kunmap(const void *ptr)
{
    (void)ptr;
}

/* Nothing is changed here, so nothing is ever flushed. */
void platform_flush_page(vaddr_t va)
{
    (void)va;
}

void platform_flush_all(void)
{
}

void platform_panic(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    fprintf(stderr, "ptdump: ");
    vfprintf(stderr, format, args);
    fprintf(stderr, "\n");
    va_end(args);
    exit(1);
}

void kprintf(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    vprintf(format, args);
    va_end(args);
}

const char *colour(enum colour which)
{
    (void)which;
    return "";
}

struct aspace kernel_space_loaded(void)
{
    return kernel.aspace;
}

/* Whose an address is, only the running kernel knows. */
const char *kernel_region_name(vaddr_t va)
{
    (void)va;
    return "";
}

/* ---- arguments ------------------------------------------------------------------------------ */

struct options {
    bool addresses;
    struct shell_args report;
    const char *dump;
};

static bool read_feature(const char *word, struct paging_features *f)
{
    const struct {
        const char *name;
        bool *on;
    } known[] = {
        {"pse", &f->pse},
        {"pge", &f->pge},
        {"pat", &f->pat},
        {"nx", &f->nx},
        {"gib_pages", &f->gib_pages},
    };
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        if (strcmp(word, known[i].name) == 0)
            return *known[i].on = true;
    }
    return sscanf(word, "phys=%u", &f->phys_bits) == 1;
}

static bool read_options(int argc, char **argv, struct options *o)
{
    for (int option; (option = getopt(argc, argv, "ja")) != -1;) {
        if (option == '?')
            return false;
        o->report.json |= option == 'j';
        o->addresses |= option == 'a';
    }
    if (argc - optind < 2)
        return false;
    o->dump = argv[optind];

    bool wide = sizeof(vword_t) == 8;
    struct paging_features *f = &kernel.features;
    *f = (struct paging_features){.phys_bits = wide ? 52 : 32, .virt_bits = wide ? 48 : 32};
    paddr_t root = PA(strtoull(argv[optind + 1], NULL, 0) & ~(uint64_t)(PAGE_SIZE - 1));
    kernel.aspace = (struct aspace){.root = root, .features = f};
    for (int i = optind + 2; i < argc; i++) {
        if (!read_feature(argv[i], f))
            return false;
    }
    return true;
}

/* Nothing may write to it: who does ends here. */
static void read_dump(const char *name)
{
    struct stat found;
    int file = open(name, O_RDONLY);
    if (file < 0 || fstat(file, &found) != 0)
        platform_panic("%s cannot be read", name);
    dump_frames = (size_t)found.st_size / PAGE_SIZE;
    dump = mmap(NULL, (size_t)found.st_size, PROT_READ, MAP_PRIVATE, file, 0);
    close(file);
    if (dump == MAP_FAILED)
        platform_panic("%s cannot be read", name);
}

/* ---- addresses ------------------------------------------------------------------------------ */

static void answer(vaddr_t va)
{
    struct walk w;
    paddr_t pa;
    struct json j;
    paging_walk(&kernel.aspace, va, &w);
    json_begin(&j, "walk");
    json_address(&j, "va", va.v);
    if (w.mapped) {
        json_address(&j, "pa", w.pa.v);
        json_string(&j, "page", page_name(w.page_bytes));
        json_string(&j, "perm", perm_letters(w.flags, false, false).text);
        json_string(&j, "cache", cache_name(w.flags));
    }
    if (!translate(&kernel.aspace, va, &pa))
        json_address(&j, "translate", pa.v);
    json_finish(&j);
}

static void answer_all(void)
{
    unsigned long long va;
    while (scanf("%llx", &va) == 1)
        answer(VA((vword_t)va));
}

int main(int argc, char **argv)
{
    struct options o = {0};
    if (!read_options(argc, argv, &o)) {
        fprintf(stderr, "usage: ptdump [-j] [-a] DUMP CR3 [pse] [pge] [pat] [nx] [gib_pages] "
                        "[phys=BITS]\n");
        return 2;
    }
    read_dump(o.dump);
    report_ptdump(&o.report);
    if (o.addresses)
        answer_all();
    return 0;
}
