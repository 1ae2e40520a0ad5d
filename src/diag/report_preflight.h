/* SPDX-License-Identifier: MIT */
/* report_preflight.h - what the preflight found, as the one sentence that ends the bring-up. */
#ifndef DIAG_REPORT_PREFLIGHT_H
#define DIAG_REPORT_PREFLIGHT_H

#include <mem/preflight.h>

/* "stack page 0xc0188000 is not mapped: level 1 entry 392 (0x00000000) has P (bit 0) clear". */
void preflight_text(const struct preflight_refusal *refusal, char *text, size_t bytes);

#endif
