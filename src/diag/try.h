/* SPDX-License-Identifier: MIT */
/*
 * try.h - commands that change memory by hand. Each refuses by name what the call below refuses,
 * and addresses outside of user space; none leaves anything half done.
 */
#ifndef DIAG_TRY_H
#define DIAG_TRY_H

#include "diag/shell.h"

bool try_map(const struct shell_args *args);     /* ADDR [PAGES]: fresh frames, read and write  */
bool try_unmap(const struct shell_args *args);   /* ADDR [PAGES]: and the frames go back        */
bool try_protect(const struct shell_args *args); /* ADDR [PAGES] r|rw                           */
bool try_grab(const struct shell_args *args);    /* BYTES from the heap, kept and written       */
bool try_drop(const struct shell_args *args);    /* the newest of them goes back                */

#endif
