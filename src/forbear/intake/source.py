"""Reads CSV and Parquet as rows of text with their numbers, having first checked that the file is whole.

A CSV row's number is that of its line in the file's table, the heading being row 1.
"""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from os import SEEK_END
from pathlib import Path

from forbear.intake.errors import IntakeError
from forbear.locale import N_

#: In the order in which they are tried; what is valid UTF-8 is hardly ever anything else.
_ENCODINGS = ("utf-8-sig", "gb18030")
_BLOCK = 1 << 20


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a source: its number, its fields by column name, or None where its fields don't fit the heading."""

    number: int
    fields: dict[str, str] | None


@dataclass(frozen=True, slots=True)
class Source:
    """A file found whole: its columns, how many rows it holds, how it is encoded (Parquet: None)."""

    path: Path
    columns: tuple[str, ...]
    rows: int
    encoding: str | None
    sha256: str

    def read(self) -> Iterator[Row]:
        """The rows in order."""
        if self.encoding is None:
            import pyarrow.parquet as pq  # here, so that who reads a CSV need not wait for it

            number = 1
            for batch in pq.ParquetFile(self.path).iter_batches():
                for fields in batch.to_pylist():
                    number += 1
                    yield Row(number, {name: _text(value) for name, value in fields.items()})
            return
        with self.path.open(encoding=self.encoding, newline="") as lines:
            reader = csv.reader(lines, strict=True)
            next(reader)
            for number, values in enumerate(reader, start=2):
                if not values:
                    continue  # an empty line is no row
                whole = len(values) == len(self.columns)
                yield Row(number, dict(zip(self.columns, values, strict=True)) if whole else None)


def _text(value: object) -> str:
    # PostgreSQL holds no NUL; in its place stands the sign for what can't be read.
    return "" if value is None else str(value).replace("\0", "\ufffd")


def open_source(path: Path) -> Source:
    """Check a file from end to end. Raises IntakeError; nothing is written here."""
    if path.is_dir():
        raise IntakeError(N_("%(path)s: is a folder. Name one file."), path=path)
    if not path.is_file():
        raise IntakeError(N_("%(path)s: there is no such file."), path=path)
    with path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(0)
        digest = file_digest(raw, "sha256").hexdigest()
    if not head:
        raise IntakeError(N_("%(path)s: the file is empty."), path=path)
    if head == b"PAR1" or path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.ParquetFile(path)
        except (pa.ArrowException, OSError):
            raise IntakeError(
                N_("%(path)s: is no whole Parquet file; it may be cut. Fetch it again."), path=path
            ) from None
        return Source(path, tuple(found.schema_arrow.names), found.metadata.num_rows, None, digest)
    encoding = _encoding(path)
    columns, rows = _scan(path, encoding)
    return Source(path, columns, rows, encoding, digest)


def _encoding(path: Path) -> str:
    worst = 0
    for name in _ENCODINGS:
        decoder = codecs.getincrementaldecoder(name)()
        done = 0
        try:
            with path.open("rb") as raw:
                while block := raw.read(_BLOCK):
                    if (at := block.find(0)) >= 0:
                        raise IntakeError(
                            N_("%(path)s: byte %(byte)s is NUL, so it is no text in UTF-8. Save the file as UTF-8."),
                            path=path,
                            byte=done + at,
                        )
                    decoder.decode(block)
                    done += len(block)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            worst = max(worst, done + error.start)
            continue
        return name
    raise IntakeError(
        N_(
            "%(path)s: byte %(byte)s is neither UTF-8 nor GB18030. Save the file as UTF-8, or fetch it again if it is"
            " cut."
        ),
        path=path,
        byte=worst,
    )


def _scan(path: Path, encoding: str) -> tuple[tuple[str, ...], int]:
    rows, last, line = 0, 0, 1
    with path.open(encoding=encoding, newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            columns = tuple(name.strip() for name in next(reader))
            for values in reader:
                line += 1
                if values:
                    rows, last = rows + 1, len(values)
        except StopIteration:
            raise IntakeError(N_("%(path)s: the file is empty."), path=path) from None
        except csv.Error:
            raise IntakeError(
                N_("%(path)s: row %(row)s: a quote is not closed, or the file is cut. Fetch it again."),
                path=path,
                row=line + 1,
            ) from None
    if len(set(columns)) != len(columns):
        raise IntakeError(N_("%(path)s: the heading names a column twice. Give each column its own name."), path=path)
    if rows and last < len(columns):
        raise IntakeError(
            N_("%(path)s: the last row has %(some)s of %(all)s fields: the file is cut. Fetch it again."),
            path=path,
            some=last,
            all=len(columns),
        )
    with path.open("rb") as raw:
        raw.seek(-1, SEEK_END)
        if raw.read(1) not in b"\r\n":
            # 1328.56 that was cut to 13 is a good number, so what is not surely whole is not taken.
            raise IntakeError(
                N_(
                    "%(path)s: the last row has no end of line, so it can't be told whether the file is cut. Fetch it"
                    " again; if it is whole, add an end of line."
                ),
                path=path,
            )
    return columns, rows
