/* SPDX-License-Identifier: MIT */
/* mem_err.c - the printed names of the errors in types.h. */
#include <mem/types.h>

#define NAME(err) [err] = #err
static const char *const names[MEM_ERR_COUNT] = {
    NAME(MEM_OK),           NAME(MEM_BAD_ARG),      NAME(MEM_MISALIGNED), NAME(MEM_NOT_CANONICAL),
    NAME(MEM_OUT_OF_RANGE), NAME(MEM_NO_FRAME),     NAME(MEM_NO_SPACE),   NAME(MEM_MAPPED),
    NAME(MEM_NOT_MAPPED),   NAME(MEM_WX),           NAME(MEM_NOT_HELD),   NAME(MEM_TOO_BIG),
    NAME(MEM_FULL),         NAME(MEM_ALREADY_INIT), NAME(MEM_NOT_INIT),   NAME(MEM_CLOSED),
    NAME(MEM_CORRUPT),      NAME(MEM_UNSUPPORTED),
};

const char *mem_err_name(enum mem_err err)
{
    return (unsigned)err < MEM_ERR_COUNT ? names[err] : "MEM_ERR_UNKNOWN";
}
