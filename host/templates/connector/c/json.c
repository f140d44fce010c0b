#include "json.h"
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Nesting beyond this is refused: each level takes some of the stack.
#define DEPTH_MAX 256

static const char *space(const char *at, const char *end) {
  while (at < end && (*at == ' ' || *at == '\t' || *at == '\r' || *at == '\n')) at++;
  return at;
}

static const char *digits(const char *at, const char *end) {
  if (!at || at == end || *at < '0' || *at > '9') return NULL;
  while (at < end && *at >= '0' && *at <= '9') at++;
  return at;
}

static const char *number(const char *at, const char *end) {
  if (at < end && *at == '-') at++;
  at = at < end && *at == '0' ? at + 1 : digits(at, end);
  if (at && at < end && *at == '.') at = digits(at + 1, end);
  if (at && at < end && (*at == 'e' || *at == 'E')) {
    at++;
    if (at < end && (*at == '+' || *at == '-')) at++;
    at = digits(at, end);
  }
  return at;
}

static const char *string(const char *at, const char *end) {
  for (at++; at < end && (unsigned char)*at >= ' '; at++) {
    if (*at == '"') return at + 1;
    if (*at != '\\') continue;
    if (++at == end || !*at || !strchr("\"\\/bfnrtu", *at)) return NULL;
    if (*at != 'u') continue;
    for (int i = 0; i < 4; i++)
      if (++at == end || !*at || !strchr("0123456789abcdefABCDEF", *at)) return NULL;
  }
  return NULL;
}

// Behind the value that begins at `at`; NULL where that is none.
static const char *value(const char *at, const char *end, int depth) {
  if (at == end || depth > DEPTH_MAX) return NULL;
  size_t left = (size_t)(end - at);
  if (*at == '"') return string(at, end);
  if (left >= 4 && !memcmp(at, "true", 4)) return at + 4;
  if (left >= 5 && !memcmp(at, "false", 5)) return at + 5;
  if (left >= 4 && !memcmp(at, "null", 4)) return at + 4;
  if (*at != '{' && *at != '[') return number(at, end);

  bool is_object = *at == '{';
  char close = is_object ? '}' : ']';
  at = space(at + 1, end);
  if (at < end && *at == close) return at + 1;
  for (;;) {
    if (is_object) {
      if (at == end || *at != '"' || !(at = string(at, end))) return NULL;
      at = space(at, end);
      if (at == end || *at != ':') return NULL;
      at = space(at + 1, end);
    }
    if (!(at = value(at, end, depth + 1))) return NULL;
    at = space(at, end);
    if (at == end) return NULL;
    if (*at == close) return at + 1;
    if (*at != ',') return NULL;
    at = space(at + 1, end);
  }
}

static json between(const char *from, const char *to) {
  json none = {0}, found = {from, (size_t)(to - from)};
  return to ? found : none;
}

json json_read(const char *text, size_t length) {
  const char *end = text + length, *at = space(text, end), *behind = value(at, end, 0);
  return between(at, behind && space(behind, end) == end ? behind : NULL);
}

json json_next(json array, const char **at) {
  if (!json_is(array, '[')) return (json){0};
  const char *end = array.at + array.length;
  const char *from = *at ? space(*at, end) : array.at;
  if (*from == ']') return (json){0};
  from = space(from + 1, end); // Behind `[` or `,`.
  if (*from == ']') return (json){0};
  *at = value(from, end, 0);
  return between(from, *at);
}

json json_member(json object, const char *name) {
  json found = {0};
  if (!json_is(object, '{')) return found;
  const char *end = object.at + object.length, *at = space(object.at + 1, end);
  while (*at == '"') {
    json key = between(at, string(at, end));
    at = space(space(key.at + key.length, end) + 1, end);
    json member = between(at, value(at, end, 0));
    char *text = json_text(key);
    if (text && !strcmp(text, name)) found = member; // Of several, the last one.
    free(text);
    at = space(member.at + member.length, end);
    if (*at == ',') at = space(at + 1, end);
  }
  return found;
}

bool json_is(json value, char first_byte) { return value.at && *value.at == first_byte; }

static unsigned hex(const char *at) {
  char four[5] = {at[0], at[1], at[2], at[3], 0};
  return (unsigned)strtoul(four, NULL, 16);
}

char *json_text(json string) {
  if (!json_is(string, '"')) return NULL;
  char *text = malloc(string.length), *to = text;
  if (!text) abort();
  for (const char *at = string.at + 1; *at != '"'; at++) {
    if (*at != '\\') {
      *to++ = *at;
      continue;
    }
    const char *plain = strchr("\"\"\\\\//b\bf\fn\nr\rt\t", *++at);
    if (*at != 'u') {
      *to++ = plain[1];
      continue;
    }
    uint32_t code = hex(at + 1);
    at += 4;
    if (code >= 0xD800 && code < 0xDC00 && at[1] == '\\' && at[2] == 'u') {
      code = 0x10000 + ((code - 0xD800) << 10) + ((hex(at + 3) - 0xDC00) & 0x3FF);
      at += 6;
    }
    if (!code) {
      free(text);
      return NULL;
    }
    if (code < 0x80) {
      *to++ = (char)code;
    } else if (code < 0x800) {
      *to++ = (char)(0xC0 | code >> 6);
      *to++ = (char)(0x80 | (code & 0x3F));
    } else if (code < 0x10000) {
      *to++ = (char)(0xE0 | code >> 12);
      *to++ = (char)(0x80 | (code >> 6 & 0x3F));
      *to++ = (char)(0x80 | (code & 0x3F));
    } else {
      *to++ = (char)(0xF0 | code >> 18);
      *to++ = (char)(0x80 | (code >> 12 & 0x3F));
      *to++ = (char)(0x80 | (code >> 6 & 0x3F));
      *to++ = (char)(0x80 | (code & 0x3F));
    }
  }
  *to = 0;
  return text;
}
