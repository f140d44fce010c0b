"""Requests: GET with retries and redirects. The host adds the credential, and refuses what it does not grant."""

import os
import random
import re
import sys
import time
from collections.abc import Iterator
from contextlib import closing
from datetime import datetime, timezone
from email.utils import parsedate_to_datetime
from math import ceil
from typing import NamedTuple
from urllib.parse import urljoin, urlsplit

from componentize_py_types import Err, Ok
from wit_world.exports.job import (
    Detail,
    Failure_Denied,
    Failure_Protocol,
    Failure_Refused,
    Failure_Settings,
    Failure_Unavailable,
    Problem,
)
from wit_world.imports import outgoing_handler
from wit_world.imports.streams import StreamError_Closed
from wit_world.imports.wasi_http_types import (
    ErrorCode_HttpRequestDenied,
    Fields,
    IncomingResponse,
    OutgoingRequest,
    Scheme_Http,
    Scheme_Https,
)

# Defaults of MAX_RETRIES and RETRY_PAUSE.
RETRIES, PAUSE = "3", "2s"

REDIRECTS_MAX = 5
# A page is held in memory, as text and as objects. MEMORY_LIMIT has to hold both.
PAGE_BYTES_MAX = 16 * 1024 * 1024
# If the source asks for a longer wait, the next scheduled run is the better retry.
RETRY_AFTER_SECONDS_MAX = 300


class Passing(Exception):
    """The next attempt may work. Carries the failure to report if it does not."""


class Answer(NamedTuple):
    """An answer that a connector can use."""

    url: str  # Behind all redirects.
    status: int  # 200, or 304 where the request had a condition.
    headers: dict[str, str]  # By their names in lower case; the first of each.
    response: IncomingResponse

    def pieces(self) -> Iterator[bytes]:
        """The body as it comes. A body that was cut off is an error: never a shorter one."""
        with self.response, self.response.consume() as incoming, incoming.stream() as stream:
            while True:
                try:
                    piece = stream.blocking_read(256 * 1024)
                except Err as error:
                    if isinstance(error.value, StreamError_Closed):
                        return
                    cut_off = Failure_Protocol(detail(f"the answer of {place(self.url)} was cut off"))
                    raise Passing(cut_off) from error
                yield piece


def no_headers(url: str) -> dict[str, str]:
    return {}


class Source:
    """Makes requests, and tries again as often as the settings say."""

    def __init__(self, retries: int, pause: float):
        self.retries, self.pause = retries, pause
        # The time of the source's first answer: its `Date`, or this machine's time where that is earlier or there is no
        # `Date`. A row that changes later may be missing on pages that were read already.
        self.began: datetime | None = None

    @classmethod
    def from_settings(cls) -> "Source":
        """Raises all settings that cannot be used."""
        retries = os.environ.get("MAX_RETRIES") or RETRIES
        pause = re.fullmatch(r"(\d+)(ms|s|m)", os.environ.get("RETRY_PAUSE") or PAUSE)
        problems = []
        if not retries.isdecimal():
            problems.append(Problem("MAX_RETRIES", "is not a number"))
        if not pause:
            problems.append(Problem("RETRY_PAUSE", "is not a time such as `2s`"))
        if problems:
            raise Err(Failure_Settings(problems))
        return cls(int(retries), int(pause[1]) * {"ms": 0.001, "s": 1, "m": 60}[pause[2]])

    def get(self, url: str) -> bytes:
        """The whole body of the answer. What may pass is tried again."""
        return self.tried(lambda: read(self.follow(url)))

    def tried(self, attempt):
        """What `attempt` returns. Where it raises what may pass, it is made again, from its beginning."""
        for count in range(self.retries + 1):
            try:
                return attempt()
            except Passing as passing:
                failure = passing.args[0]
            asked = failure.value.retry_after_seconds
            if count == self.retries or (asked or 0) > RETRY_AFTER_SECONDS_MAX:
                break
            # 1, 5, 20, 20 … times the pause, and up to a quarter more: not all jobs come back at once.
            backoff = self.pause * (1, 5, 20)[min(count, 2)]
            wait = (backoff if asked is None else asked) + random.uniform(0, backoff / 4)
            log(f"warn: {failure.value.message}; trying again in {wait:.3f} s")
            time.sleep(wait)
        raise Err(failure)

    def follow(self, url: str, accept: str = "application/json", conditions=no_headers) -> Answer:
        """One attempt: the answer behind at most five redirects. The host refuses an origin that is not granted.

        `conditions` gives the headers by which a URL is asked for what changed only.
        """
        for _ in range(REDIRECTS_MAX + 1):
            conditional = conditions(url)
            response = send(url, {"accept": accept, **conditional})
            if self.began is None:
                now = datetime.now(timezone.utc)
                self.began = min(http_date(header(response, "date")) or now, now)
            status, location = response.status(), header(response, "location")
            if status == 200 or (status == 304 and conditional):
                return Answer(url, status, headers(response), response)
            if status in (301, 302, 303, 307, 308) and location:
                url = linked(url, location)
                continue
            answered = Detail(f"{place(url)} answered {status}", status, retry_after(response))
            if status in (408, 425, 429) or status >= 500:
                raise Passing(Failure_Unavailable(answered))
            if status in (401, 403):
                raise Err(Failure_Denied(answered))
            raise Err(Failure_Refused(answered) if status >= 400 else Failure_Protocol(answered))
        raise Err(Failure_Protocol(detail(f"{place(url)} is behind more than {REDIRECTS_MAX} redirects")))


def linked(url: str, link: str) -> str:
    """Where a link leads that an answer of `url` has."""
    try:
        return urljoin(url, link)
    except ValueError as error:
        raise Err(Failure_Protocol(detail(f"{place(url)} links to what is not a URL"))) from error


def send(url: str, fields: dict[str, str]) -> IncomingResponse:
    """The head of the answer."""
    try:
        parts = urlsplit(url)
        scheme = {"http": Scheme_Http(), "https": Scheme_Https()}[parts.scheme]
        headers = Fields.from_list([(name, value.encode("ascii")) for name, value in fields.items()])
        request = OutgoingRequest(headers)
        request.set_scheme(scheme)
        request.set_authority(parts.netloc)
        request.set_path_with_query((parts.path or "/") + ("?" + parts.query if parts.query else ""))
    except (KeyError, ValueError, Err) as error:
        raise Err(Failure_Protocol(detail(f"{place(url)} is not a URL"))) from error
    try:
        future = outgoing_handler.handle(request, None)
    except Err as error:
        raise not_answered(url, error.value) from error
    with future, future.subscribe() as ready:
        ready.block()
        answer = future.get().value  # It is ready, and read once.
    if isinstance(answer, Ok):
        return answer.value
    raise not_answered(url, answer.value)


def read(answer: Answer) -> bytes:
    """The whole body."""
    body = bytearray()
    with closing(answer.pieces()) as pieces:
        for piece in pieces:
            body += piece
            if len(body) > PAGE_BYTES_MAX:
                raise Err(Failure_Protocol(detail(f"{place(answer.url)} is larger than {PAGE_BYTES_MAX} bytes")))
    return bytes(body)


def not_answered(url: str, code) -> Exception:
    """Why there is no answer: refused by the host, or the network."""
    if isinstance(code, ErrorCode_HttpRequestDenied):
        return Err(Failure_Denied(detail(f"{place(url)} is not granted")))
    return Passing(Failure_Unavailable(detail(f"no answer from {place(url)}: {type(code).__name__}")))


def retry_after(response: IncomingResponse) -> int | None:
    """How many seconds an answer asks to wait: it names them, or a time by the source's clock."""
    asked = header(response, "retry-after") or ""
    if re.fullmatch("[0-9]{1,9}", asked):
        return int(asked)
    until, now = http_date(asked), http_date(header(response, "date")) or datetime.now(timezone.utc)
    return max(0, ceil((until - now).total_seconds())) if until else None


def header(response: IncomingResponse, name: str) -> str | None:
    with response.headers() as headers:
        values = headers.get(name)
    return values[0].decode("ascii", "replace") if values else None


def headers(response: IncomingResponse) -> dict[str, str]:
    with response.headers() as fields:
        entries = fields.entries()
    return {name.lower(): value.decode("ascii", "replace") for name, value in reversed(entries)}


def http_date(text: str | None) -> datetime | None:
    """A time as HTTP writes it: `Fri, 27 Nov 2026 16:00:00 GMT`."""
    try:
        return parsedate_to_datetime(text).astimezone(timezone.utc) if text else None
    except (ValueError, OverflowError):
        return None


def place(url: str) -> str:
    """A URL as it may be shown: its query can hold what is private."""
    return re.split("[?#]", url)[0]


def detail(message: str) -> Detail:
    """Why a run failed: lower case, no full stop, no secret."""
    return Detail(message, None, None)


def log(line: str) -> None:
    """One line of the run's log. A line that begins with `warn: ` is a warning."""
    print(line, file=sys.stderr)
