/* SPDX-License-Identifier: MIT */
/* pit.h - the 8254 timer: 100 ticks a second. */
#ifndef DEV_PIT_H
#define DEV_PIT_H

/* Needs pic_init. `tick` runs with interrupts off. */
void pit_start(void (*tick)(void));

#endif
