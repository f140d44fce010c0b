// JSON as text: finds values without changing a byte of them, so that no digit is lost.
#pragma once
#include <stdbool.h>
#include <stddef.h>

// A value: its bytes in the text that was read. `at` is NULL where there is none.
typedef struct {
  const char *at;
  size_t length;
} json;

// The one value that this text is. None where it is not JSON to its last byte.
json json_read(const char *text, size_t length);
// The value of a member of an object. None where it is no object or has no such member.
json json_member(json object, const char *name);
// The next element of an array, from `*at`, which begins as NULL. None after the last one, or where it is no array.
json json_next(json array, const char **at);

bool json_is(json value, char first_byte); // '{', '[', '"' or 'n' (null)
// The text that a string is, for free(). NULL where it is no string, or has a NUL.
char *json_text(json string);
