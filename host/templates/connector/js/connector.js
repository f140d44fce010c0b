// A connector of tidegate: fetches the items of an API page by page, and stages those that changed.
//
// This file is yours: the settings, the pages, what a record is, the cursor. `source.js` makes requests, with retries and
// redirects; `host.js` reads settings and writes files. Neither knows your API.
import { Records, failure, log, place, setting } from './host.js';
import { PAUSE, RETRIES, Source, resolve } from './source.js';

// The version of the state that this connector writes. Raise it when the meaning of the state changes.
const STATE_VERSION = 1;
// How far before the greatest change time seen the next run asks again: rows that the source committed late, or with the
// very same time, are not lost. The host merges what is fetched twice by PRIMARY_KEY.
const LOOKBACK_MS = 5 * 60 * 1000;

export const job = {
  describe() {
    return {
      name: 'new-connector',
      version: '0.1.0',
      summary: 'Fetches the items of an API',
      // Here: your settings. `setting(name, orElse)` has their values.
      settings: [
        {
          name: 'SOURCE_API_URL',
          doc: 'URL of the first page',
          required: true,
          secret: false,
          shapesRecords: true, // After a change, old and new records may not fit together.
          stages: {},
          example: 'https://api.example.com/items',
        },
        optional('MAX_RETRIES', 'Retries of a request', RETRIES),
        optional('RETRY_PAUSE', 'Pause before the first retry', PAUSE),
      ],
      // Here: `deletions: true` too, if your connector writes deleted.ndjson.
      stages: { changes: true },
    };
  },

  run(request) {
    try {
      return fetchAll(request);
    } catch (error) {
      // A failure has a tag. Anything else is a defect: it stops the component, and its text is in the error of the run.
      if (!error?.tag) log(`warn: ${error} ${error?.stack ?? ''}`);
      throw error;
    }
  },
};

function fetchAll(request) {
  const source = Source.fromSettings();
  const cursor = readState(request.state, request.fullRefresh);
  const records = new Records();

  let greatest = cursor;
  let pages = 0;
  const asked = new Set();
  for (let url = firstUrl(request.window, cursor); url; pages++) {
    if (asked.has(url)) throw failure('protocol', `${place(url)} names a page that was read already`);
    asked.add(url);
    const { items, next } = readPage(source.get(url), url);
    for (const item of items) {
      const changed = updated(item, url);
      if (greatest === undefined || changed > greatest) greatest = changed;
      records.add(JSON.stringify(item));
    }
    records.write(); // Page by page: memory holds one of them.
    url = next;
  }

  // A cursor is never past the time of the first answer: rows that change while this run reads pages are asked for again,
  // and a row dated 2099 does not hide those that come later.
  const reached = greatest && Math.min(greatest, source.began);
  const isWindow = request.window !== undefined;
  return {
    extent: isWindow || cursor !== undefined ? 'changes' : 'everything',
    // A window is read again; where the job is does not change.
    state: (isWindow && request.state) || writeState(isWindow ? undefined : reached),
    cursor: reached === undefined ? undefined : text(reached),
    pages: BigInt(pages),
    fetched: records.count,
    staged: records.count,
    deleted: 0n,
    rejected: 0n,
    more: false,
  };
}

// Here: how your API is asked for what changed.
function firstUrl(window, cursor) {
  const url = new URL(setting('SOURCE_API_URL', ''));
  if (window) {
    url.searchParams.set('since', window.start);
    url.searchParams.set('until', window.end);
  } else if (cursor !== undefined) {
    url.searchParams.set('since', text(cursor - LOOKBACK_MS));
  }
  return url.href;
}

// Here: the records of a page, and where the next one is. `undefined` on the last page.
function readPage(body, url) {
  const problem = (what) => failure('protocol', `${place(url)} is not a page of items: ${what}`);
  let page;
  try {
    page = JSON.parse(body, keepDigits);
  } catch (error) {
    throw problem(error.message);
  }
  if (!Array.isArray(page?.items)) throw problem('it has no list `items`');
  // An answer without `next` is no page, so it cannot be the last one.
  if (page.next !== null && typeof page.next !== 'string') throw problem('`next` is not a URL or null');
  const next = resolve(url, page.next);
  if (page.next !== null && !next) throw problem('`next` is not a URL');
  return { items: page.items, next };
}

// JavaScript rounds integers above 2^53: a number that it would write differently keeps its own text.
function keepDigits(_, value, { source }) {
  return typeof value === 'number' && String(value) !== source ? JSON.rawJSON(source) : value;
}

// Here: when a record changed, in milliseconds since 1970. Throw for a record that you cannot use.
function updated(item, url) {
  const changed = typeof item?.updated === 'string' ? Date.parse(item.updated) : NaN;
  if (Number.isNaN(changed)) throw failure('protocol', `${place(url)} has an item without a time \`updated\``);
  return changed;
}

// The cursor of the last run. A state of a newer version is refused: this connector would misread it.
function readState(state, fullRefresh) {
  if (state === undefined) return undefined;
  let read;
  try {
    read = JSON.parse(state);
  } catch {
    // Seen below: it has no version.
  }
  let problem;
  const cursor = Date.parse(read?.cursor ?? '');
  if (read?.v > STATE_VERSION) {
    problem = `has version ${read.v}, this connector reads up to ${STATE_VERSION}`;
  } else if (fullRefresh || read?.cursor === null) {
    return undefined;
  } else if (read?.v >= 1 && !Number.isNaN(cursor)) {
    return cursor;
  } else {
    problem = 'cannot be read: run once with `--full-refresh`';
  }
  throw { tag: 'settings', val: [{ setting: 'state', message: problem }] };
}

function writeState(cursor) {
  return JSON.stringify({ v: STATE_VERSION, cursor: cursor === undefined ? null : text(cursor) });
}

function text(time) {
  return new Date(time).toISOString().replace('.000Z', 'Z');
}

function optional(name, doc, orElse) {
  return { name, doc, required: false, secret: false, shapesRecords: false, stages: {}, default: orElse };
}
