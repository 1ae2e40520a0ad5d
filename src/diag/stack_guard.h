/* SPDX-License-Identifier: MIT */
/*
 * stack_guard.h - the stack protector: a secret word between a function's arrays and its way back.
 *
 * The compiler (-fstack-protector-strong) puts the word there in each function that has an array or
 * gives away the address of a local, and looks at it before it returns.
 */
#ifndef DIAG_STACK_GUARD_H
#define DIAG_STACK_GUARD_H

/* Draws the word. No function that is under way when this runs may ever return. */
void stack_guard_draw(void);

#endif
