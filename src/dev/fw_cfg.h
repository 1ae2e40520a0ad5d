/* SPDX-License-Identifier: MIT */
/* fw_cfg.h - files that QEMU hands to its guest (QEMU docs/specs/fw_cfg). */
#ifndef DEV_FW_CFG_H
#define DEV_FW_CFG_H

#include <stddef.h>

/* Copies the named file, cut to fit, and returns its whole length; 0, and the buffer as it was,
 * where there is no QEMU or no such file. */
size_t fw_cfg_load(const char *name, void *buffer, size_t bytes);

/* The same for a string: terminated. */
size_t fw_cfg_read(const char *name, char *buffer, size_t bytes);

#endif
