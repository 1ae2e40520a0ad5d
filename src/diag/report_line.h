/* SPDX-License-Identifier: MIT */
/*
 * report_line.h - the second serial line (COM2), for programs that watch while a person types.
 *
 * A line that comes in there is a shell command; what it says goes out there and nowhere else. It
 * runs while the shell waits for a key, so a report never shows the middle of another command.
 */
#ifndef DIAG_REPORT_LINE_H
#define DIAG_REPORT_LINE_H

#include <stdbool.h>

/* After input_init. False: no UART there; nothing is watched for then. */
bool report_line_start(void);

#endif
