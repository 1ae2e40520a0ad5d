/* SPDX-License-Identifier: MIT */
/* fault.h - an exception that nobody expected, explained. */
#ifndef DIAG_FAULT_H
#define DIAG_FAULT_H

#include "arch/trap.h"

/* Prints what happened, where, why, registers and callers; ends in a fail verdict. */
void fault_explain(struct trap_frame *frame, vword_t cr2);

#endif
