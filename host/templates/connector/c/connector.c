// A connector of tidegate: fetches the items of an API page by page, and stages those that changed.
//
// This file is yours: the settings, the pages, what a record is, the cursor. `source.c` makes requests, with retries and
// redirects; `json.c` reads JSON. Neither knows your API. A component lives for one run: what is small is not freed.
#define _GNU_SOURCE
#include "json.h"
#include "source.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

// The version of the state that this connector writes. Raise it when the meaning of the state changes.
#define STATE_VERSION 1
// How far before the greatest change time seen the next run asks again: rows that the source committed late, or with the
// very same time, are not lost. The host merges what is fetched twice by PRIMARY_KEY.
#define LOOKBACK_SECONDS 300
// No time yet.
#define NEVER INT64_MIN

// Here: your settings. `setting(name, or_else)` has their values.
static const struct {
  const char *name, *doc, *by_default, *example;
  bool required, shapes_records; // After a change of one that shapes them, old and new records may not fit together.
} SETTINGS[] = {
    {"SOURCE_API_URL", "URL of the first page", NULL, "https://api.example.com/items", true, true},
    {"MAX_RETRIES", "Retries of a request", RETRIES, NULL, false, false},
    {"RETRY_PAUSE", "Pause before the first retry", PAUSE, NULL, false, false},
};
#define SETTINGS_COUNT (sizeof SETTINGS / sizeof *SETTINGS)

void exports_job_describe(exports_job_description_t *it) {
  it->name = copied("new-connector");
  it->version = copied("0.1.0");
  it->summary = copied("Fetches the items of an API");
  // Here: `| EXPORTS_JOB_STAGING_DELETIONS` if your connector writes deleted.ndjson.
  it->stages = EXPORTS_JOB_STAGING_CHANGES;
  it->settings.len = SETTINGS_COUNT;
  it->settings.ptr = calloc(SETTINGS_COUNT, sizeof *it->settings.ptr);
  for (size_t i = 0; i < SETTINGS_COUNT; i++) {
    exports_job_setting_t *to = &it->settings.ptr[i];
    to->name = copied(SETTINGS[i].name);
    to->doc = copied(SETTINGS[i].doc);
    to->required = SETTINGS[i].required;
    to->shapes_records = SETTINGS[i].shapes_records;
    if ((to->default_.is_some = SETTINGS[i].by_default)) to->default_.val = copied(SETTINGS[i].by_default);
    if ((to->example.is_some = SETTINGS[i].example)) to->example.val = copied(SETTINGS[i].example);
  }
}

// A time such as 2026-11-01T00:00:07Z, in seconds since 1970. False: it is none.
static bool read_time(const char *from, int64_t *seconds) {
  struct tm at = {0};
  int used = 0, hours = 0, minutes = 0;
  char sign = 0, zone[16] = "";
  if (!from || sscanf(from, "%4d-%2d-%2dT%2d:%2d:%2d%n", &at.tm_year, &at.tm_mon, &at.tm_mday, &at.tm_hour, &at.tm_min, &at.tm_sec, &used) < 6)
    return false;
  from += used;
  if (*from == '.') from += 1 + strspn(from + 1, "0123456789");
  if (strcmp(from, "Z")) {
    if (sscanf(from, "%c%2d:%2d%1s", &sign, &hours, &minutes, zone) != 3 || (sign != '+' && sign != '-')) return false;
  }
  at.tm_year -= 1900;
  at.tm_mon -= 1;
  *seconds = timegm(&at) - (sign == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  return true;
}

static char *write_time(int64_t seconds) {
  char at[32];
  time_t time = (time_t)seconds;
  strftime(at, sizeof at, "%Y-%m-%dT%H:%M:%SZ", gmtime(&time));
  return text("%s", at);
}

// The cursor of the last run. A state of a newer version is refused: this connector would misread it.
static bool read_state(const exports_job_request_t *request, int64_t *cursor, failure *why) {
  *cursor = NEVER;
  if (!request->state.is_some) return true;
  json state = json_read((const char *)request->state.val.ptr, request->state.val.len);
  json version = json_member(state, "v"), since = json_member(state, "cursor");
  long written_by = version.at ? strtol(version.at, NULL, 10) : 0;
  memset(why, 0, sizeof *why);
  if (written_by > STATE_VERSION)
    return problem(why, "state", "has version %ld, this connector reads up to %d", written_by, STATE_VERSION);
  if (request->full_refresh || json_is(since, 'n')) return true;
  char *time = json_text(since);
  if (written_by < 1 || !read_time(time, cursor))
    return problem(why, "state", "cannot be read: run once with `--full-refresh`");
  return true;
}

static char *write_state(int64_t cursor) {
  if (cursor == NEVER) return text("{\"v\":%d,\"cursor\":null}", STATE_VERSION);
  return text("{\"v\":%d,\"cursor\":\"%s\"}", STATE_VERSION, write_time(cursor));
}

// `url` with one more name and value in its query.
static char *with_query(const char *url, const char *name, const char *value, size_t length) {
  char *longer = text("%s%c%s=", url, strchr(url, '?') ? '&' : '?', name);
  for (size_t i = 0; i < length; i++) {
    char byte = value[i];
    bool is_plain = (byte >= '0' && byte <= '9') || ((byte | 32) >= 'a' && (byte | 32) <= 'z') || strchr("-._~:", byte);
    longer = text(is_plain ? "%s%c" : "%s%%%02X", longer, (unsigned char)byte);
  }
  return longer;
}

// Here: how your API is asked for what changed.
static char *first_url(const exports_job_request_t *request, int64_t cursor) {
  char *url = text("%s", setting("SOURCE_API_URL", ""));
  if (request->window.is_some) {
    wit_string_t start = request->window.val.start, end = request->window.val.end;
    url = with_query(url, "since", (const char *)start.ptr, start.len);
    return with_query(url, "until", (const char *)end.ptr, end.len);
  }
  if (cursor == NEVER) return url;
  char *since = write_time(cursor - LOOKBACK_SECONDS);
  return with_query(url, "since", since, strlen(since));
}

// Here: when a record changed. Return false for a record that you cannot use.
static bool updated(json item, int64_t *seconds) {
  char *time = json_text(json_member(item, "updated"));
  bool is_time = read_time(time, seconds);
  free(time);
  return is_time;
}

// Here: what is published of a record: its own text. Line ends in it are white space, as a string of JSON has none.
static bool write_line(json item, FILE *to) {
  for (size_t i = 0; i < item.length; i++) putc(item.at[i] == '\r' || item.at[i] == '\n' ? ' ' : item.at[i], to);
  return putc('\n', to) != EOF && !ferror(to);
}

// Here: a page of your API. Stages its records, and finds the URL of the next page: NULL on the last one.
static bool take_page(const char *body, size_t length, const char *url, FILE *to, exports_job_report_t *report, int64_t *greatest, char **next, failure *why) {
  json page = json_read(body, length), items = json_member(page, "items"), link = json_member(page, "next");
  char *target = json_text(link);
  // An answer without `next` is no page, so it cannot be the last one.
  if (!json_is(items, '[') || !(target || json_is(link, 'n')))
    return fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "%s is not a page of items", place(url));
  const char *at = NULL;
  for (json item = json_next(items, &at); item.at; item = json_next(items, &at)) {
    int64_t changed;
    if (!updated(item, &changed))
      return fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "%s has an item without a time `updated`", place(url));
    if (changed > *greatest) *greatest = changed;
    if (!write_line(item, to))
      return fail(why, EXPORTS_JOB_FAILURE_OUTPUT, "cannot write records.ndjson: %s", strerror(errno));
    report->fetched++;
  }
  report->pages++;
  *next = target ? resolve(url, target) : NULL;
  free(target);
  return true;
}

bool exports_job_run(exports_job_request_t *request, exports_job_report_t *report, failure *why) {
  source api;
  int64_t cursor;
  if (!source_read(&api, why) || !read_state(request, &cursor, why)) return false;
  FILE *records = fopen("/out/records.ndjson", "w");
  if (!records) return fail(why, EXPORTS_JOB_FAILURE_OUTPUT, "cannot write records.ndjson: %s", strerror(errno));

  memset(report, 0, sizeof *report);
  int64_t greatest = cursor;
  char **asked = NULL, *next = NULL;
  for (char *url = first_url(request, cursor); url; url = next) {
    for (size_t i = 0; i < report->pages; i++)
      if (!strcmp(asked[i], url))
        return fail(why, EXPORTS_JOB_FAILURE_PROTOCOL, "%s names a page that was read already", place(url));
    if (!(asked = realloc(asked, (report->pages + 1) * sizeof *asked))) abort();
    asked[report->pages] = url;
    char *body;
    size_t length;
    if (!source_get(&api, url, &body, &length, why)) return false;
    if (!take_page(body, length, url, records, report, &greatest, &next, why)) return false;
    free(body); // Page by page: memory holds one of them.
  }
  if (fclose(records)) return fail(why, EXPORTS_JOB_FAILURE_OUTPUT, "cannot write records.ndjson: %s", strerror(errno));

  // A cursor is never past the time of the first answer: rows that change while this run reads pages are asked for again,
  // and a row dated 2099 does not hide those that come later.
  if (greatest > api.began) greatest = api.began;
  bool is_window = request->window.is_some;
  report->staged = report->fetched;
  report->extent = is_window || cursor != NEVER ? EXPORTS_JOB_EXTENT_CHANGES : EXPORTS_JOB_EXTENT_EVERYTHING;
  if ((report->cursor.is_some = greatest != NEVER)) wit_string_set(&report->cursor.val, write_time(greatest));
  // A window is read again; where the job is does not change.
  if (is_window && request->state.is_some) report->state = request->state.val;
  else wit_string_set(&report->state, write_state(is_window ? NEVER : greatest));
  return true;
}
