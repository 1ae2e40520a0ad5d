/* SPDX-License-Identifier: MIT */
/*
 * test_paging_life.c - thousands of random calls against an array that says what should be mapped,
 * and against a processor that remembers what it used until that is flushed.
 */
#include <stdlib.h>
#include <string.h>

#include "paging_walker.h"

enum { MODEL_PAGES = 3072 };

/* ---- a model, thousands of calls ------------------------------------------------------------ */

static uint32_t model[MODEL_PAGES]; /* 0: not mapped; else frame + 1, bit 31: writable */

static bool model_is(unsigned first, unsigned count, bool mapped)
{
    for (unsigned i = first; i < first + count; i++) {
        if ((model[i] != 0) != mapped)
            return false;
    }
    return true;
}

static void model_step(void)
{
    unsigned first = (unsigned)rand() % MODEL_PAGES;
    unsigned count = 1 + (unsigned)rand() % (rand() % 4 ? 40 : 1500);
    if (rand() % 3 == 0)
        first &= ~(unsigned)(LARGE / PAGE - 1);
    if (count > MODEL_PAGES - first)
        count = MODEL_PAGES - first;
    unsigned frame = (unsigned)rand() % 4096 & ~(rand() % 2 ? (unsigned)(LARGE / PAGE - 1) : 0u);
    bool write = rand() % 2;
    vaddr_t va = VA(BASE + (vword_t)first * PAGE);
    size_t bytes = (size_t)count * PAGE;
    enum mem_err err;
    for (unsigned i = 0; i < 4; i++)
        touch(va.v + (vword_t)(rand() % count) * PAGE);
    switch (rand() % 3) {
    case 0:
        err = map_range(&as, va, PA((uint64_t)frame * PAGE), bytes, write ? MAP_WRITE : MAP_EXEC);
        assert_int_equal(err, model_is(first, count, false) ? MEM_OK : MEM_MAPPED);
        for (unsigned i = 0; !err && i < count; i++)
            model[first + i] = (frame + i + 1) | (write ? 1u << 31 : 0);
        break;
    case 1:
        err = unmap_range(&as, va, bytes);
        assert_int_equal(err, model_is(first, count, true) ? MEM_OK : MEM_NOT_MAPPED);
        for (unsigned i = 0; !err && i < count; i++)
            model[first + i] = 0;
        break;
    default:
        err = protect_range(&as, va, bytes, write ? MAP_WRITE : MAP_EXEC);
        assert_int_equal(err, model_is(first, count, true) ? MEM_OK : MEM_NOT_MAPPED);
        for (unsigned i = 0; !err && i < count; i++)
            model[first + i] = (model[first + i] & ~(1u << 31)) | (write ? 1u << 31 : 0);
    }
}

static void model_matches(void)
{
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        struct seen s = look(BASE + (uint64_t)i * PAGE);
        assert_int_equal(s.mapped, model[i] != 0);
        if (!s.mapped)
            continue;
        assert_true(s.pa == (uint64_t)((model[i] & ~(1u << 31)) - 1) * PAGE);
        assert_int_equal(s.write, model[i] >> 31);
    }
}

struct visited {
    uint64_t end;
    unsigned pages;
};

static bool visit(void *ctx, const struct map_stretch *s)
{
    struct visited *v = ctx;
    assert_true(s->va.v >= v->end);
    v->end = s->va.v + (s->bytes - 1);
    v->pages += (unsigned)(s->bytes / PAGE);
    for (uint64_t at = 0; at < s->bytes; at += s->page_bytes)
        assert_true(look(s->va.v + at).pa == s->pa.v + at);
    return true;
}

static void a_long_random_life(void **state)
{
    (void)state;
    const char *broken;
    unsigned seed = 20250101;
    print_message("seed %u\n", seed);
    srand(seed);
    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < 3000; i++) {
        model_step();
        recalls();
        if (i % 50)
            continue;
        assert_true(paging_holds(&as, &broken));
        model_matches();
        agrees(BASE + (vword_t)(rand() % MODEL_PAGES) * PAGE + 7);
        struct visited v = {0};
        paging_visit(&as, VA(0), VA(~(vword_t)0), visit, &v);
        unsigned mapped = 0;
        for (unsigned p = 0; p < MODEL_PAGES; p++)
            mapped += model[p] != 0;
        assert_int_equal(v.pages, mapped);
    }
}

/* Single pages all over a few tables, against the model. */
static void single_pages_at_random(void **state)
{
    (void)state;
    const char *broken;
    srand(7);
    memset(model, 0, sizeof model);
    for (unsigned i = 0; i < 20000; i++) {
        unsigned page = (unsigned)rand() % MODEL_PAGES & (rand() % 8 ? 0x3fu : ~0u);
        unsigned frame = (unsigned)rand() % 4096;
        bool write = rand() % 2;
        vaddr_t va = VA(BASE + (vword_t)page * PAGE);
        touch(va.v);
        if (rand() % 2) {
            enum mem_err err = map_page(&as, va, PA((uint64_t)frame * PAGE), write ? MAP_WRITE : 0);
            assert_int_equal(err, model[page] ? MEM_MAPPED : MEM_OK);
            if (!err)
                model[page] = (frame + 1) | (write ? 1u << 31 : 0);
        } else {
            paddr_t pa = PA(1);
            enum mem_err err = unmap_page(&as, va, rand() % 2 ? &pa : NULL);
            assert_int_equal(err, model[page] ? MEM_OK : MEM_NOT_MAPPED);
            assert_true(pa.v == 1 || pa.v == (uint64_t)((model[page] & ~(1u << 31)) - 1) * PAGE);
            model[page] = 0;
        }
        recalls();
        if (i % 100 == 0)
            assert_true(paging_holds(&as, &broken));
    }
    model_matches();
    for (unsigned i = 0; i < MODEL_PAGES; i++) {
        if (model[i])
            assert_int_equal(unmap_page(&as, VA(BASE + (vword_t)i * PAGE), NULL), MEM_OK);
    }
    assert_int_equal(as.tables, 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(single_pages_at_random),
        TEST(a_long_random_life),
    };
    return cmocka_run_group_tests_name("paging_life", tests, NULL, NULL);
}
