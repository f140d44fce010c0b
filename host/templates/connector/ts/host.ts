// What the host gives: settings, the folder `/out`, the log. Nothing here knows your API.
import { getEnvironment } from 'wasi:cli/environment@0.2.12';
import { getStderr } from 'wasi:cli/stderr@0.2.12';
import { getDirectories } from 'wasi:filesystem/preopens@0.2.12';
import type { Descriptor } from 'wasi:filesystem/types@0.2.12';
import type { Failure } from './job.ts';

const utf8 = new TextEncoder();

// The value of a setting, or this default.
export function setting(name: string, orElse: string): string {
  const given = getEnvironment().find(([key]) => key === name);
  return given?.[1] || orElse;
}

// One line of the run's log. A line that begins with `warn: ` is a warning.
export function log(line: string): void {
  const bytes = utf8.encode(`${line.trim().replaceAll('\n', ' | ')}\n`);
  for (let at = 0; at < bytes.length; at += 4096) getStderr().blockingWriteAndFlush(bytes.subarray(at, at + 4096));
}

// Why a run failed, to throw: lower case, no full stop, no secret.
export function failure(tag: Exclude<Failure['tag'], 'settings'>, message: string, status?: number, retryAfterSeconds?: bigint) {
  return { tag, val: { message, status, retryAfterSeconds } };
}

// A URL as it may be shown: its query can hold what is private.
export function place(url: string): string {
  return url.replace(/[?#].*/s, '');
}

// `/out/records.ndjson`, written one page at a time.
export class Records {
  #file: Descriptor = open('records.ndjson');
  #written = 0n;
  #page: string[] = [];
  // How many records were added.
  count = 0n;

  // Adds one JSON object, as one line.
  add(record: string): void {
    this.#page.push(record, '\n');
    this.count++;
  }

  // Writes what was added since the last time.
  write(): void {
    let rest = utf8.encode(this.#page.join(''));
    this.#page = [];
    while (rest.length > 0) {
      const done = attempt(() => this.#file.write(rest, this.#written));
      this.#written += done;
      rest = rest.subarray(Number(done));
    }
  }
}

function open(name: string): Descriptor {
  return attempt(() => {
    const [folder] = getDirectories();
    if (!folder) throw new Error('no folder was given');
    return folder[0].openAt({}, name, { create: true, truncate: true }, { write: true });
  });
}

function attempt<T>(action: () => T): T {
  try {
    return action();
  } catch (error) {
    throw failure('output', `cannot write records.ndjson: ${payload(error)}`);
  }
}

// What an import of the host threw.
export function payload<T>(error: unknown): T {
  return ((error as { payload?: T } | undefined)?.payload ?? error) as T;
}
