/* SPDX-License-Identifier: MIT */
/*
 * heap_record.c - writes down what a program asks of its heap, in the words of heap_trace_file.c.
 *
 *   gcc -O2 -shared -fPIC -o record.so bench/heap_record.c
 *   HEAP_TRACE=/tmp/log.trace LD_PRELOAD=./record.so git log --stat
 *
 * Preloaded, it stands before the C library's malloc and friends and passes every call on. For
 * programs of one thread; the first process that finds no such file is the one recorded, and after
 * 40000 calls it falls silent.
 *
 * A table from addresses to block numbers, never emptied: an address stays in its slot and gets a
 * new number when it is given out again.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { CALLS = 40000, SLOTS = 1 << 18, LINE = 64, ROOM = 1 << 16, NO_BLOCK = -1 };

struct slot {
    const void *address;
    int32_t block;
};

void *__libc_malloc(size_t bytes);
void *__libc_calloc(size_t n, size_t bytes);
void *__libc_realloc(void *block, size_t bytes);
void *__libc_memalign(size_t align, size_t bytes);
void __libc_free(void *block);
void *memalign(size_t align, size_t bytes);

static struct slot slots[SLOTS];
static char text[ROOM];
static size_t used;
static int file = -1;
static int32_t blocks, calls;

static struct slot *slot_of(const void *address)
{
    size_t at = (uintptr_t)address * 0x9E3779B97F4A7C15u >> 46; /* 18 bits */
    while (slots[at].address && slots[at].address != address)
        at = (at + 1) % SLOTS;
    return &slots[at];
}

static void flush(void)
{
    if (write(file, text, used) != (ssize_t)used)
        file = -1;
    used = 0;
}

/* ' ' and the number; snprintf might allocate. */
static void put_number(size_t n)
{
    char digits[24], *at = digits + sizeof digits;
    do
        *--at = (char)('0' + n % 10);
    while (n /= 10);
    *--at = ' ';
    memcpy(text + used, at, (size_t)(digits + sizeof digits - at));
    used += (size_t)(digits + sizeof digits - at);
}

static bool begin_line(char word)
{
    if (file < 0 || calls++ >= CALLS)
        return false;
    if (used + LINE > ROOM)
        flush();
    text[used++] = word;
    return true;
}

static void end_line(void)
{
    text[used++] = '\n';
}

static void note_taken(const void *address, size_t bytes, size_t align)
{
    if (!address || !bytes || !begin_line('a'))
        return;
    put_number(bytes);
    if (align > 16)
        put_number(align);
    end_line();
    *slot_of(address) = (struct slot){address, blocks++};
}

/* The block's number, which is then no longer this address's. */
static int32_t forget(const void *address)
{
    struct slot *slot = slot_of(address);
    int32_t block = slot->address ? slot->block : NO_BLOCK;
    slot->block = NO_BLOCK;
    return block;
}

static void note_resized(const void *old, const void *address, size_t bytes)
{
    int32_t block = forget(old);
    if (block == NO_BLOCK || !begin_line('r'))
        return;
    put_number((size_t)(blocks - 1 - block));
    put_number(bytes);
    end_line();
    *slot_of(address) = (struct slot){address, block};
}

static void note_given(const void *address)
{
    int32_t block = forget(address);
    if (block == NO_BLOCK || !begin_line('f'))
        return;
    put_number((size_t)(blocks - 1 - block));
    end_line();
}

/* ---- the calls of the C library ----------------------------------------------------------- */

void *malloc(size_t bytes)
{
    void *at = __libc_malloc(bytes);
    note_taken(at, bytes, 0);
    return at;
}

void *calloc(size_t n, size_t bytes)
{
    void *at = __libc_calloc(n, bytes);
    note_taken(at, n * bytes, 0);
    return at;
}

void *realloc(void *block, size_t bytes)
{
    void *at = __libc_realloc(block, bytes);
    if (!block)
        note_taken(at, bytes, 0);
    else if (!bytes)
        note_given(block);
    else if (at)
        note_resized(block, at, bytes);
    return at;
}

void free(void *block)
{
    if (block)
        note_given(block);
    __libc_free(block);
}

void *memalign(size_t align, size_t bytes)
{
    void *at = __libc_memalign(align, bytes);
    note_taken(at, bytes, align);
    return at;
}

void *aligned_alloc(size_t align, size_t bytes)
{
    return memalign(align, bytes);
}

int posix_memalign(void **out, size_t align, size_t bytes)
{
    void *at = memalign(align, bytes);
    if (at)
        *out = at;
    return at ? 0 : ENOMEM;
}

__attribute__((constructor)) static void begin(void)
{
    const char *path = getenv("HEAP_TRACE");
    if (path)
        file = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
}

__attribute__((destructor)) static void end(void)
{
    if (file >= 0)
        flush();
    file = -1;
}
