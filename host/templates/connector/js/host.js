// What the host gives: settings, the folder `/out`, the log. Nothing here knows your API.
import { getEnvironment } from 'wasi:cli/environment@0.2.12';
import { getStderr } from 'wasi:cli/stderr@0.2.12';
import { getDirectories } from 'wasi:filesystem/preopens@0.2.12';

const utf8 = new TextEncoder();

// The value of a setting, or this default.
export function setting(name, orElse) {
  const given = getEnvironment().find(([key]) => key === name);
  return given?.[1] || orElse;
}

// One line of the run's log. A line that begins with `warn: ` is a warning.
export function log(line) {
  const bytes = utf8.encode(`${line.trim().replaceAll('\n', ' | ')}\n`);
  for (let at = 0; at < bytes.length; at += 4096) getStderr().blockingWriteAndFlush(bytes.subarray(at, at + 4096));
}

// Why a run failed, to throw: lower case, no full stop, no secret.
export function failure(tag, message, status, retryAfterSeconds) {
  return { tag, val: { message, status, retryAfterSeconds } };
}

// A URL as it may be shown: its query can hold what is private.
export function place(url) {
  return url.split(/[?#]/)[0];
}

// `/out/records.ndjson`, written one page at a time.
export class Records {
  #file = open('records.ndjson');
  #written = 0n;
  #page = [];
  // How many records were added.
  count = 0n;

  // Adds one JSON object, as one line.
  add(record) {
    this.#page.push(record, '\n');
    this.count++;
  }

  // Writes what was added since the last time.
  write() {
    let rest = utf8.encode(this.#page.join(''));
    this.#page = [];
    while (rest.length > 0) {
      const done = attempt(() => this.#file.write(rest, this.#written));
      this.#written += done;
      rest = rest.subarray(Number(done));
    }
  }
}

function open(name) {
  return attempt(() => {
    const [[out]] = getDirectories();
    return out.openAt({}, name, { create: true, truncate: true }, { write: true });
  });
}

function attempt(action) {
  try {
    return action();
  } catch (error) {
    throw failure('output', `cannot write records.ndjson: ${error?.payload ?? error}`);
  }
}
