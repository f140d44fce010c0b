#define _GNU_SOURCE
#include "source.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#define REDIRECTS_MAX 5
// A page is held in memory. MEMORY_LIMIT has to hold it twice.
#define PAGE_BYTES_MAX (16u << 20)
// If the source asks for a longer wait, the next scheduled run is the better retry.
#define RETRY_AFTER_SECONDS_MAX 300

// How one attempt ended.
typedef enum { DONE, FINAL, PASSING } attempt;

static attempt follow(source *of, const char *url, char **body, size_t *length, failure *why);

bool source_read(source *to, failure *why) {
  const char *retries = setting("MAX_RETRIES", RETRIES), *pause = setting("RETRY_PAUSE", PAUSE);
  char *end;
  bool ok = true;
  memset(why, 0, sizeof *why);
  to->began = 0;
  to->retries = (unsigned)strtoul(retries, &end, 10);
  if (*retries < '0' || *retries > '9' || *end) ok = problem(why, "MAX_RETRIES", "is not a number");
  to->pause_ms = (unsigned)strtoul(pause, &end, 10);
  to->pause_ms *= !strcmp(end, "ms") ? 1 : !strcmp(end, "s") ? 1000 : 60000;
  bool has_unit = !strcmp(end, "ms") || !strcmp(end, "s") || !strcmp(end, "m");
  if (*pause < '0' || *pause > '9' || !has_unit) ok = problem(why, "RETRY_PAUSE", "is not a time such as `2s`");
  return ok;
}

bool source_get(source *from, const char *url, char **body, size_t *length, failure *why) {
  for (unsigned tried = 0;; tried++) {
    attempt ended = follow(from, url, body, length, why);
    if (ended == DONE) return true;
    exports_job_detail_t *detail = &why->val.unavailable; // The same place in all that may pass.
    bool is_asked = detail->retry_after_seconds.is_some;
    uint64_t asked = is_asked ? detail->retry_after_seconds.val : 0;
    if (ended == FINAL || tried == from->retries || asked > RETRY_AFTER_SECONDS_MAX) return false;
    // 1, 5, 20, 20 … times the pause, and up to a quarter more: not all jobs come back at once.
    static const unsigned factors[] = {1, 5, 20};
    uint64_t backoff_ms = (uint64_t)from->pause_ms * factors[tried < 2 ? tried : 2];
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    uint64_t wait_ms = (is_asked ? asked * 1000 : backoff_ms) + (uint64_t)now.tv_nsec % (backoff_ms / 4 + 1);
    fprintf(stderr, "warn: %.*s; trying again in %llu ms\n", (int)detail->message.len, detail->message.ptr, wait_ms);
    nanosleep(&(struct timespec){.tv_sec = (time_t)(wait_ms / 1000), .tv_nsec = (long)(wait_ms % 1000) * 1000000}, NULL);
  }
}

// A header's value, for free(). NULL where there is none.
static char *header(http_borrow_incoming_response_t response, const char *name) {
  http_own_headers_t headers = http_method_incoming_response_headers(response);
  wit_string_t wanted = copied(name);
  http_list_field_value_t values;
  http_method_fields_get(http_borrow_fields(headers), &wanted, &values);
  char *found = values.len ? text("%.*s", (int)values.ptr[0].len, (const char *)values.ptr[0].ptr) : NULL;
  http_list_field_value_free(&values);
  http_fields_drop_own(headers);
  return found;
}

// A time as HTTP writes it, `Fri, 27 Nov 2026 16:00:00 GMT`, in seconds since 1970. False: it is none.
static bool http_date(const char *text, int64_t *seconds) {
  struct tm at = {0};
  const char *end = text ? strptime(text, "%a, %d %b %Y %H:%M:%S GMT", &at) : NULL;
  if (end && !*end) *seconds = timegm(&at);
  return end && !*end;
}

// The source's clock, as the answer says it; this machine's where it says none.
static int64_t clock_of(http_borrow_incoming_response_t answer) {
  char *date = header(answer, "date");
  int64_t now = time(NULL);
  http_date(date, &now);
  free(date);
  return now;
}

// How many seconds an answer asks to wait: it names them, or a time by the source's clock.
static wit_option_u64_t retry_after(http_borrow_incoming_response_t answer) {
  char *asked = header(answer, "retry-after"), *end;
  wit_option_u64_t wait = {0};
  int64_t until, now = clock_of(answer);
  if (http_date(asked, &until)) {
    wait = (wit_option_u64_t){true, until > now ? (uint64_t)(until - now) : 0};
  } else if (asked && *asked >= '0' && *asked <= '9') {
    wait.val = strtoull(asked, &end, 10);
    wait.is_some = !*end;
  }
  free(asked);
  return wait;
}

// Fails with what an answer says that is not a page.
static attempt answered(failure *why, attempt as, uint8_t tag, const char *url, int status, http_borrow_incoming_response_t answer) {
  char *at = place(url);
  fail(why, tag, "%s answered %d", at, status);
  why->val.denied.status = (wit_option_u16_t){true, (uint16_t)status};
  why->val.denied.retry_after_seconds = retry_after(answer);
  free(at);
  return as;
}

// Why there is no answer: refused by the host, or the network.
static attempt not_answered(failure *why, const char *url, uint8_t code) {
  char *at = place(url);
  bool is_denied = code == HTTP_ERROR_CODE_HTTP_REQUEST_DENIED;
  if (is_denied) fail(why, EXPORTS_JOB_FAILURE_DENIED, "%s is not granted", at);
  else fail(why, EXPORTS_JOB_FAILURE_UNAVAILABLE, "no answer from %s (wasi:http error-code %d)", at, code);
  free(at);
  return is_denied ? FINAL : PASSING;
}

// The head of the answer.
static attempt send(const char *url, http_own_incoming_response_t *response, failure *why) {
  const char *host = strstr(url, "://"), *path = NULL;
  bool is_tls = !strncasecmp(url, "https:", 6), is_plain = !strncasecmp(url, "http:", 5);
  if (!host || !(is_tls || is_plain)) return fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "a link is not a URL"), FINAL;
  host += 3;
  path = host + strcspn(host, "/?#");
  wit_string_t authority, target;
  char *asked = text("%s%.*s", *path == '/' ? "" : "/", (int)strcspn(path, "#"), path);
  char *name = text("%.*s", (int)(path - host), host);
  wit_string_set(&authority, name);
  wit_string_set(&target, asked);

  http_scheme_t scheme = {.tag = is_tls ? HTTP_SCHEME_HTTPS : HTTP_SCHEME_HTTP};
  http_own_outgoing_request_t request = http_constructor_outgoing_request(http_constructor_fields());
  http_borrow_outgoing_request_t set = http_borrow_outgoing_request(request);
  bool is_url = http_method_outgoing_request_set_scheme(set, &scheme) &&
                http_method_outgoing_request_set_authority(set, &authority) &&
                http_method_outgoing_request_set_path_with_query(set, &target);
  free(asked);
  free(name);
  if (!is_url) return fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "a link is not a URL"), FINAL;

  http_own_future_incoming_response_t future;
  http_error_code_t code;
  if (!http_out_handle(request, NULL, &future, &code)) return not_answered(why, url, code.tag);
  http_borrow_future_incoming_response_t coming = http_borrow_future_incoming_response(future);
  poll_own_pollable_t ready = http_method_future_incoming_response_subscribe(coming);
  poll_method_pollable_block(poll_borrow_pollable(ready));
  poll_pollable_drop_own(ready);
  http_result_result_own_incoming_response_error_code_void_t answer;
  bool is_there = http_method_future_incoming_response_get(coming, &answer) && !answer.is_err;
  if (!is_there) abort(); // It is ready, and read once.
  http_future_incoming_response_drop_own(future);
  if (answer.val.ok.is_err) return not_answered(why, url, answer.val.ok.val.err.tag);
  *response = answer.val.ok.val.ok;
  return DONE;
}

// The whole body. A body that was cut off is an error: never a shorter page.
static attempt read_body(http_borrow_incoming_response_t response, const char *url, char **body, size_t *length, failure *why) {
  http_own_incoming_body_t incoming;
  http_own_input_stream_t stream;
  if (!http_method_incoming_response_consume(response, &incoming)) abort();
  if (!http_method_incoming_body_stream(http_borrow_incoming_body(incoming), &stream)) abort();
  size_t room = 1 << 16;
  attempt ended = DONE;
  char *at = place(url);
  *body = malloc(room);
  *length = 0;
  for (;;) {
    wit_list_u8_t chunk;
    io_stream_error_t error;
    if (!io_method_input_stream_blocking_read(io_borrow_input_stream(stream), 1 << 18, &chunk, &error)) {
      if (error.tag == IO_STREAM_ERROR_CLOSED) break;
      fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "the answer of %s was cut off", at);
      io_stream_error_free(&error);
      ended = PASSING;
      break;
    }
    while (*length + chunk.len >= room) room *= 2;
    if (!(*body = realloc(*body, room))) abort();
    memcpy(*body + *length, chunk.ptr, chunk.len);
    *length += chunk.len;
    wit_list_u8_free(&chunk);
    if (*length > PAGE_BYTES_MAX) {
      fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "%s is larger than %u bytes", at, PAGE_BYTES_MAX);
      ended = FINAL;
      break;
    }
  }
  (*body)[*length] = 0;
  if (ended != DONE) free(*body);
  io_input_stream_drop_own(stream);
  http_incoming_body_drop_own(incoming);
  free(at);
  return ended;
}

// One attempt: the body, behind at most five redirects. The host refuses an origin that is not granted.
static attempt follow(source *of, const char *from, char **body, size_t *length, failure *why) {
  char *url = strdup(from);
  attempt ended = DONE;
  for (int redirects = 0;; redirects++) {
    http_own_incoming_response_t response;
    if ((ended = send(url, &response, why)) != DONE) break;
    http_borrow_incoming_response_t answer = http_borrow_incoming_response(response);
    if (!of->began) of->began = clock_of(answer) < time(NULL) ? clock_of(answer) : time(NULL);
    int status = http_method_incoming_response_status(answer);
    char *location = header(answer, "location");
    bool is_elsewhere = location && (status == 301 || status == 302 || status == 303 || status == 307 || status == 308);

    if (status == 200) ended = read_body(answer, url, body, length, why);
    else if (is_elsewhere && redirects == REDIRECTS_MAX)
      ended = (fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "more than %d redirects", REDIRECTS_MAX), FINAL);
    else if (is_elsewhere) {
      char *next = resolve(url, location);
      free(url);
      url = next;
    } else if (status == 408 || status == 425 || status == 429 || status >= 500)
      ended = answered(why, PASSING, EXPORTS_JOB_FAILURE_UNAVAILABLE, url, status, answer);
    else if (status == 401 || status == 403)
      ended = answered(why, FINAL, EXPORTS_JOB_FAILURE_DENIED, url, status, answer);
    else if (status >= 400)
      ended = answered(why, FINAL, EXPORTS_JOB_FAILURE_REFUSED, url, status, answer);
    else
      ended = answered(why, FINAL, EXPORTS_JOB_FAILURE_PROTOCOL, url, status, answer);

    http_incoming_response_drop_own(response);
    free(location);
    if (ended != DONE || status == 200) break;
  }
  free(url);
  return ended;
}

char *place(const char *url) { return text("%.*s", (int)strcspn(url, "?#"), url); }

char *resolve(const char *base, const char *link) {
  const char *host = strstr(base, "://");
  host = host ? host + 3 : base;
  int origin = (int)(host - base + (ptrdiff_t)strcspn(host, "/?#"));
  int path = (int)strcspn(base, "?#");
  size_t scheme = strspn(link, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
  if (!strncmp(link + scheme, "://", 3)) return strdup(link);
  if (!strncmp(link, "//", 2)) return text("%.*s%s", (int)(host - base) - 2, base, link);
  if (*link == '/') return text("%.*s%s", origin, base, link);
  if (*link == '?') return text("%.*s%s", path, base, link);
  int folder = path;
  while (folder > origin && base[folder - 1] != '/') folder--;
  return text("%.*s%s%s", folder, base, folder == origin ? "/" : "", link);
}

const char *setting(const char *name, const char *or_else) {
  const char *value = getenv(name);
  return value && *value ? value : or_else;
}

static char *formatted(const char *format, va_list values) {
  char *made;
  if (vasprintf(&made, format, values) < 0) abort();
  return made;
}

char *text(const char *format, ...) {
  va_list values;
  va_start(values, format);
  char *made = formatted(format, values);
  va_end(values);
  return made;
}

wit_string_t copied(const char *text) {
  wit_string_t copy;
  wit_string_dup(&copy, text);
  return copy;
}

bool fail(failure *why, uint8_t tag, const char *format, ...) {
  va_list values;
  va_start(values, format);
  memset(why, 0, sizeof *why);
  why->tag = tag;
  wit_string_set(&why->val.denied.message, formatted(format, values)); // Each variant but `settings` is a detail.
  va_end(values);
  return false;
}

bool problem(failure *why, const char *setting, const char *format, ...) {
  va_list values;
  va_start(values, format);
  exports_job_list_problem_t *all = &why->val.settings;
  why->tag = EXPORTS_JOB_FAILURE_SETTINGS;
  all->ptr = realloc(all->ptr, (all->len + 1) * sizeof *all->ptr);
  if (!all->ptr) abort();
  all->ptr[all->len].setting = copied(setting);
  wit_string_set(&all->ptr[all->len++].message, formatted(format, values));
  va_end(values);
  return false;
}
