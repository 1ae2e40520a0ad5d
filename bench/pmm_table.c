/* SPDX-License-Identifier: MIT */
/*
 * pmm_table.c - the frame allocator beside three yardsticks, in instructions, on this machine.
 *
 *   pmm_table [-t] [-o] [MIB...]
 *
 * One table for each size of RAM (256 4096 65536 1048576 unless told otherwise; multiples of 256):
 * the first column is ours, and each other one has its figure and how many times ours that is. -t
 * prints lines of "source <tab> MiB <tab> cell <tab> figure" instead, -o leaves the yardsticks out.
 * Exit status 1: a source gave out a frame twice, or lost one.
 *
 * The yardsticks check nothing: a double free passes them by. Ours is measured with its checks on.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "pmm_measure.h"
#include "step.h"

static const struct frame_source *const sources[] = {
    &source_ours, &source_ours_cached, &source_linear_bitmap, &source_free_list, &source_buddy,
};
enum { SOURCES = sizeof sources / sizeof *sources, OURS = 2, MIB_STEP = 256 };

static struct figure figures[SOURCES][PMM_CELLS];

static bool can(const struct frame_source *source, uint64_t mib)
{
    return mib << 8 <= source->most;
}

/* "35.2", ">35", "~35", "-" */
static const char *figure_text(char *text, size_t room, const struct figure *figure)
{
    static const char *const marks[] = {"", "", ">", "~"};
    if (figure->kind == ABSENT)
        return "-";
    snprintf(text, room, "%s%.*f", marks[figure->kind], figure->value < 10 ? 3 : 1, figure->value);
    return text;
}

static void print_figure(const struct figure *figure, const struct figure *ours)
{
    char text[32], ratio[32] = "";
    if (figure->kind != ABSENT && ours->kind != ABSENT && ours->value > 0)
        snprintf(ratio, sizeof ratio, "%s%.2fx", figure->kind == AT_LEAST ? ">" : "",
                 figure->value / ours->value);
    printf("%11s%*s", figure_text(text, sizeof text, figure), 10, ratio);
}

static void print_lines(uint64_t mib, unsigned count)
{
    for (unsigned i = 0; i < count; i++)
        for (unsigned cell = 0; cell < PMM_CELLS && can(sources[i], mib); cell++)
            if (figures[i][cell].kind != ABSENT)
                printf("%s\t%llu\t%s\t%.3f\n", sources[i]->name, (unsigned long long)mib,
                       pmm_cell_names[cell], figures[i][cell].value);
}

static void print_head(uint64_t mib, unsigned count)
{
    char ram[32];
    bool gib = mib >= 1024;
    snprintf(ram, sizeof ram, "%llu %s of RAM", (unsigned long long)(gib ? mib >> 10 : mib),
             gib ? "GiB" : "MiB");
    printf("\n%-28s%11s", ram, sources[0]->name);
    for (unsigned i = 1; i < count; i++)
        if (can(sources[i], mib))
            printf("%21s", sources[i]->name);
    printf("\n");
}

static void print_table(uint64_t mib, unsigned count)
{
    char text[32];
    print_head(mib, count);
    for (unsigned cell = 0; cell < PMM_CELLS; cell++) {
        const struct figure *ours = &figures[0][cell];
        if (ours->kind == ABSENT)
            continue;
        printf("%-28s%11s", pmm_cell_titles[cell], figure_text(text, sizeof text, ours));
        for (unsigned i = 1; i < count; i++)
            if (can(sources[i], mib))
                print_figure(&figures[i][cell], ours);
        printf("\n");
    }
}

static void measure(uint64_t mib, unsigned count, bool lines)
{
    for (unsigned i = 0; i < count; i++)
        if (can(sources[i], mib))
            pmm_measure(sources[i], mib << 8, figures[i]);
    if (lines)
        print_lines(mib, count);
    else
        print_table(mib, count);
    fflush(stdout);
}

_Noreturn static void usage(void)
{
    fprintf(stderr, "usage: pmm_table [-t] [-o] [MIB...]   (multiples of 256)\n");
    exit(2);
}

static uint64_t parse_mib(const char *word)
{
    char *end;
    uint64_t mib = strtoull(word, &end, 10);
    if (*end || !mib || mib % MIB_STEP || !can(sources[0], mib))
        usage();
    return mib;
}

int main(int argc, char **argv)
{
    static const uint64_t sizes[] = {256, 4096, 65536, 1048576};
    bool lines = false;
    unsigned count = SOURCES;
    for (int o; (o = getopt(argc, argv, "to")) != -1;) {
        lines |= o == 't';
        count = o == 'o' ? OURS : count;
        if (o == '?')
            usage();
    }
    step_init();
    if (!lines)
        printf("Frames: instructions a call; times ours. > counting ended there, ~ scaled up.\n");
    for (int i = optind; i < argc; i++)
        measure(parse_mib(argv[i]), count, lines);
    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes && optind == argc; i++)
        measure(sizes[i], count, lines);
    return 0;
}
