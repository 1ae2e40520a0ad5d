/* SPDX-License-Identifier: MIT */
/*
 * fmt.c - printf's subset into a buffer.
 *
 *   F1  no byte is written at or past buffer + bytes.
 *   F2  the return value counts every character, written or not.
 *
 * Decimal needs no 64-bit division: the number is cut into 16-bit halves and divided by 10 from
 * the top, remainder and all, in 32 bits.
 */
#include "lib/fmt.h"

#include <stdbool.h>
#include <stdint.h>

struct output {
    char *buffer;
    size_t bytes, length;
};

struct spec {
    bool left, zero, plus, space, alternate;
    int width, precision; /* precision -1: none given */
    char length;          /* 'H' hh, 'h', 'l', 'L' ll, 'z', 't', 0 */
};

static void put(struct output *out, char c)
{
    if (out->bytes && out->length < out->bytes - 1)
        out->buffer[out->length] = c;
    out->length++;
}

static void put_many(struct output *out, char c, int count)
{
    for (int i = 0; i < count; i++)
        put(out, c);
}

/* Divides *value by base (at most 16); returns the remainder. */
static unsigned divide(uint64_t *value, unsigned base)
{
    uint32_t part[4], rest = 0;
    for (int i = 3; i >= 0; i--) {
        uint32_t word = rest << 16 | ((uint32_t)(*value >> (16 * i)) & 0xffff);
        part[i] = word / base;
        rest = word % base;
    }
    *value = (uint64_t)part[3] << 48 | (uint64_t)part[2] << 32 | (uint64_t)part[1] << 16 | part[0];
    return rest;
}

static int digits_of(uint64_t value, unsigned base, bool upper, char *reversed)
{
    const char *set = upper ? "0123456789ABCDEF" : "0123456789abcdef";
    int count = 0;
    while (value)
        reversed[count++] = set[divide(&value, base)];
    return count;
}

static int greater(int a, int b)
{
    return a > b ? a : b;
}

static void put_number(struct output *out, const struct spec *s, uint64_t value, unsigned base,
                       bool upper, const char *prefix)
{
    char reversed[24];
    int digits = digits_of(value, base, upper, reversed);
    int wanted = s->precision < 0 ? greater(digits, 1) : greater(digits, s->precision);
    if (base == 8 && s->alternate)
        wanted = greater(wanted, digits + 1);
    int prefixed = 0;
    while (prefix[prefixed])
        prefixed++;
    if (s->zero && !s->left && s->precision < 0)
        wanted = greater(wanted, s->width - prefixed);

    int pad = s->width - wanted - prefixed;
    if (!s->left)
        put_many(out, ' ', pad);
    for (int i = 0; i < prefixed; i++)
        put(out, prefix[i]);
    put_many(out, '0', wanted - digits);
    while (digits)
        put(out, reversed[--digits]);
    if (s->left)
        put_many(out, ' ', pad);
}

static void put_text(struct output *out, const struct spec *s, const char *text)
{
    if (!text)
        text = "(null)";
    int length = 0;
    while ((s->precision < 0 || length < s->precision) && text[length])
        length++;
    if (!s->left)
        put_many(out, ' ', s->width - length);
    for (int i = 0; i < length; i++)
        put(out, text[i]);
    if (s->left)
        put_many(out, ' ', s->width - length);
}

static const char *read_flags(struct spec *s, const char *at)
{
    for (;; at++) {
        if (*at == '-')
            s->left = true;
        else if (*at == '0')
            s->zero = true;
        else if (*at == '+')
            s->plus = true;
        else if (*at == ' ')
            s->space = true;
        else if (*at == '#')
            s->alternate = true;
        else
            return at;
    }
}

static const char *read_integer(const char *at, int *value)
{
    for (*value = 0; *at >= '0' && *at <= '9'; at++) {
        if (*value < 100000)
            *value = *value * 10 + (*at - '0');
    }
    return at;
}

static const char *read_length(struct spec *s, const char *at)
{
    if (*at != 'h' && *at != 'l' && *at != 'z' && *at != 't')
        return at;
    s->length = *at++;
    if (*at == s->length && (*at == 'h' || *at == 'l')) {
        s->length = *at == 'h' ? 'H' : 'L';
        at++;
    }
    return at;
}

/* va_list may be an array: it travels in a struct. */
struct arguments {
    va_list list;
};

static uint64_t take_unsigned(struct arguments *args, char length)
{
    switch (length) {
    case 'H':
        return (unsigned char)va_arg(args->list, unsigned);
    case 'h':
        return (unsigned short)va_arg(args->list, unsigned);
    case 'l':
        return va_arg(args->list, unsigned long);
    case 'L':
        return va_arg(args->list, unsigned long long);
    case 'z':
    case 't':
        return va_arg(args->list, size_t);
    default:
        return va_arg(args->list, unsigned);
    }
}

static int64_t take_signed(struct arguments *args, char length)
{
    switch (length) {
    case 'H':
        return (signed char)va_arg(args->list, int);
    case 'h':
        return (short)va_arg(args->list, int);
    case 'l':
        return va_arg(args->list, long);
    case 'L':
        return va_arg(args->list, long long);
    case 'z':
    case 't':
        return va_arg(args->list, ptrdiff_t);
    default:
        return va_arg(args->list, int);
    }
}

static void put_signed(struct output *out, const struct spec *s, int64_t value)
{
    const char *sign = value < 0 ? "-" : s->plus ? "+" : s->space ? " " : "";
    put_number(out, s, value < 0 ? 0 - (uint64_t)value : (uint64_t)value, 10, false, sign);
}

static void convert(struct output *out, struct spec *s, char conversion, struct arguments *args)
{
    uint64_t value;
    switch (conversion) {
    case 'd':
    case 'i':
        put_signed(out, s, take_signed(args, s->length));
        break;
    case 'u':
        put_number(out, s, take_unsigned(args, s->length), 10, false, "");
        break;
    case 'o':
        put_number(out, s, take_unsigned(args, s->length), 8, false, "");
        break;
    case 'x':
    case 'X':
        value = take_unsigned(args, s->length);
        put_number(out, s, value, 16, conversion == 'X',
                   !s->alternate || !value ? ""
                   : conversion == 'X'     ? "0X"
                                           : "0x");
        break;
    case 'p':
        put_number(out, s, (uintptr_t)va_arg(args->list, void *), 16, false, "0x");
        break;
    case 's':
        put_text(out, s, va_arg(args->list, const char *));
        break;
    case 'c': {
        char text[2] = {(char)va_arg(args->list, int), 0};
        put_many(out, ' ', s->left ? 0 : s->width - 1);
        put(out, text[0]);
        put_many(out, ' ', s->left ? s->width - 1 : 0);
        break;
    }
    default:
        put(out, conversion);
    }
}

static const char *read_spec(struct spec *s, const char *at, struct arguments *args)
{
    *s = (struct spec){.precision = -1};
    at = read_flags(s, at);
    if (*at == '*') {
        s->width = va_arg(args->list, int);
        at++;
        if (s->width < 0) {
            s->left = true;
            s->width = -s->width;
        }
    } else {
        at = read_integer(at, &s->width);
    }
    if (*at == '.' && at[1] == '*') {
        s->precision = va_arg(args->list, int);
        at += 2;
    } else if (*at == '.') {
        at = read_integer(at + 1, &s->precision);
    }
    return read_length(s, at);
}

size_t vfmt(char *buffer, size_t bytes, const char *format, va_list list)
{
    struct output out = {buffer, bytes, 0};
    struct arguments args;
    va_copy(args.list, list);
    for (const char *at = format; *at; at++) {
        if (*at != '%') {
            put(&out, *at);
            continue;
        }
        struct spec s;
        at = read_spec(&s, at + 1, &args);
        if (!*at)
            break;
        convert(&out, &s, *at, &args);
    }
    va_end(args.list);
    if (bytes)
        buffer[out.length < bytes ? out.length : bytes - 1] = 0;
    return out.length;
}

size_t fmt(char *buffer, size_t bytes, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    size_t length = vfmt(buffer, bytes, format, args);
    va_end(args);
    return length;
}
