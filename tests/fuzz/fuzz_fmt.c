/* SPDX-License-Identifier: MIT */
/*
 * fuzz_fmt.c - our printf against the C library's, over every directive that both have.
 *
 * The first byte chooses. Mostly the input is a list of choices that make one format of literals
 * and one directive with defined behaviour (C17 7.21.6.1), and the two must agree to the byte at
 * any buffer size. Otherwise it is the text of a format as it is: the result must fit, end in 0,
 * and not depend on the room.
 */
#include "lib/fmt.h"

#include "fuzz.h"

enum { TEXT = 4096, WIDTH_MAX = 300, RAW_MAX = 64 };

#pragma clang diagnostic ignored "-Wformat-nonliteral"
#pragma clang diagnostic ignored "-Wformat-security"

/* What ours made and what it should have made, in `room` bytes. */
static void compare(const char *ours, size_t our_length, const char *theirs, int their_length,
                    size_t room, const char *format)
{
    CLAIM(our_length == (size_t)their_length, "\"%s\": %zu for %d", format, our_length,
          their_length);
    CLAIM(!room || !strcmp(ours, theirs), "\"%s\" in %zu: '%s' for '%s'", format, room, ours,
          theirs);
}

/* Both, with the same arguments, each in memory of just `room` bytes. */
#define BOTH(...)                                                                                  \
    do {                                                                                           \
        size_t made = fmt(ours, room, __VA_ARGS__);                                                \
        int expected = snprintf(theirs, room, __VA_ARGS__);                                        \
        compare(ours, made, theirs, expected, room, format);                                       \
    } while (0)

#define WITH_STARS(value)                                                                          \
    do {                                                                                           \
        if (stars == 0)                                                                            \
            BOTH(format, value);                                                                   \
        else if (stars == 1)                                                                       \
            BOTH(format, star[0], value);                                                          \
        else                                                                                       \
            BOTH(format, star[0], star[1], value);                                                 \
    } while (0)

static int pick_size(struct choices *c)
{
    uint8_t wide = pick8(c);
    int size = wide & 0x80 ? pick16(c) % WIDTH_MAX : wide & 0x1f;
    return wide & 0x40 ? -size : size;
}

struct directive {
    char format[128];
    size_t length;
    int stars, star[2];
};

static void say(struct directive *d, char c)
{
    d->format[d->length++] = c;
    d->format[d->length] = 0;
}

/* A width or a precision, as digits or as a star; negative ones only as stars. */
static void say_size(struct directive *d, struct choices *c, bool star)
{
    int size = pick_size(c);
    if (star) {
        d->star[d->stars++] = size;
        say(d, '*');
        return;
    }
    d->length += (size_t)sprintf(d->format + d->length, "%d", abs(size));
}

static void say_literal(struct directive *d, struct choices *c)
{
    for (uint8_t n = pick8(c) % 8; n; n--) {
        char literal = (char)pick8(c);
        if (literal == '%')
            say(d, '%');
        if (literal)
            say(d, literal);
    }
}

/* The flags whose effect on this conversion is defined. */
static const char *flags_of(char conversion)
{
    switch (conversion) {
    case 'd':
    case 'i':
        return "-0+ ";
    case 'u':
        return "-0";
    case 'c':
    case 's':
    case 'p':
        return "-";
    default:
        return "-0#";
    }
}

static const char *const lengths[] = {"", "hh", "h", "l", "ll", "z", "t"};

static void run_integer(const struct directive *d, unsigned length, bool is_signed, uint64_t value,
                        char *ours, char *theirs, size_t room)
{
    const char *format = d->format;
    int stars = d->stars;
    const int *star = d->star;
    if (length <= 2 && is_signed)
        WITH_STARS((int)value);
    else if (length <= 2)
        WITH_STARS((unsigned)value);
    else if (length == 3)
        WITH_STARS((unsigned long)value);
    else if (length == 4)
        WITH_STARS((unsigned long long)value);
    else
        WITH_STARS((size_t)value);
}

static void run_pointer(const struct directive *d, uintptr_t value, char *ours, char *theirs,
                        size_t room)
{
    const char *format = d->format;
    int stars = d->stars;
    const int *star = d->star;
    WITH_STARS((void *)value);
}

static void run_text(const struct directive *d, struct choices *c, char *ours, char *theirs,
                     size_t room)
{
    size_t length = pick8(c);
    char *text = malloc(length + 1);
    for (size_t i = 0; i < length; i++)
        text[i] = (char)pick8(c);
    text[length] = 0;
    const char *format = d->format;
    int stars = d->stars;
    const int *star = d->star;
    WITH_STARS(text);
    free(text);
}

/* Mostly a number at the edge of some type. */
static uint64_t pick_value(struct choices *c)
{
    uint8_t how = pick8(c);
    if (how >= 0xc0)
        return pick64(c);
    uint64_t edge = how & 0x80 ? 0 : 1ull << (how & 63);
    return edge + (uint64_t)(int64_t)(int8_t)pick8(c);
}

static void one_directive(struct choices *c)
{
    static const char conversions[] = "diuxXocsp";
    struct directive d = {0};
    char conversion = conversions[pick8(c) % (sizeof conversions - 1)];
    unsigned length = pick8(c) % 7;
    uint8_t shape = pick8(c);
    say_literal(&d, c);
    say(&d, '%');
    for (const char *f = flags_of(conversion); *f; f++, shape >>= 1) {
        if (shape & 1)
            say(&d, *f);
    }
    shape = pick8(c);
    if (shape & 1)
        say_size(&d, c, shape & 2);
    if (shape & 4 && conversion != 'c' && conversion != 'p') {
        say(&d, '.');
        if (!(shape & 16))
            say_size(&d, c, shape & 8);
    }
    if (strchr("diuxXo", conversion)) {
        for (const char *l = lengths[length]; *l; l++)
            say(&d, *l);
    }
    say(&d, conversion);
    say_literal(&d, c);

    size_t room = pick16(c) % (shape & 32 ? TEXT : 32);
    char *ours = malloc(room + !room), *theirs = malloc(room + !room);
    uint64_t value = pick_value(c);
    if (conversion == 's')
        run_text(&d, c, ours, theirs, room);
    else if (conversion == 'p')
        run_pointer(&d, value ? (uintptr_t)value | 1 : 1, ours, theirs, room); /* glibc: (nil) */
    else if (conversion == 'c')
        run_integer(&d, 0, true, value, ours, theirs, room);
    else
        run_integer(&d, length, conversion == 'd' || conversion == 'i', value, ours, theirs, room);
    free(ours);
    free(theirs);
}

/* Few enough directives for the arguments given, no star, and no width of millions. */
static bool may_run(const char *format)
{
    size_t percents = 0, digits = 0;
    for (; *format; format++) {
        percents += *format == '%';
        digits = *format >= '0' && *format <= '9' ? digits + 1 : 0;
        if (*format == '*' || digits > 3)
            return false;
    }
    return percents <= 8;
}

static void raw_format(struct choices *c)
{
    char format[RAW_MAX + 1], small[32];
    static char large[TEXT];
    size_t length = 0, room = pick8(c) % sizeof small;
    while (more(c) && length < RAW_MAX)
        format[length++] = (char)pick8(c);
    format[length] = 0;
    if (!may_run(format))
        return;
    const char *s = "text"; /* a pointer that %s may follow, a number for the others */
    size_t whole = fmt(large, sizeof large, format, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s);
    size_t again = fmt(small, room, format, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s, s);
    CLAIM(whole == again, "\"%s\": %zu, and in %zu bytes %zu", format, whole, room, again);
    CLAIM(strlen(large) <= whole, "\"%s\"", format);
    CLAIM(!room || !memcmp(small, large, whole < room ? whole + 1 : room - 1), "\"%s\"", format);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t bytes)
{
    struct choices c = {data, data + bytes};
    if (pick8(&c) % 8 == 7)
        raw_format(&c);
    else
        one_directive(&c);
    return 0;
}
