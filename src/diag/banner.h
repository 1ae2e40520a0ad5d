/* SPDX-License-Identifier: MIT */
/* banner.h - what the kernel says of itself while it comes up, a line or two a stage. */
#ifndef DIAG_BANNER_H
#define DIAG_BANNER_H

#include "kernel.h"

void banner_open(const struct kernel *k);
void banner_boot(const struct kernel *k);
void banner_map(const struct kernel *k);
void banner_paging(const struct kernel *k);
void banner_frames(const struct kernel *k);
void banner_heap(const struct kernel *k);

#endif
