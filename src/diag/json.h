/* SPDX-License-Identifier: MIT */
/*
 * json.h - one JSON object on one line, streamed to the console.
 *
 * Commas and quotes are the writer's business. Keys are NULL inside arrays. json_end closes the
 * innermost open object or array; json_finish closes all and ends the line.
 */
#ifndef DIAG_JSON_H
#define DIAG_JSON_H

#include <stdbool.h>
#include <stdint.h>

enum { JSON_DEPTH = 12 };
struct json {
    unsigned depth;
    bool need_comma;
    bool array[JSON_DEPTH]; /* what each open level is */
};

void json_begin(struct json *j, const char *cmd); /* {"cmd":"...   */
void json_object(struct json *j, const char *key);
void json_array(struct json *j, const char *key);
void json_end(struct json *j);
void json_finish(struct json *j);
void json_string(struct json *j, const char *key, const char *value); /* escaped        */
void json_number(struct json *j, const char *key, uint64_t value);
void json_signed(struct json *j, const char *key, int64_t value);
void json_address(struct json *j, const char *key, uint64_t value); /* "0x..." a string */
void json_bool(struct json *j, const char *key, bool value);

#endif
