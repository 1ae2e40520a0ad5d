/* SPDX-License-Identifier: MIT */
/* fw_cfg.h - files that QEMU hands to its guest (QEMU docs/specs/fw_cfg). */
#ifndef DEV_FW_CFG_H
#define DEV_FW_CFG_H

#include <stddef.h>

/* Reads the named file as a string, cut to fit and terminated. Not under QEMU, or no such file:
 * returns 0 and leaves the buffer alone; else the file's length. */
size_t fw_cfg_read(const char *name, char *buffer, size_t bytes);

#endif
