/* SPDX-License-Identifier: MIT */
/*
 * kernel_space.h - the kernel's own address space: what is mapped where, and the switch to it.
 */
#ifndef KERNEL_SPACE_H
#define KERNEL_SPACE_H

#include "kernel.h"

/*
 * Builds, beside the boot tables, the page tables that the kernel runs on from then on: its
 * sections (W^X), the physical window, and every top-level entry of the kernel half. Tables come
 * from the early allocator. Errors: of paging_create, paging_pin and map_range.
 */
enum mem_err kernel_space_build(struct kernel *k);

/*
 * Checks them (kernel_preflight.h), closes the screen of the boot tables, and loads them. The low
 * identity map is gone when this returns. Ends with a fail verdict if the kernel would not survive.
 */
void kernel_space_switch(struct kernel *k);

/* True from the switch on. */
bool kernel_space_live(void);

/* The tables that are loaded: the kernel's, or others that share its half. */
struct aspace kernel_space_loaded(void);

/* "kernel text", "heap", "user space", "a hole" ...; never NULL. */
const char *kernel_region_name(vaddr_t va);

/* The lowest guard page of a kernel stack in [from, end); `end` if there is none. */
const uint8_t *kernel_next_guard(const uint8_t *from, const uint8_t *end);

/* Physical extent of the image, boot tables and boot stack included. */
void kernel_image_extent(uint64_t *start, uint64_t *bytes);

/* What the boot tables show at a physical address, until the switch. */
void *boot_window(uint64_t pa);

#endif
