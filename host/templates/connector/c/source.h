// Requests: GET with retries and redirects. The host adds the credential, and refuses what it does not grant.
#pragma once
#include "wit.h"

// Defaults of MAX_RETRIES and RETRY_PAUSE.
#define RETRIES "3"
#define PAUSE "2s"

typedef exports_job_failure_t failure;

// How often a request is tried again.
typedef struct {
  unsigned retries, pause_ms;
  // The time of the source's first answer, in seconds since 1970: its `Date`, or this machine's time where that is earlier or
  // there is no `Date`. A row that changes later may be missing on pages that were read already. 0: there was no answer.
  int64_t began;
} source;

// False: `why` has all settings that cannot be used.
bool source_read(source *to, failure *why);
// The whole body of the answer, for free(), with a NUL behind it. What may pass is tried again.
bool source_get(source *from, const char *url, char **body, size_t *length, failure *why);

// A URL as it may be shown, for free(): its query can hold what is private.
char *place(const char *url);
// The URL that a link on a page means, for free().
char *resolve(const char *base, const char *link);

// The value of a setting, or this default.
const char *setting(const char *name, const char *or_else);
// Fills in why a run failed: lower case, no full stop, no secret. Always false.
bool fail(failure *why, uint8_t tag, const char *format, ...) __attribute__((format(printf, 3, 4)));
// Adds a setting that cannot be used. Always false.
bool problem(failure *why, const char *setting, const char *format, ...) __attribute__((format(printf, 3, 4)));
// A text like printf's, for free().
char *text(const char *format, ...) __attribute__((format(printf, 1, 2)));
// The same text, as the bindings take it.
wit_string_t copied(const char *text);
