/* SPDX-License-Identifier: MIT */
/* fw_cfg.c - select a key at one port, read its bytes one after the other at the next. */
#include "dev/fw_cfg.h"

#include <stdbool.h>

#include "arch/io.h"
#include "lib/string.h"

enum { SELECT = 0x510, DATA = 0x511, SIGNATURE = 0, DIRECTORY = 0x19, FILES_MAX = 1024 };

struct file { /* as in the directory, big-endian */
    uint8_t size[4], key[2], reserved[2];
    char name[56];
};

static void read_bytes(void *to, size_t bytes)
{
    uint8_t *at = to;
    while (bytes--)
        *at++ = inb(DATA);
}

static bool present(void)
{
    char signature[4];
    outw(SELECT, SIGNATURE);
    read_bytes(signature, sizeof signature);
    return memcmp(signature, "QEMU", sizeof signature) == 0;
}

static uint32_t big_endian(const uint8_t *p)
{
    return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 | (uint32_t)p[2] << 8 | p[3];
}

static bool find(const char *name, struct file *file)
{
    uint8_t count[4];
    outw(SELECT, DIRECTORY);
    read_bytes(count, sizeof count);
    uint32_t files = big_endian(count);
    for (uint32_t i = 0; i < files && i < FILES_MAX; i++) {
        read_bytes(file, sizeof *file);
        file->name[sizeof file->name - 1] = 0;
        if (strcmp(file->name, name) == 0)
            return true;
    }
    return false;
}

size_t fw_cfg_load(const char *name, void *buffer, size_t bytes)
{
    struct file file;
    if (!present() || !find(name, &file))
        return 0;
    size_t size = big_endian(file.size);
    outw(SELECT, (uint16_t)(file.key[0] << 8 | file.key[1]));
    read_bytes(buffer, size < bytes ? size : bytes);
    return size;
}

size_t fw_cfg_read(const char *name, char *buffer, size_t bytes)
{
    size_t size = bytes ? fw_cfg_load(name, buffer, bytes - 1) : 0;
    if (size)
        buffer[size < bytes - 1 ? size : bytes - 1] = 0;
    return size;
}
