// Requests: GET with retries and redirects. The host adds the credential, and refuses what it does not grant.
import { now, subscribeDuration } from 'wasi:clocks/monotonic-clock@0.2.12';
import { now as time } from 'wasi:clocks/wall-clock@0.2.12';
import { handle } from 'wasi:http/outgoing-handler@0.2.12';
import { Fields, OutgoingRequest } from 'wasi:http/types@0.2.12';
import { failure, log, place, setting } from './host.js';

// Defaults of MAX_RETRIES and RETRY_PAUSE.
export const RETRIES = '3';
export const PAUSE = '2s';

const REDIRECTS_MAX = 5;
// A page is held in memory, as text and as objects. MEMORY_LIMIT has to hold both.
const PAGE_BYTES_MAX = 16 * 1024 * 1024;
// If the source asks for a longer wait, the next scheduled run is the better retry.
const RETRY_AFTER_SECONDS_MAX = 300;

// The next attempt may work. Has the failure to report if it does not.
class Passing {
  constructor(failure) {
    this.failure = failure;
  }
}

// Makes requests, and tries again as often as the settings say.
export class Source {
  #retries;
  #pauseMs;
  // The time of the source's first answer, in milliseconds since 1970: its `Date`, or this machine's time where that is earlier
  // or there is no `Date`. A row that changes later may be missing on pages that were read already.
  began;

  constructor(retries, pauseMs) {
    this.#retries = retries;
    this.#pauseMs = pauseMs;
  }

  // Throws all settings that cannot be used.
  static fromSettings() {
    const retries = setting('MAX_RETRIES', RETRIES);
    const pause = /^(\d+)(ms|s|m)$/.exec(setting('RETRY_PAUSE', PAUSE));
    const problems = [];
    if (!/^\d+$/.test(retries)) problems.push({ setting: 'MAX_RETRIES', message: 'is not a number' });
    if (!pause) problems.push({ setting: 'RETRY_PAUSE', message: 'is not a time such as `2s`' });
    if (problems.length > 0) throw { tag: 'settings', val: problems };
    return new Source(Number(retries), Number(pause[1]) * { ms: 1, s: 1000, m: 60000 }[pause[2]]);
  }

  // The whole body of the answer, as text. What may pass is tried again.
  get(url) {
    for (let attempt = 0; ; attempt++) {
      try {
        return this.#follow(url);
      } catch (error) {
        if (!(error instanceof Passing)) throw error;
        const { message, retryAfterSeconds: asked } = error.failure.val;
        if (attempt === this.#retries || asked > RETRY_AFTER_SECONDS_MAX) throw error.failure;
        // 1, 5, 20, 20 … times the pause, and up to a quarter more: not all jobs come back at once.
        const backoffMs = this.#pauseMs * [1, 5, 20][Math.min(attempt, 2)];
        const jitterMs = Number(now() % BigInt(Math.floor(backoffMs / 4) + 1));
        const waitMs = (asked === undefined ? backoffMs : Number(asked) * 1000) + jitterMs;
        log(`warn: ${message}; trying again in ${waitMs} ms`);
        subscribeDuration(BigInt(waitMs) * 1_000_000n).block();
      }
    }
  }

  // One attempt: the body, behind at most five redirects. The host refuses an origin that is not granted.
  #follow(from) {
    let url = from;
    for (let redirects = 0; redirects <= REDIRECTS_MAX; redirects++) {
      const response = send(url);
      this.began ??= Math.min(httpDate(header(response, 'date')) ?? Infinity, Number(time().seconds) * 1000);
      const status = response.status();
      const location = resolve(url, header(response, 'location'));
      if (status === 200) return read(response, url);
      if ([301, 302, 303, 307, 308].includes(status) && location) {
        url = location;
        continue;
      }
      const answered = (tag) => failure(tag, `${place(url)} answered ${status}`, status, retryAfter(response));
      if ([408, 425, 429].includes(status) || status >= 500) throw new Passing(answered('unavailable'));
      if (status === 401 || status === 403) throw answered('denied');
      throw answered(status >= 400 ? 'refused' : 'protocol');
    }
    throw failure('protocol', `${place(url)} is behind more than ${REDIRECTS_MAX} redirects`);
  }
}

// The head of the answer.
function send(url) {
  const request = new OutgoingRequest(new Fields());
  try {
    const { protocol, host, pathname, search } = new URL(url);
    if (!['http:', 'https:'].includes(protocol)) throw new Error(protocol);
    request.setScheme({ tag: protocol === 'http:' ? 'HTTP' : 'HTTPS' });
    request.setAuthority(host);
    request.setPathWithQuery(pathname + search);
  } catch {
    throw failure('protocol', `${place(url)} is not a URL`);
  }
  let future;
  try {
    future = handle(request, undefined);
  } catch (error) {
    throw notAnswered(url, error.payload ?? error);
  }
  future.subscribe().block();
  const answer = future.get().val; // It is ready, and read once.
  if (answer.tag === 'ok') return answer.val;
  throw notAnswered(url, answer.val);
}

// The whole body. A body that was cut off is an error: never a shorter page.
function read(response, url) {
  const stream = response.consume().stream();
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  const parts = [];
  for (let size = 0; size <= PAGE_BYTES_MAX; ) {
    let chunk;
    try {
      chunk = stream.blockingRead(262144n);
    } catch (error) {
      if ((error.payload ?? error).tag !== 'closed') {
        throw new Passing(failure('protocol', `the answer of ${place(url)} was cut off`));
      }
      return text(url, () => parts.join('') + utf8.decode());
    }
    size += chunk.length;
    parts.push(text(url, () => utf8.decode(chunk, { stream: true })));
  }
  throw failure('protocol', `${place(url)} is larger than ${PAGE_BYTES_MAX} bytes`);
}

function text(url, decode) {
  try {
    return decode();
  } catch {
    throw failure('protocol', `${place(url)} is not UTF-8`);
  }
}

// Why there is no answer: refused by the host, or the network.
function notAnswered(url, code) {
  if (code.tag === 'HTTP-request-denied') return failure('denied', `${place(url)} is not granted`);
  return new Passing(failure('unavailable', `no answer from ${place(url)}: ${code.tag}`));
}

// The URL that a link means. Nothing where there is no link, or it is no URL.
export function resolve(base, link) {
  try {
    return link && new URL(link, base).href;
  } catch {
    return undefined;
  }
}

// How many seconds an answer asks to wait: it names them, or a time by the source's clock.
function retryAfter(response) {
  const asked = header(response, 'retry-after') ?? '';
  if (/^\d{1,9}$/.test(asked)) return BigInt(asked);
  const until = httpDate(asked);
  const now = httpDate(header(response, 'date')) ?? Number(time().seconds) * 1000;
  return until === undefined ? undefined : BigInt(Math.max(0, until - now) / 1000);
}

// A time as HTTP writes it, `Fri, 27 Nov 2026 16:00:00 GMT`, in milliseconds since 1970.
function httpDate(text) {
  const time = text?.endsWith(' GMT') ? Date.parse(text) : NaN;
  return Number.isNaN(time) ? undefined : time;
}

function header(response, name) {
  const [value] = response.headers().get(name);
  return value && new TextDecoder().decode(value);
}
