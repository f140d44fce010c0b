"""A connector of tidegate: fetches the items of an API page by page, and stages those that changed.

This file is yours: the settings, the pages, what a record is, the cursor. `source.py` makes requests, with retries and
redirects, and does not know your API.
"""

import json
import os
from datetime import datetime, timedelta, timezone
from json.encoder import encode_basestring as quoted
from urllib.parse import urlencode

from componentize_py_types import Err
from wit_world import exports
from wit_world.exports.job import (
    Description,
    Extent,
    Failure_Output,
    Failure_Protocol,
    Failure_Settings,
    Problem,
    Report,
    Request,
    Setting,
    Staging,
    Window,
)

import source

# The version of the state that this connector writes. Raise it when the meaning of the state changes.
STATE_VERSION = 1
# How far before the greatest change time seen the next run asks again: rows that the source committed late, or with the
# very same time, are not lost. The host merges what is fetched twice by PRIMARY_KEY.
LOOKBACK = timedelta(minutes=5)


class Job(exports.Job):
    def describe(self) -> Description:
        return Description(
            name="new-connector",
            version="0.1.0",
            summary="Fetches the items of an API",
            # Here: your settings. `os.environ` has their values.
            settings=[
                Setting(
                    name="SOURCE_API_URL",
                    doc="URL of the first page",
                    required=True,
                    secret=False,
                    shapes_records=True,  # After a change, old and new records may not fit together.
                    stages=Staging(0),
                    default=None,
                    example="https://api.example.com/items",
                ),
                optional("MAX_RETRIES", "Retries of a request", source.RETRIES),
                optional("RETRY_PAUSE", "Pause before the first retry", source.PAUSE),
            ],
            # Here: `| Staging.DELETIONS` if your connector writes deleted.ndjson.
            stages=Staging.CHANGES,
        )

    def run(self, request: Request) -> Report:
        try:
            with open("/out/records.ndjson", "w", encoding="utf-8", errors="backslashreplace", newline="\n") as file:
                return fetch(request, file)
        except OSError as error:
            raise Err(Failure_Output(source.detail(f"cannot write records.ndjson: {error}"))) from error


def fetch(request: Request, file) -> Report:
    api = source.Source.from_settings()
    cursor = read_state(request.state, request.full_refresh)
    greatest, pages, count = cursor, 0, 0
    url, asked = first_url(request.window, cursor), set()
    while url:
        if url in asked:
            raise protocol(url, "is named as the next page, and was read already")
        asked.add(url)
        items, link = read_page(api.get(url), url)
        for item in items:  # Page by page: memory holds one of them.
            changed = updated(item, url)
            greatest = max(greatest, changed) if greatest else changed
            file.write(line(item, url))
        count += len(items)
        pages += 1
        url = source.linked(url, link) if link else None

    # A cursor is never past the time of the first answer: rows that change while this run reads pages are asked for again,
    # and a row dated 2099 does not hide those that come later.
    reached = min(greatest, api.began) if greatest else None
    # A window is read again; where the job is does not change.
    state = request.state if request.window and request.state else write_state(None if request.window else reached)
    return Report(
        extent=Extent.CHANGES if cursor or request.window else Extent.EVERYTHING,
        state=state,
        cursor=text(reached) if reached else None,
        pages=pages,
        fetched=count,
        staged=count,
        deleted=0,
        rejected=0,
        more=False,
    )


def first_url(window: Window | None, cursor: datetime | None) -> str:
    """Here: how your API is asked for what changed."""
    url = os.environ["SOURCE_API_URL"]
    if window:
        query = {"since": window.start, "until": window.end}
    elif cursor:
        query = {"since": text(cursor - LOOKBACK)}
    else:
        return url
    return url + ("&" if "?" in url else "?") + urlencode(query)


class Number(float):
    """A number that Python would write with other digits, such as 1.10 or 1e400: it keeps its own."""

    text: str

    @classmethod
    def read(cls, text: str) -> float:
        number = cls(text)
        number.text = text
        return float(number) if repr(float(number)) == text else number


def read_page(body: bytes, url: str) -> tuple[list, str | None]:
    """Here: the records of a page, and where the next one is. None on the last page."""
    try:
        page = json.loads(body, parse_float=Number.read)
    except (ValueError, RecursionError) as error:
        raise protocol(url, f"is not JSON: {error}") from error
    if not isinstance(page, dict) or not isinstance(page.get("items"), list):
        raise protocol(url, "is not a page: it has no list `items`")
    # An answer without this member is no page, so it cannot be the last one.
    if "next" not in page or not isinstance(page["next"], str | None):
        raise protocol(url, "is not a page: `next` is not a URL or null")
    return page["items"], page["next"]


def updated(item, url: str) -> datetime:
    """Here: when a record changed. Raise for a record that you cannot use."""
    try:
        changed = datetime.fromisoformat(item["updated"])
        return changed.astimezone(timezone.utc)
    except (TypeError, KeyError, ValueError, OverflowError) as error:
        raise protocol(url, f"has an item without a time `updated`: {error!r}") from error


def line(item, url: str) -> str:
    """Here: what is published of a record. Numbers keep their digits."""
    try:
        return written(item) + "\n"
    except ValueError as error:
        raise protocol(url, f"has an item that cannot be written: {error}") from error


LITERALS = {True: "true", False: "false", None: "null"}


def written(value) -> str:
    """As `json.dumps`, with numbers as they were read."""
    match value:
        case dict():
            return "{" + ",".join([f"{quoted(name)}:{written(member)}" for name, member in value.items()]) + "}"
        case list():
            return "[" + ",".join([written(element) for element in value]) + "]"
        case str():
            return quoted(value)
        case Number():
            return value.text
        case bool() | None:
            return LITERALS[value]
        case int():
            return str(value)
    return json.dumps(value, allow_nan=False)


def read_state(state: str | None, full_refresh: bool) -> datetime | None:
    """The cursor of the last run. A state of a newer version is refused: this connector would misread it."""
    if state is None:
        return None
    try:
        read = json.loads(state)
        version, cursor = read["v"], read["cursor"]
        if version > STATE_VERSION:
            problem = f"has version {version}, this connector reads up to {STATE_VERSION}"
        elif full_refresh:
            return None
        else:
            return datetime.fromisoformat(cursor) if cursor else None
    except (TypeError, KeyError, ValueError) as error:
        if full_refresh:
            return None
        problem = f"cannot be read ({error!r}): run once with `--full-refresh`"
    raise Err(Failure_Settings([Problem("state", problem)]))


def write_state(cursor: datetime | None) -> str:
    return json.dumps({"v": STATE_VERSION, "cursor": text(cursor) if cursor else None})


def text(time: datetime) -> str:
    return time.isoformat().replace("+00:00", "Z")


def protocol(url: str, problem: str) -> Err:
    return Err(Failure_Protocol(source.detail(f"{source.place(url)} {problem}")))


def optional(name: str, doc: str, default: str) -> Setting:
    return Setting(name, doc, False, False, False, Staging(0), default, None)
