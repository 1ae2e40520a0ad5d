/* SPDX-License-Identifier: MIT */
/* screen.c - opens the console's devices as the memory under them comes into reach. */
#include "diag/screen.h"

#include "dev/debugcon.h"
#include "dev/framebuffer.h"
#include "dev/serial.h"
#include "dev/vga_text.h"
#include "diag/console.h"
#include "kernel_space.h"

enum { VGA_TEXT = 0xb8000, VGA_TEXT_BYTES = 0x8000 };

static void to_serial(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    serial_write(SERIAL_CONSOLE, text, bytes);
}

static void to_debugcon(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    debugcon_write(text, bytes);
}

static void to_vga(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    vga_text_write(text, bytes);
}

static void to_framebuffer(void *ctx, const char *text, size_t bytes)
{
    (void)ctx;
    framebuffer_write(text, bytes);
}

static struct console_sink serial = {.name = "serial", .write = to_serial, .ansi = true};
static struct console_sink debugcon = {.name = "debugcon", .write = to_debugcon};
static struct console_sink vga = {.name = "vga", .write = to_vga, .ansi = true, .screen = true};
static struct console_sink framebuffer = {
    .name = "framebuffer", .write = to_framebuffer, .ansi = true, .screen = true};

void screen_open_serial(void)
{
    if (serial_init(SERIAL_CONSOLE))
        console_add(&serial, true);
    if (debugcon_present())
        console_add(&debugcon, true);
}

void screen_open_early(void)
{
    vga_text_attach(boot_window(VGA_TEXT));
    console_add(&vga, true);
}

void screen_close_early(void)
{
    console_remove(&vga);
}

const void *screen_early(size_t *bytes, paddr_t *pa)
{
    *bytes = VGA_TEXT_BYTES;
    *pa = PA(VGA_TEXT);
    return boot_window(VGA_TEXT);
}

/* False: no such framebuffer, or its bytes are out of this paging mode's reach. */
static bool open_framebuffer(struct kernel *k)
{
    const struct boot_framebuffer *fb = &k->boot.framebuffer;
    void *pixels;
    if (fb->kind != FB_RGB)
        return false;
    enum mem_err err = map_mmio(&k->mmio, PA(fb->address), (size_t)fb->pitch * fb->height,
                                MAP_WRITE | MAP_CACHE_WC, "framebuffer", &pixels);
    if (err) {
        kprintf("framebuffer at 0x%llx: %s; the screen stays dark\n",
                (unsigned long long)fb->address, mem_err_name(err));
        return false;
    }
    return framebuffer_attach(pixels, fb);
}

void screen_open(struct kernel *k)
{
    void *text;
    if (open_framebuffer(k)) {
        console_add(&framebuffer, true);
        return;
    }
    if (k->boot.framebuffer.kind == FB_RGB || k->boot.framebuffer.kind == FB_INDEXED)
        return; /* the screen is in a graphics mode: text memory would show nothing */
    if (map_mmio(&k->mmio, PA(VGA_TEXT), VGA_TEXT_BYTES, MAP_WRITE | MAP_CACHE_UC, "vga text",
                 &text) != MEM_OK)
        return;
    vga_text_attach(text);
    console_add(&vga, false);
}
