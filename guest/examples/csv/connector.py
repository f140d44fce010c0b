"""A connector of tidegate: publishes the rows of a CSV file that is fetched over HTTP.

Each run reads the whole file. While the server answers 304 (not modified), there is nothing new and nothing is read.
`rows.py` reads CSV, `source.py` makes requests.
"""

import csv
import hashlib
import io
import json
import os
from contextlib import closing
from datetime import timedelta
from pathlib import Path

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
)

import rows
import source

VERSION = "0.1.0"
# The version of the state that this connector writes. Raise it when the meaning of the state changes.
STATE_VERSION = 1
# A server that answers with such a page has no CSV.
OTHER_TYPES = {"text/html", "application/xhtml+xml", "application/json", "application/xml", "text/xml"}
# Read at build time, when componentize-py imports this file. A changed connector reads an unchanged file again.
CODE = hashlib.sha256(b"".join(file.read_bytes() for file in sorted(Path(__file__).parent.glob("*.py")))).hexdigest()
# Longer ones are not kept.
VALIDATOR_CHARS_MAX = 1024
# Last-Modified counts whole seconds. A file that is younger may change again within the same second.
SETTLED = timedelta(seconds=60)


class Job(exports.Job):
    def describe(self) -> Description:
        return Description(
            name="csv",
            version=VERSION,
            summary="Fetches a CSV file, and publishes its rows as texts by the names of the columns",
            settings=[
                setting("SOURCE_API_URL", "URL of the file", example="https://data.example.com/stations.csv"),
                setting(
                    "SOURCE_CSV_DELIMITER", "What separates cells: `comma`, `semicolon`, `tab` or `pipe`", "comma"
                ),
                setting(
                    "SOURCE_CSV_COLUMNS",
                    "Names of the columns, comma-separated, for a file without a header",
                    example="id,name,price",
                ),
                setting("SOURCE_CSV_ENCODING", "`utf-8`, `latin-1` or `windows-1252`", "utf-8"),
                setting("SOURCE_CSV_EMPTY", "What an empty cell is published as: `text` (\"\") or `null`", "text"),
                setting("MAX_RETRIES", "Retries of a request", source.RETRIES),
                setting("RETRY_PAUSE", "Pause before the first retry", source.PAUSE),
            ],
            # Each run stages all rows there are.
            stages=Staging(0),
        )

    def run(self, request: Request) -> Report:
        if request.window:
            raise Err(Failure_Settings([Problem("--from", "cannot be used: a CSV file is always read whole")]))
        settings = Settings()
        state = State.read(request.state, request.full_refresh)
        try:
            return settings.api.tried(lambda: fetch(settings, state))
        except OSError as error:
            raise Err(Failure_Output(source.detail(f"cannot write to /out: {error}"))) from error


class Settings:
    """Raises all that cannot be used, at once."""

    def __init__(self):
        problems = []
        try:
            self.api = source.Source.from_settings()
        except Err as error:
            problems += error.value.value
        self.url = os.environ["SOURCE_API_URL"]
        self.delimiter = one_of("SOURCE_CSV_DELIMITER", rows.DELIMITERS, problems)
        self.encoding = one_of("SOURCE_CSV_ENCODING", rows.ENCODINGS, problems)
        self.empty = one_of("SOURCE_CSV_EMPTY", ["text", "null"], problems)
        names = os.environ.get("SOURCE_CSV_COLUMNS")
        try:
            self.columns = next(csv.reader([names], strict=True)) if names else None
        except csv.Error as error:
            self.columns = None
            problems.append(Problem("SOURCE_CSV_COLUMNS", f"is not one line of CSV: {error}"))
        if self.columns and (not all(self.columns) or len(set(self.columns)) < len(self.columns)):
            problems.append(Problem("SOURCE_CSV_COLUMNS", "has a name that is empty, or two that are equal"))
        if problems:
            raise Err(Failure_Settings(problems))

    def hash(self, answered: str) -> str:
        """Equal for equal requests that give equal records. No URL is kept: its query can hold what is private."""
        shaping = [CODE, self.url, answered, self.delimiter, self.encoding, self.empty, self.columns]
        return hashlib.sha256(json.dumps(shaping).encode()).hexdigest()


class State:
    """When the file was changed, and what the server is asked by whether it changed again."""

    def __init__(self, changed: str | None = None, seen: dict | None = None):
        self.changed, self.seen = changed, seen

    @classmethod
    def read(cls, text: str | None, full_refresh: bool) -> "State":
        """A state of a newer version is refused: this connector would misread it."""
        if text is None:
            return cls()
        try:
            read = json.loads(text)
            if read["v"] > STATE_VERSION:
                problem = f"has version {read['v']}, this connector reads up to {STATE_VERSION}"
            elif full_refresh:
                return cls()
            else:
                return cls(read["changed"], read["seen"])
        except (TypeError, KeyError, ValueError) as error:
            if full_refresh:
                return cls()
            problem = f"cannot be read ({error!r}): run once with `--full-refresh`"
        raise Err(Failure_Settings([Problem("state", problem)]))

    @classmethod
    def of(cls, answer: source.Answer, settings: Settings, is_whole: bool) -> "State":
        """What the next run has to know of this answer. A run that left rows out is always made again."""
        etag, modified = answer.headers.get("etag"), answer.headers.get("last-modified")
        changed, now = source.http_date(modified), source.http_date(answer.headers.get("date"))
        if not (changed and now and now - changed >= SETTLED):
            modified = None
        conditions = {"if-none-match": etag, "if-modified-since": modified}
        conditions = {name: value for name, value in conditions.items() if is_validator(value)}
        seen = {"hash": settings.hash(source.place(answer.url)), "conditions": conditions}
        return cls(
            changed.isoformat().replace("+00:00", "Z") if changed else None, seen if conditions and is_whole else None
        )

    def conditions(self, url: str, settings: Settings) -> dict[str, str]:
        """Only the address that gave them is asked with them, and only with the same settings."""
        is_same = self.seen and self.seen["hash"] == settings.hash(source.place(url))
        return self.seen["conditions"] if is_same else {}

    def text(self) -> str:
        return json.dumps({"v": STATE_VERSION, "changed": self.changed, "seen": self.seen})


def fetch(settings: Settings, state: State) -> Report:
    """One attempt. Whatever an earlier one staged is written over."""
    answer = settings.api.follow(settings.url, "text/csv, */*;q=0.5", lambda url: state.conditions(url, settings))
    if answer.status == 304:
        return report(Extent.NOTHING_NEW, state, 0, 0)
    type = answer.headers.get("content-type", "").split(";")[0].strip().lower()
    if type in OTHER_TYPES:
        raise protocol(answer, f"is {type}, not CSV")
    if answer.headers.get("tidegate-end") == "unknown":
        raise protocol(answer, "does not say where it ends, so half of it looks whole: use https, or send Content-Length")
    try:
        with closing(answer.pieces()) as pieces, io.BufferedReader(Body(pieces), 64 * 1024) as body:
            table = rows.Table(body, settings.delimiter, settings.encoding, settings.columns)
            staged, rejected = stage(table, settings.empty)
    except rows.Broken as broken:
        raise protocol(answer, f"cannot be read as CSV: {broken}") from broken
    return report(Extent.EVERYTHING, State.of(answer, settings, rejected == 0), staged, rejected)


def stage(table: rows.Table, empty: str) -> tuple[int, int]:
    """How many rows were staged, and how many rejected. MAX_REJECTED decides whether such a run is published."""
    staged = rejected = 0
    columns = table.columns
    with staging("records.ndjson") as records, staging("rejected.ndjson") as rejects:
        for line, cells in table.rows():
            if len(cells) == len(columns):
                if empty == "null":
                    cells = [cell or None for cell in cells]
                records.write(to_line(dict(zip(columns, cells))))
                staged += 1
            else:
                reason = f"line {line}: cells: {len(cells)}, columns: {len(columns)}"
                rejects.write(to_line({"reason": reason, "pointer": "", "record": cells}))
                rejected += 1
    return staged, rejected


class Body(io.RawIOBase):
    """The pieces of a body as a file."""

    def __init__(self, pieces):
        self.pieces, self.rest = pieces, memoryview(b"")

    def readable(self) -> bool:
        return True

    def readinto(self, buffer) -> int:
        while not self.rest:
            piece = next(self.pieces, None)
            if piece is None:
                return 0
            self.rest = memoryview(piece)
        count = min(len(buffer), len(self.rest))
        buffer[:count], self.rest = self.rest[:count], self.rest[count:]
        return count


def report(extent: Extent, state: State, staged: int, rejected: int) -> Report:
    return Report(
        extent=extent,
        state=state.text(),
        # For people and for MAX_CURSOR_AGE: when the file was changed.
        cursor=state.changed,
        pages=1,
        fetched=staged + rejected,
        staged=staged,
        deleted=0,
        rejected=rejected,
        more=False,
    )


def staging(name: str):
    return open(f"/out/{name}", "w", buffering=256 * 1024, encoding="utf-8", newline="\n")


def to_line(value) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")) + "\n"


def is_validator(value: str | None) -> bool:
    return bool(value) and len(value) <= VALIDATOR_CHARS_MAX and value.isascii() and value.isprintable()


def protocol(answer: source.Answer, problem: str) -> Err:
    return Err(Failure_Protocol(source.detail(f"{source.place(answer.url)} {problem}")))


def one_of(name: str, values, problems: list[Problem]) -> str:
    """The value of this setting. The host gives the default."""
    value = os.environ[name]
    if value not in values:
        problems.append(Problem(name, "is not " + " or ".join(f"`{value}`" for value in values)))
    return value


def setting(name: str, doc: str, default: str | None = None, example: str | None = None) -> Setting:
    """Only the URL is required. All but the retries decide what the records are."""
    is_required = name == "SOURCE_API_URL"
    return Setting(name, doc, is_required, False, name.startswith("SOURCE_"), Staging(0), default, example)
