"""CSV as it comes over the network: lines, the header, rows. Nothing of it is kept in memory but one row.

Knows nothing of HTTP or of tidegate. What is no CSV raises `Broken`, whose text begins with the line.
"""

import codecs
import csv
from collections.abc import Iterator
from typing import BinaryIO

DELIMITERS = {"comma": ",", "semicolon": ";", "tab": "\t", "pipe": "|"}
# The codecs by name. They are looked up here because a component finds none later. Bytes below 128 are ASCII in each.
ENCODINGS = {name: codecs.lookup(name) for name in ("utf-8", "latin-1", "windows-1252")}
# A line, and a cell, which can have several lines. A quote that is never closed ends here and not in memory.
LINE_BYTES_MAX = CELL_CHARS_MAX = 1024 * 1024

csv.field_size_limit(CELL_CHARS_MAX)


class Broken(Exception):
    """The file is not the CSV that it should be."""


class Table:
    """The names of the columns, which are read at once, and the rows."""

    def __init__(self, body: BinaryIO, delimiter: str, encoding: str, columns: list[str] | None):
        self.reader = csv.reader(lines(body, encoding), delimiter=DELIMITERS[delimiter], strict=True)
        self.columns = columns or header(self.reader, delimiter)

    def rows(self) -> Iterator[tuple[int, list[str]]]:
        """The line in which a row begins, and its cells. Empty lines are none."""
        while True:
            line = self.reader.line_num + 1
            row = next_row(self.reader)
            if row is None:
                return
            if row:
                yield line, row


def lines(body: BinaryIO, encoding: str) -> Iterator[str]:
    number = 0
    while line := body.readline(LINE_BYTES_MAX + 1):
        number += 1
        if number == 1:
            if line.startswith(codecs.BOM_UTF8) and encoding != "utf-8":
                raise Broken(f"line 1: begins with the mark of UTF-8, and SOURCE_CSV_ENCODING is {encoding}")
            line = line.removeprefix(codecs.BOM_UTF8)
            if line.lstrip()[:1] == b"<":
                raise Broken("line 1: begins with `<`: this is HTML or XML")
        if len(line) > LINE_BYTES_MAX:
            raise Broken(f"line {number}: is longer than {LINE_BYTES_MAX} bytes")
        if b"\0" in line:
            raise Broken(f"line {number}: has a NUL byte: this is no text, or UTF-16")
        try:
            yield ENCODINGS[encoding].decode(line)[0]
        except UnicodeDecodeError as error:
            byte = line[error.start]
            raise Broken(f"line {number}: has the byte 0x{byte:02x}, which is not {encoding}") from error


def next_row(reader) -> list[str] | None:
    """None at the end of the file."""
    line = reader.line_num + 1
    try:
        return next(reader, None)
    except csv.Error as error:
        problem = str(error)
        if problem == "unexpected end of data":
            problem = "a quote is opened and never closed"
        elif problem.startswith("new-line character"):
            problem = "has a carriage return that ends no line: lines end with LF or CR LF"
        elif problem.startswith("field larger"):
            problem = f"a cell has more than {CELL_CHARS_MAX} characters, or a quote is never closed"
        raise Broken(f"line {line}: {problem}") from error


def header(reader, delimiter: str) -> list[str]:
    names = next_row(reader)
    if names is None:
        raise Broken("the file is empty: it has no header")
    if not names:
        raise Broken("line 1: is empty, and the header is expected there")
    for number, name in enumerate(names, 1):
        if not name.strip():
            raise Broken(f"line 1: column {number} has no name")
        if name in names[: number - 1]:
            raise Broken(f"line 1: two columns have the name `{name}`")
    if len(names) == 1:
        for other, sign in DELIMITERS.items():
            if sign in names[0]:
                raise Broken(f"line 1: is one column for the delimiter {delimiter}: set SOURCE_CSV_DELIMITER={other}")
    return names
