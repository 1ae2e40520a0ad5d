/* SPDX-License-Identifier: MIT */
/* owner.c - the printed names of frame owners. */
#include <mem/owner.h>

static const char *const names[OWNER_COUNT] = {
    [OWNER_NONE] = "free",           [OWNER_LOW] = "low memory",
    [OWNER_KERNEL] = "kernel image", [OWNER_BOOT_INFO] = "boot information",
    [OWNER_MODULE] = "modules",      [OWNER_FRAMEBUFFER] = "framebuffer",
    [OWNER_EARLY] = "early tables",  [OWNER_PMM] = "pmm metadata",
    [OWNER_TABLE] = "page tables",   [OWNER_HEAP] = "heap",
    [OWNER_STACK] = "stacks",        [OWNER_DMA] = "dma",
    [OWNER_USER] = "user",           [OWNER_CACHE] = "page cache",
    [OWNER_TEST] = "self-test",
};

const char *frame_owner_name(enum frame_owner owner)
{
    return (unsigned)owner < OWNER_COUNT ? names[owner] : "unknown owner";
}
