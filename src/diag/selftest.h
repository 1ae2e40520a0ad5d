/* SPDX-License-Identifier: MIT */
/*
 * selftest.h - the kernel tries its own promises on the machine it runs on.
 *
 * A test leaves memory as it found it, however it ends, and the runner checks that by the ledger
 * after every test. It ends in one of three ways:
 *
 *   MEM_OK        passed.
 *   MEM_NO_FRAME  refused: memory ran out before it could tell. Neither a pass nor a failure.
 *   any other     failed, after saying what is not true.
 */
#ifndef DIAG_SELFTEST_H
#define DIAG_SELFTEST_H

#include <stdint.h>

#include <mem/types.h>

#include "diag/shell.h"

struct selftest {
    const char *name;
    enum mem_err (*run)(void);
};

/* The tables of the test files; each ends with a NULL name. */
extern const struct selftest selftests_machine[]; /* selftest_machine.c */
extern const struct selftest selftests_memory[];  /* selftest_memory.c  */
extern const struct selftest selftests_oom[];     /* selftest_oom.c     */

/* Prints where and what, returns MEM_CORRUPT from the test. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return selftest_failed(__FILE__, __LINE__, #condition);                                \
    } while (0)
enum mem_err selftest_failed(const char *file, int line, const char *condition);

bool selftest_smoke(void); /* at every boot: quick, quiet unless it fails */
bool selftest_all(void);   /* everything, a line each                     */

bool selftest_command(const struct shell_args *args);
bool heap_test_command(const struct shell_args *args);

/*
 * `ops` random kmalloc, krealloc and kfree calls with contents checked, some of them for as much as
 * `large` bytes. MEM_NO_FRAME: some were refused, and what they were to change stayed.
 */
enum mem_err heap_exercise(unsigned ops, size_t large, uint32_t seed);

#endif
