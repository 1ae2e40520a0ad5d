/* SPDX-License-Identifier: MIT */
/* json.c - commas, quotes, escapes; nothing is buffered. */
#include "diag/json.h"

#include "diag/console.h"

static void quoted(const char *text)
{
    kprintf("\"");
    for (; *text; text++) {
        unsigned char c = (unsigned char)*text;
        if (c == '"' || c == '\\')
            kprintf("\\%c", c);
        else if (c < 32)
            kprintf("\\u%04x", c);
        else
            kprintf("%c", c);
    }
    kprintf("\"");
}

static void begin_value(struct json *j, const char *key)
{
    if (j->need_comma)
        kprintf(",");
    j->need_comma = true;
    if (key) {
        quoted(key);
        kprintf(":");
    }
}

static void open(struct json *j, bool array)
{
    if (j->depth < JSON_DEPTH)
        j->array[j->depth] = array;
    j->depth++;
    j->need_comma = false;
    kprintf(array ? "[" : "{");
}

void json_begin(struct json *j, const char *cmd)
{
    *j = (struct json){0};
    open(j, false);
    json_string(j, "cmd", cmd);
}

void json_object(struct json *j, const char *key)
{
    begin_value(j, key);
    open(j, false);
}

void json_array(struct json *j, const char *key)
{
    begin_value(j, key);
    open(j, true);
}

void json_end(struct json *j)
{
    if (!j->depth)
        return;
    j->depth--;
    kprintf(j->depth < JSON_DEPTH && j->array[j->depth] ? "]" : "}");
    j->need_comma = true;
}

void json_finish(struct json *j)
{
    while (j->depth)
        json_end(j);
    kprintf("\n");
}

void json_string(struct json *j, const char *key, const char *value)
{
    begin_value(j, key);
    quoted(value);
}

void json_number(struct json *j, const char *key, uint64_t value)
{
    begin_value(j, key);
    kprintf("%llu", (unsigned long long)value);
}

void json_signed(struct json *j, const char *key, int64_t value)
{
    begin_value(j, key);
    kprintf("%lld", (long long)value);
}

void json_address(struct json *j, const char *key, uint64_t value)
{
    begin_value(j, key);
    kprintf("\"0x%llx\"", (unsigned long long)value);
}

void json_bool(struct json *j, const char *key, bool value)
{
    begin_value(j, key);
    kprintf(value ? "true" : "false");
}
