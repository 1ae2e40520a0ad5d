/* SPDX-License-Identifier: MIT */
/* test_paging_share.c - what is pinned stays, what is shared belongs to the kernel. */
#include <limits.h>

#include "paging_walker.h"

/* ---- pinned, adopted, shared ---------------------------------------------------------------- */

static void pinned_tables_stay(void **state)
{
    (void)state;
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    size_t tables = as.tables;
    assert_int_equal(map_page(&as, VA(BASE), PA(0), 0), MEM_OK);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
    assert_int_equal(as.tables, tables);

    struct aspace user;
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_OK);
    assert_int_equal(map_page(&as, VA(BASE + PAGE), PA(0x9000), 0), MEM_OK);
    paddr_t pa;
    assert_int_equal(translate(&user, VA(BASE + PAGE), &pa), MEM_OK);
    assert_true(pa.v == 0x9000);
    assert_int_equal(map_page(&user, VA(0x400000), PA(0x8000), MAP_USER | MAP_WRITE), MEM_OK);
    struct walk w;
    paging_walk(&user, VA(0x400000), &w);
    assert_true(w.flags & MAP_USER);
    vword_t last = (WIDE ? (vword_t)1 << 47 : 0xc0000000u) - PAGE;
    assert_int_equal(map_page(&user, VA(last), PA(0x8000), MAP_USER), MEM_OK);
    paging_walk(&user, VA(last), &w);
    assert_true(w.flags & MAP_USER);
    const char *broken;
    assert_true(paging_holds(&user, &broken));
    paging_destroy(&user);
    assert_int_equal(unmap_page(&as, VA(BASE + PAGE), NULL), MEM_OK);
    as.adopted = PFN_NONE;
    fake.fail_after = UINT_MAX;
}

/* The kernel's half changes through the kernel's address space alone. */
static void what_is_shared_is_the_kernels(void **state)
{
    (void)state;
    struct aspace user;
    paddr_t pa;
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_OK);
    assert_int_equal(map_page(&user, VA(BASE), PA(0), 0), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&as, VA(BASE), PA(0x6000), 0), MEM_OK);
    assert_int_equal(translate(&user, VA(BASE), &pa), MEM_OK);
    assert_int_equal(unmap_page(&user, VA(BASE), NULL), MEM_OUT_OF_RANGE);
    assert_int_equal(protect_page(&user, VA(BASE), MAP_WRITE), MEM_OUT_OF_RANGE);
    assert_int_equal(map_page(&user, VA(WIDE ? 0x7fffffffe000ull : 0xb0000000u), PA(0x7000),
                              MAP_USER | MAP_WRITE),
                     MEM_OK);
    struct walk w;
    paging_walk(&user, VA(WIDE ? 0x7fffffffe000ull : 0xb0000000u), &w);
    assert_true(w.flags & MAP_USER);
    paging_destroy(&user);
    assert_int_equal(unmap_page(&as, VA(BASE), NULL), MEM_OK);
}

/* What the kernel maps in the user's half is no business of another space. */
static void what_lies_below_is_not_shared(void **state)
{
    (void)state;
    struct aspace user;
    paddr_t pa;
    vaddr_t low = VA(0x40000000u), near = VA(0x42000000u);
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    assert_int_equal(map_page(&as, low, PA(0x6000), 0), MEM_OK);
    size_t tables = as.tables;
    unsigned taken = fake.taken_count;
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE + PAGE)), MEM_MISALIGNED);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE + 1)), MEM_MISALIGNED);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_OK);
    assert_int_equal(translate(&user, low, &pa), MEM_NOT_MAPPED);
    assert_int_equal(map_page(&user, near, PA(0x7000), MAP_USER), MEM_OK);
    assert_int_equal(translate(&as, near, &pa), MEM_NOT_MAPPED);
    paging_destroy(&user);
    assert_int_equal(as.tables, tables);
    assert_int_equal(fake.taken_count, taken);
    assert_int_equal(unmap_page(&as, low, NULL), MEM_OK);
}

/* What a space has mapped below is no reason to refuse; what it has anywhere above is. */
static void what_is_there_before(void **state)
{
    (void)state;
    struct aspace user;
    vaddr_t low = VA(0x400000), top = VA(~(vword_t)0 - PAGE + 1);
    assert_int_equal(paging_pin(&as, VA(BASE), LARGE), MEM_OK);
    assert_int_equal(paging_create(&user, false, fake_source, &everything), MEM_OK);
    assert_int_equal(map_page(&user, low, PA(0x6000), 0), MEM_OK);
    assert_int_equal(map_page(&user, top, PA(0x7000), 0), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_MAPPED);
    assert_int_equal(unmap_page(&user, top, NULL), MEM_OK);
    assert_int_equal(paging_share_kernel(&user, &as, VA(BASE)), MEM_OK);
    assert_int_equal(map_page(&user, top, PA(0x7000), 0), MEM_OUT_OF_RANGE);
    paging_destroy(&user);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(pinned_tables_stay),
        TEST(what_is_shared_is_the_kernels),
        TEST(what_lies_below_is_not_shared),
        TEST(what_is_there_before),
    };
    return cmocka_run_group_tests_name("paging_share", tests, NULL, NULL);
}
