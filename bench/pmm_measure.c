/* SPDX-License-Identifier: MIT */
/*
 * pmm_measure.c - the paces: fill, the last frame, then emptier and emptier, then fill again.
 *
 * RAM is filled frame by frame. Then frames are given back at random until it is 99, 90 and 50 %
 * full, and at each level calls are counted one by one: churn (a random frame is freed, one is
 * allocated), and at 99 % a burst. In the end RAM is filled once more, and every frame must be had
 * again.
 *
 * Churn moves the holes: where the lowest frame is given out first they gather at the top, and a
 * free then nearly always falls below all of them. "Settled" is churn after that has been brought
 * about at full speed.
 *
 * Runs are measured at 90 %. No free 2 MiB would be left by chance, so eight blocks in the upper
 * half of RAM are emptied first; none is next to another, so a run of 1024 must be refused.
 *
 * The figure of a cell is the mean of its calls; WORST_CALL is the dearest of all single frames.
 */
#include "pmm_measure.h"

#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "step.h"

enum {
    CALLS = 64,          /* counted for one cell, unless they are too dear            */
    CELL_LIMIT = 40000,  /* instructions: the cell ends after the call that passes it */
    CALL_LIMIT = 100000, /* counting of one call ends here                            */
    BURST = 192,
    SETTLE = 1 << 18, /* calls at full speed before counting, at most              */
    BLOCK = 512,
    PLANTED = 8,
    RUNS = 4,
    SMALL_RAM = 4096, /* frames of the RAM that dear inits are measured on         */
};
#define FRAMES_PER_GIB (1.0 * (1 << 18))
#define MOST_FOR_HALF  (64ull << 18) /* more RAM is not emptied to 50 %: it takes minutes */

const char *const pmm_cell_names[PMM_CELLS] = {
    "churn-50-alloc", "churn-50-free", "churn-90-alloc", "churn-90-free", "churn-99-alloc",
    "churn-99-free",  "settled-alloc", "settled-free",   "burst-alloc",   "burst-free",
    "worst-call",     "run-2m",        "run-33",         "run-7",         "run-refused",
    "last-frame",     "init-per-gib",  "metadata",
};

const char *const pmm_cell_titles[PMM_CELLS] = {
    "churn, 50 % full: alloc",   "                  free",   "churn, 90 % full: alloc",
    "                  free",    "churn, 99 % full: alloc",  "                  free",
    "settled, 99 % full: alloc", "                    free", "burst of 192, 99 %: alloc",
    "                    free",  "worst single call",        "aligned 2 MiB, 90 %",
    "run of 33, 90 %",           "run of 7, 90 %",           "run of 1024, refused",
    "the last free frame",       "init, each GiB",           "metadata, bytes a frame",
};

struct ram {
    const struct frame_source *of;
    uint64_t frames, used;
    uint64_t *shadow; /* 1 = given out */
    uint64_t random;
    uint64_t worst;
    struct figure *out;
};

struct tally {
    uint64_t calls, sum;
    bool cut;
};

void *metadata_room(void *old, size_t old_bytes, size_t bytes)
{
    if (old)
        munmap(old, old_bytes);
    void *room = mmap(NULL, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
    return room == MAP_FAILED ? NULL : room;
}

_Noreturn static void broken(const struct ram *ram, const char *what, uint64_t frame)
{
    fflush(stdout);
    fprintf(stderr, "error: %s, %llu MiB: frame 0x%llx %s\n", ram->of->name,
            (unsigned long long)(ram->frames >> 8), (unsigned long long)frame, what);
    exit(1);
}

/* ---- the shadow --------------------------------------------------------------------------- */

static bool is_used(const struct ram *ram, uint64_t frame)
{
    return ram->shadow[frame / 64] >> frame % 64 & 1;
}

static void note_taken(struct ram *ram, uint64_t frame)
{
    if (frame >= ram->frames)
        broken(ram, frame == FRAME_NONE ? "refused, though one is free" : "does not exist", frame);
    if (is_used(ram, frame))
        broken(ram, "given out twice", frame);
    ram->shadow[frame / 64] |= 1ull << frame % 64;
    ram->used++;
}

static void note_given(struct ram *ram, uint64_t frame)
{
    ram->shadow[frame / 64] &= ~(1ull << frame % 64);
    ram->used--;
}

static void note_run_taken(struct ram *ram, uint64_t first, uint64_t frames, uint64_t align)
{
    if (first % align)
        broken(ram, "begins a run and is misaligned", first);
    for (uint64_t i = 0; i < frames; i++)
        note_taken(ram, first + i);
}

/* xorshift64*, Vigna 2014 */
static uint64_t random_below(struct ram *ram, uint64_t n)
{
    ram->random ^= ram->random >> 12;
    ram->random ^= ram->random << 25;
    ram->random ^= ram->random >> 27;
    return (uint64_t)((unsigned __int128)(ram->random * 0x2545F4914F6CDD1Du) * n >> 64);
}

static uint64_t random_used(struct ram *ram)
{
    uint64_t frame;
    do
        frame = random_below(ram, ram->frames);
    while (!is_used(ram, frame));
    return frame;
}

/* ---- calls at full speed, and counted ones ------------------------------------------------ */

static void give(struct ram *ram, uint64_t frame)
{
    ram->of->free(frame);
    note_given(ram, frame);
}

static void take(struct ram *ram)
{
    note_taken(ram, ram->of->alloc());
}

static void fill(struct ram *ram)
{
    uint64_t frame;
    while ((frame = ram->of->alloc()) != FRAME_NONE)
        note_taken(ram, frame);
    if (ram->used != ram->frames)
        broken(ram, "is how many were had: some are lost", ram->used);
}

static void add(struct tally *tally, const struct step *step)
{
    tally->calls++;
    tally->sum += step->instructions;
    tally->cut |= step->cut;
}

static bool spent(const struct tally *tally)
{
    return tally->sum > CELL_LIMIT;
}

static void give_counted(struct ram *ram, uint64_t frame, struct tally *tally)
{
    struct step step = step_call((step_fn *)ram->of->free, frame, 0, CALL_LIMIT);
    add(tally, &step);
    note_given(ram, frame);
    if (step.instructions > ram->worst)
        ram->worst = step.instructions;
}

static void take_counted(struct ram *ram, struct tally *tally)
{
    struct step step = step_call((step_fn *)ram->of->alloc, 0, 0, CALL_LIMIT);
    add(tally, &step);
    note_taken(ram, step.result);
    if (step.instructions > ram->worst)
        ram->worst = step.instructions;
}

static void enter(struct ram *ram, enum pmm_cell cell, const struct tally *tally)
{
    if (tally->calls)
        ram->out[cell] = (struct figure){.value = (double)tally->sum / (double)tally->calls,
                                         .kind = tally->cut ? AT_LEAST : EXACT};
}

/* ---- the cells ---------------------------------------------------------------------------- */

/* Frees at random until `percent` are used. */
static void empty_to(struct ram *ram, unsigned percent)
{
    uint64_t want = ram->frames / 100 * percent;
    while (ram->used > want)
        give(ram, random_used(ram));
    while (ram->used < want)
        take(ram);
}

static void settle(struct ram *ram)
{
    uint64_t calls = 4 * (ram->frames - ram->used);
    for (uint64_t i = 0; i < calls && i < SETTLE; i++) {
        give(ram, random_used(ram));
        take(ram);
    }
}

static void measure_churn(struct ram *ram, enum pmm_cell alloc, enum pmm_cell free)
{
    struct tally takes = {0}, gives = {0};
    for (int i = 0; i < CALLS && !spent(&takes) && !spent(&gives); i++) {
        give_counted(ram, random_used(ram), &gives);
        take_counted(ram, &takes);
    }
    enter(ram, alloc, &takes);
    enter(ram, free, &gives);
}

/* More than a cache holds, so that it cannot simply hand the same frames back. */
static void measure_burst(struct ram *ram)
{
    struct tally takes = {0}, gives = {0};
    for (int i = 0; i < BURST; i++)
        give_counted(ram, random_used(ram), &gives);
    for (int i = 0; i < BURST && !spent(&takes); i++)
        take_counted(ram, &takes);
    enter(ram, BURST_ALLOC, &takes);
    enter(ram, BURST_FREE, &gives);
}

static void plant_blocks(struct ram *ram)
{
    for (uint64_t n = 1; n <= PLANTED; n++) {
        uint64_t first = (ram->frames / 2 + n * ram->frames / (3 * PLANTED)) & ~(BLOCK - 1ull);
        for (uint64_t i = first; i < first + BLOCK; i++)
            if (is_used(ram, i))
                give(ram, i);
    }
}

/* A few runs, then all of them back. */
static void measure_run(struct ram *ram, enum pmm_cell cell, uint64_t frames, uint64_t align)
{
    struct tally takes = {0};
    uint64_t first[RUNS];
    int had = 0;
    for (; had < RUNS && !spent(&takes); had++) {
        struct step step = step_call((step_fn *)ram->of->alloc_run, frames, align, CALL_LIMIT);
        add(&takes, &step);
        note_run_taken(ram, step.result, frames, align);
        first[had] = step.result;
    }
    enter(ram, cell, &takes);
    while (had--) {
        ram->of->free_run(first[had], frames);
        for (uint64_t i = 0; i < frames; i++)
            note_given(ram, first[had] + i);
    }
}

static void measure_refusal(struct ram *ram, uint64_t frames)
{
    struct tally takes = {0};
    struct step step = step_call((step_fn *)ram->of->alloc_run, frames, 1, CALL_LIMIT);
    add(&takes, &step);
    if (step.result != FRAME_NONE)
        broken(ram, "begins a run that does not exist", step.result);
    enter(ram, RUN_REFUSED, &takes);
}

static void measure_runs(struct ram *ram)
{
    if (!ram->of->alloc_run)
        return;
    plant_blocks(ram);
    measure_run(ram, RUN_2M, BLOCK, BLOCK);
    measure_run(ram, RUN_33, 33, 1);
    measure_run(ram, RUN_7, 7, 1);
    measure_refusal(ram, 2ull * BLOCK);
}

static void measure_last(struct ram *ram)
{
    struct tally takes = {0}, gives = {0};
    for (int i = 0; i < CALLS / 4 && !spent(&takes); i++) {
        give_counted(ram, random_used(ram), &gives);
        take_counted(ram, &takes);
    }
    enter(ram, LAST_FRAME, &takes);
}

static void init(struct ram *ram, uint64_t frames)
{
    if (!ram->of->init(frames))
        broken(ram, "and more: there is no memory for the metadata", frames);
}

static void measure_init(struct ram *ram)
{
    init(ram, ram->frames); /* the code and the metadata are there before anything is counted */
    struct step step = step_call((step_fn *)ram->of->init, ram->frames, 0, CALL_LIMIT);
    uint64_t frames = ram->frames;
    if (step.cut) {
        init(ram, frames = SMALL_RAM);
        step = step_call((step_fn *)ram->of->init, frames, 0, CALL_LIMIT);
        init(ram, ram->frames);
    }
    ram->out[INIT_PER_GIB] = (struct figure){.value = (double)(step.instructions + step.turns) *
                                                      FRAMES_PER_GIB / (double)frames,
                                             .kind = frames == ram->frames ? EXACT : SCALED};
    ram->out[METADATA] = (struct figure){
        .value = (double)ram->of->metadata_bytes() / (double)ram->frames, .kind = EXACT};
}

void pmm_measure(const struct frame_source *of, uint64_t frames, struct figure out[PMM_CELLS])
{
    struct ram ram = {.of = of, .frames = frames, .random = 0x9E3779B97F4A7C15u, .out = out};
    for (int i = 0; i < PMM_CELLS; i++)
        out[i] = (struct figure){.kind = ABSENT};
    ram.shadow = metadata_room(NULL, 0, frames / 8);
    if (!ram.shadow)
        broken(&ram, "and more: there is no memory for the shadow", frames);

    measure_init(&ram);
    fill(&ram);
    measure_last(&ram);
    empty_to(&ram, 99);
    measure_churn(&ram, CHURN_99_ALLOC, CHURN_99_FREE);
    measure_burst(&ram);
    settle(&ram);
    measure_churn(&ram, SETTLED_ALLOC, SETTLED_FREE);
    empty_to(&ram, 90);
    measure_churn(&ram, CHURN_90_ALLOC, CHURN_90_FREE);
    measure_runs(&ram);
    if (frames <= MOST_FOR_HALF) {
        empty_to(&ram, 50);
        measure_churn(&ram, CHURN_50_ALLOC, CHURN_50_FREE);
    }
    fill(&ram);
    out[WORST_CALL] = (struct figure){.value = (double)ram.worst, .kind = EXACT};
    munmap(ram.shadow, frames / 8);
}
