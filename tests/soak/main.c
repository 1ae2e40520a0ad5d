/* SPDX-License-Identifier: MIT */
/*
 * main.c - soak [-n CALLS] [-s SEED] [-p frame|page|block]: chooses calls, tells of progress,
 * audits.
 *
 * How much each part wants to hold changes every 2^18 calls, so that memory runs out and comes
 * back. An audit looks at everything: every frame, page, block and table, and all invariants; one
 * comes every 2^20 calls, at each line of progress and at the end, when all is given back and the
 * ledger must be what it was at the start. The same seed and calls give the same digest. -p plants
 * a mistake half way through: the run must fail.
 */
#include "soak.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { TIDE = 1 << 18, AUDIT = 1 << 20, LINES = 50 };

struct soak soak;
static time_t begun;

/* xorshift64* */
uint32_t soak_random(void)
{
    soak.random ^= soak.random >> 12;
    soak.random ^= soak.random << 25;
    soak.random ^= soak.random >> 27;
    return (uint32_t)(soak.random * 0x2545f4914f6cdd1d >> 32);
}

uint32_t soak_below(uint32_t n)
{
    return (uint32_t)((uint64_t)soak_random() * n >> 32);
}

void soak_note(uint64_t word)
{
    soak.digest = (soak.digest ^ word) * 0x100000001b3;
}

void soak_wrong(const char *format, ...)
{
    va_list args;
    fflush(stdout);
    fprintf(stderr, "soak: call %" PRIu64 " with -s %" PRIu64 ": ", soak.calls, soak.seed);
    va_start(args, format);
    vfprintf(stderr, format, args);
    va_end(args);
    fputc('\n', stderr);
    exit(1);
}

static void tide(void)
{
    soak.want_frames = soak_below(17);
    soak.want_heap = soak_below(12);
    soak.want_pages = 1 + soak_below(12);
}

static void call(void)
{
    unsigned part = soak_below(10);
    if (soak.calls % TIDE == 0)
        tide();
    if (part < 3)
        frames_call();
    else if (part < 6)
        pages_call();
    else
        blocks_call();
    soak.calls++;
}

static void audit(void)
{
    machine_audit();
    frames_audit();
    pages_audit();
    blocks_audit();
}

static void tell(uint64_t calls)
{
    printf("%3u %%  %" PRIu64 " calls, %" PRIu64 " of them refused; now %zu frames, %" PRIu64
           " pages, %" PRIu64 " blocks, %zu tables, %zu frames free; %ld s\n",
           (unsigned)(soak.calls * 100 / calls), soak.calls, soak.refused,
           (size_t)ledger_count(OWNER_TEST), pages_mapped(), blocks_live(),
           (size_t)ledger_count(OWNER_TABLE), (size_t)ledger_count(OWNER_NONE),
           (long)(time(NULL) - begun));
    fflush(stdout);
}

static void run(uint64_t calls, void (*plant)(void))
{
    uint64_t line = calls < LINES ? 1 : calls / LINES;
    while (soak.calls < calls) {
        call();
        if (plant && soak.calls == calls / 2)
            plant();
        if (soak.calls % line && soak.calls % AUDIT)
            continue;
        audit();
        if (soak.calls % line == 0)
            tell(calls);
    }
}

static void finish(uint64_t free, uint64_t tables, uint64_t heap)
{
    frames_finish();
    pages_finish();
    blocks_finish();
    audit();
    if (ledger_count(OWNER_NONE) != free || ledger_count(OWNER_TABLE) != tables ||
        ledger_count(OWNER_HEAP) != heap)
        soak_wrong("lost: %zu frames free, %zu tables, %zu heap pages; at the start %zu, %zu, %zu",
                   (size_t)ledger_count(OWNER_NONE), (size_t)ledger_count(OWNER_TABLE),
                   (size_t)ledger_count(OWNER_HEAP), (size_t)free, (size_t)tables, (size_t)heap);
}

static void (*planter(const char *name))(void)
{
    if (strcmp(name, "frame") == 0)
        return frames_plant;
    if (strcmp(name, "page") == 0)
        return pages_plant;
    return strcmp(name, "block") == 0 ? blocks_plant : NULL;
}

int main(int argc, char **argv)
{
    uint64_t calls = 1000000;
    void (*plant)(void) = NULL;
    soak.seed = 1;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "-n") == 0)
            calls = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "-s") == 0)
            soak.seed = strtoull(argv[i + 1], NULL, 0);
        else if (strcmp(argv[i], "-p") == 0)
            plant = planter(argv[i + 1]);
    }
    soak.random = (soak.seed + 1) * 0x9e3779b97f4a7c15;
    begun = time(NULL);
    printf("soak: %" PRIu64 " calls in %zu bits, -s %" PRIu64 "\n", calls, 8 * sizeof(void *),
           soak.seed);

    machine_start();
    frames_start();
    pages_start();
    blocks_start();
    uint64_t free = ledger_count(OWNER_NONE), tables = ledger_count(OWNER_TABLE),
             heap = ledger_count(OWNER_HEAP);
    run(calls, plant);
    finish(free, tables, heap);
    printf("soak: %" PRIu64 " calls; %" PRIu64 " refused, %" PRIu64
           " of them for want of frames; %" PRIu64
           " pages of 4 KiB mapped by large ones\nsoak: nothing lost; digest 0x%016" PRIx64 "\n",
           soak.calls, soak.refused, soak.dry, soak.large, soak.digest);
    return 0;
}
