/* SPDX-License-Identifier: MIT */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "heap_world.h"

struct heap_world world;
uint8_t *arena;
size_t arena_bytes, sizes[SIZES];

enum { LINES = (sizeof world - LINE) / LINE };

/* ---- lines ----------------------------------------------------------------------------------- */

static uint64_t start[LINES][LINE / 8];         /* as the walk began                       */
static uint64_t saved[DEPTH_MAX + 1][LINES][8]; /* of the lines that change, by calls to go */
static unsigned changing[LINES], changing_count;
static bool changes[LINES];
static size_t counter[16], counters; /* words that count refusals, by their index */

static uint64_t *line(size_t i)
{
    return (uint64_t *)(void *)((uint8_t *)&world + i * LINE);
}

static void copy_line(uint64_t *to, const uint64_t *from)
{
    for (unsigned i = 0; i < 8; i++)
        to[i] = from[i];
}

static bool same_line(const uint64_t *a, const uint64_t *b)
{
    uint64_t differ = 0;
    for (unsigned i = 0; i < 8; i++)
        differ |= a[i] ^ b[i];
    return !differ;
}

void save(size_t left)
{
    for (unsigned i = 0; i < changing_count; i++)
        copy_line(saved[left][i], line(changing[i]));
}

void restore(size_t left)
{
    for (unsigned i = 0; i < changing_count; i++)
        copy_line(line(changing[i]), saved[left][i]);
}

/* Refusals are counted, and counts are nobody's state. */
void reset_counters(void)
{
    for (size_t i = 0; i < counters; i++)
        ((uint64_t *)(void *)&world)[counter[i]] = start[counter[i] / 8][counter[i] % 8];
}

bool is_as_saved(size_t left)
{
    reset_counters();
    for (unsigned i = 0; i < changing_count; i++) {
        if (!same_line(saved[left][i], line(changing[i])))
            return false;
    }
    return true;
}

void the_rest_is_as_it_was(void)
{
    for (size_t i = 0; i < LINES; i++) {
        if (!changes[i])
            assert_true(same_line(start[i], line(i)));
    }
}

/* ---- states seen ----------------------------------------------------------------------------- */

struct seen {
    uint64_t key; /* 0: nobody */
    uint64_t sequences;
};
static struct seen *table;
static size_t room, filled;
size_t states;

uint64_t hash_world(void)
{
    uint64_t h = 1;
    for (unsigned i = 0; i < changing_count; i++) {
        const uint64_t *l = line(changing[i]);
        for (unsigned w = 0; w < 8; w++) {
            h = (h ^ l[w]) * 0x9e3779b97f4a7c15u;
            h ^= h >> 29;
        }
    }
    return h;
}

uint64_t key_of(uint64_t hash, size_t left)
{
    uint64_t key = (hash ^ left * 0xa24baed4963ee407u) * 0xd6e8feb86659fd93u;
    key ^= key >> 32;
    return key ? key : 1;
}

static struct seen *slot_for(struct seen *t, size_t slots, uint64_t key)
{
    size_t i = key & (slots - 1);
    while (t[i].key && t[i].key != key)
        i = (i + 1) & (slots - 1);
    return &t[i];
}

static void make_room(void)
{
    if (filled * 2 < room)
        return;
    size_t slots = room ? room * 2 : 1 << 12;
    struct seen *more = calloc(slots, sizeof *more);
    assert_non_null(more);
    for (size_t i = 0; i < room; i++) {
        if (table[i].key)
            *slot_for(more, slots, table[i].key) = table[i];
    }
    free(table);
    table = more;
    room = slots;
}

/* True: it was there already, and its count is *sequences. */
bool was_seen(uint64_t key, uint64_t *sequences)
{
    const struct seen *s = slot_for(table, room, key);
    *sequences = s->sequences;
    return s->key;
}

void note_seen(uint64_t key, uint64_t sequences)
{
    make_room();
    *slot_for(table, room, key) = (struct seen){key, sequences};
    filled++;
}

/* One call that must be refused, and the word in which that is counted: one, and no other. */
static void learn_counter(uint64_t was[LINES][8], void *p, bool alloc)
{
    for (size_t i = 0; i < LINES; i++)
        copy_line(was[i], line(i));
    if (alloc)
        assert_null(heap_alloc(&world.heap, 0, NULL));
    else
        assert_int_not_equal(heap_free(&world.heap, p, NULL), HEAP_OK);
    unsigned found = 0;
    for (size_t i = 0; i < LINES * 8; i++) {
        if (was[i / 8][i % 8] == line(i / 8)[i % 8])
            continue;
        found++;
        bool known = false;
        for (size_t k = 0; k < counters; k++)
            known = known || counter[k] == i;
        if (!known)
            counter[counters++] = i;
    }
    assert_int_equal(found, 1);
}

void learn_counters(uint8_t *freed)
{
    static uint64_t was[LINES][8];
    counters = 0;
    learn_counter(was, NULL, true);
    learn_counter(was, arena + 1, false);               /* misaligned  */
    learn_counter(was, arena - 32, false);              /* interior    */
    learn_counter(was, freed, false);                   /* freed twice */
    learn_counter(was, arena + arena_bytes - 8, false); /* whatever the end is */
    learn_counter(was, world.heap.bin, false);          /* foreign     */
}

static void note_changes(void)
{
    for (size_t l = 0; l < LINES; l++)
        changes[l] = changes[l] || !same_line(start[l], line(l));
}

/* The heap filled with blocks of one size, and emptied: as many of them free as there can be. */
static void fill_and_empty(size_t size)
{
    uint8_t *block[PAGE / HEAP_ALIGN];
    unsigned n = 0;
    while ((block[n] = heap_alloc(&world.heap, size, NULL))) {
        n++;
        note_changes();
    }
    while (n--) {
        assert_int_equal(heap_free(&world.heap, block[n], NULL), HEAP_OK);
        note_changes();
    }
}

/* Which lines change: found by filling and in many random steps from here, checked in the walk. */
static void learn_lines(void)
{
    uint8_t *block[LIVE_MAX] = {NULL};
    for (unsigned i = 0; i < SIZES; i++)
        fill_and_empty(sizes[i]);
    for (unsigned i = 0; i < 200000; i++) {
        unsigned k = (unsigned)rand() % LIVE_MAX;
        size_t size = sizes[(unsigned)rand() % SIZES];
        if (rand() % 2) {
            assert_int_equal(heap_free(&world.heap, block[k], NULL), HEAP_OK);
            block[k] = NULL;
        } else {
            uint8_t *p = heap_realloc(&world.heap, block[k], size, NULL);
            block[k] = p ? p : block[k];
        }
        note_changes();
    }
    changing_count = 0;
    for (unsigned l = 0; l < LINES; l++) {
        if (changes[l])
            changing[changing_count++] = l;
        copy_line(line(l), start[l]);
    }
}

void world_begin(void)
{
    memset(changes, 0, sizeof changes);
    for (size_t l = 0; l < LINES; l++)
        copy_line(start[l], line(l));
    srand(7);
    learn_lines();
}

void forget_states(void)
{
    free(table);
    table = NULL;
    room = filled = states = 0;
    make_room();
}
