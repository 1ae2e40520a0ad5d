/* SPDX-License-Identifier: MIT */
/*
 * selftest.h - the kernel tries its own promises on the machine it runs on.
 *
 * A test says what failed and returns false; it leaves memory as it found it, and the runner
 * checks that by the ledger after every test.
 */
#ifndef DIAG_SELFTEST_H
#define DIAG_SELFTEST_H

#include <stdint.h>

#include "diag/shell.h"

struct selftest {
    const char *name;
    bool (*run)(void);
};

/* The tables of the test files; each ends with a NULL name. */
extern const struct selftest selftests_machine[]; /* selftest_machine.c */
extern const struct selftest selftests_memory[];  /* selftest_memory.c  */
extern const struct selftest selftests_oom[];     /* selftest_oom.c     */

/* Prints where and what, returns from the test. */
#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            return selftest_failed(__FILE__, __LINE__, #condition);                                \
    } while (0)
bool selftest_failed(const char *file, int line, const char *condition); /* false */

bool selftest_smoke(void); /* at every boot: quick, quiet unless it fails */
bool selftest_all(void);   /* everything, a line each                     */

bool selftest_command(const struct shell_args *args);
bool oom_command(const struct shell_args *args);
bool heap_test_command(const struct shell_args *args);

/* Every exercise of oom.c with every frame that it takes missing; nothing is lost or left. */
bool oom_every_point(void);

/* `ops` random kmalloc, krealloc and kfree calls with contents checked; false on any mismatch. */
bool heap_exercise(unsigned ops, uint32_t seed);

#endif
