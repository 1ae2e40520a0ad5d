/* SPDX-License-Identifier: MIT */
/*
 * ubsan.c - what the compiler's checks for undefined behaviour call, and what it means.
 *
 * With -fsanitize=undefined -fno-sanitize-recover the compiler calls a function of a fixed name
 * when a check fails. Each of them is one instruction here, UD2: so nothing runs on after the
 * mistake, the registers are as they were, and the fault explainer takes over. Which trap it was
 * says what was undefined; the word on the stack says where; the arguments have the operands.
 *
 * The names and the layout of the arguments are the compilers' (gcc and clang agree on them).
 */
#include "diag/ubsan.h"

#include "diag/fault.h"
#include "lib/fmt.h"

struct type {            /* of an operand */
    uint16_t kind, info; /* kind 0: an integer, info has its width's logarithm above a sign bit */
    char name[];         /* "'int'" */
};

struct data { /* the first argument; what comes after `type` differs */
    const char *file;
    uint32_t line, column;
    const struct type *type;
    union {
        const struct type *index; /* out_of_bounds, shift_out_of_bounds */
        uint8_t align_log2;       /* type_mismatch_v1                   */
    };
};

enum shape { PLAIN, ONE, TWO, INDEX, POINTER, PLACE };

/* name, operands, sentence; the names without "_abort" cannot return anyway */
#define TRAPS(X)                                                                                   \
    X(add_overflow_abort, TWO, "signed overflow: the sum")                                         \
    X(sub_overflow_abort, TWO, "signed overflow: the difference")                                  \
    X(mul_overflow_abort, TWO, "signed overflow: the product")                                     \
    X(negate_overflow_abort, ONE, "signed overflow: the negative")                                 \
    X(divrem_overflow_abort, TWO, "division by zero, or overflow: the quotient")                   \
    X(shift_out_of_bounds_abort, TWO,                                                              \
      "shift by a distance out of range, or out of the sign: the shift")                           \
    X(out_of_bounds_abort, INDEX, "array index out of bounds")                                     \
    X(type_mismatch_v1_abort, PLACE, "")                                                           \
    X(pointer_overflow_abort, POINTER, "pointer arithmetic wrapped or began at NULL")              \
    X(load_invalid_value_abort, ONE, "a value that its type does not have: the load")              \
    X(invalid_builtin_abort, PLAIN, "zero given to a count of leading or trailing zeros")          \
    X(nonnull_arg_abort, PLAIN, "NULL given to a parameter that may not be NULL")                  \
    X(nonnull_return_v1_abort, PLAIN, "NULL returned by a function that may not return it")        \
    X(vla_bound_not_positive_abort, PLAIN, "an array of no positive length")                       \
    X(builtin_unreachable, PLAIN, "code was reached that was declared unreachable")                \
    X(missing_return, PLAIN, "a function with a result ended without one")

#define DEFINE(name, shape, text)                                                                  \
    void __ubsan_handle_##name(void);                                                              \
    __attribute__((naked)) void __ubsan_handle_##name(void)                                        \
    {                                                                                              \
        __asm__("ud2");                                                                            \
    }
TRAPS(DEFINE)

static const struct trap {
    void (*entry)(void);
    enum shape shape;
    const char *what;
} traps[] = {
#define ROW(name, shape, text) {__ubsan_handle_##name, shape, text},
    TRAPS(ROW)};
enum { COUNT = sizeof traps / sizeof traps[0], WORD_LOG2 = sizeof(vword_t) == 8 ? 6 : 5 };

/* An operand comes by value if it fits a word, else by address. */
static long long operand(const struct type *type, vword_t handle)
{
    unsigned width_log2 = type->info >> 1, unused = 64 - (1u << width_log2);
    uint64_t value = handle;
    if (width_log2 > WORD_LOG2)
        value = *(const uint64_t *)vaddr_ptr(VA(handle));
    if (type->info & 1)
        return (int64_t)(value << unused) >> unused;
    return (long long)(value << unused >> unused);
}

static void tell_place(const struct data *d, vword_t at, char *text, size_t bytes)
{
    if (!at)
        fmt(text, bytes, "NULL was used as a pointer to %s", d->type->name);
    else if (at & (((vword_t)1 << d->align_log2) - 1))
        fmt(text, bytes, "misaligned access: %s at %p, which is no multiple of %u", d->type->name,
            (void *)at, 1u << d->align_log2);
    else
        fmt(text, bytes, "access beyond an object: %s at %p", d->type->name, (void *)at);
}

static void tell(const struct trap *t, const struct trap_frame *frame, char *text, size_t bytes)
{
    const struct data *d = vaddr_ptr(VA(trap_argument(frame, 0)));
    vword_t a = trap_argument(frame, 1), b = trap_argument(frame, 2);
    if (t->shape == PLACE)
        tell_place(d, a, text, bytes);
    else if (t->shape == ONE)
        fmt(text, bytes, "%s of %lld as %s", t->what, operand(d->type, a), d->type->name);
    else if (t->shape == TWO)
        fmt(text, bytes, "%s of %lld and %lld as %s", t->what, operand(d->type, a),
            operand(d->type, b), d->type->name);
    else if (t->shape == INDEX)
        fmt(text, bytes, "%s: %lld in %s", t->what, operand(d->index, a), d->type->name);
    else if (t->shape == POINTER)
        fmt(text, bytes, "%s: from %p to %p", t->what, (void *)a, (void *)b);
    else
        fmt(text, bytes, "%s", t->what);
}

void ubsan_explain(const struct trap_frame *frame)
{
    static char text[200];
    for (unsigned i = 0; i < COUNT; i++) {
        if (frame->ip != (vword_t)traps[i].entry)
            continue;
        const vword_t *back = vaddr_ptr(VA(trap_sp(frame)));
        tell(&traps[i], frame, text, sizeof text);
        fault_found("undefined behaviour", *back - 1, frame->bp, "%s", text);
    }
}
