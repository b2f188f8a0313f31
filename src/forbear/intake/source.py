"""Reads CSV and Parquet as rows of text with their numbers, having first checked that the file is whole.

A CSV row's number is that of its line in the file's table, the heading being row 1.
"""

import codecs
import csv
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path

from forbear.intake.errors import IntakeError

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
                    yield Row(number, {name: "" if value is None else str(value) for name, value in fields.items()})
            return
        with self.path.open(encoding=self.encoding, newline="") as lines:
            reader = csv.reader(lines, strict=True)
            next(reader)
            for number, values in enumerate(reader, start=2):
                whole = len(values) == len(self.columns)
                yield Row(number, dict(zip(self.columns, values, strict=True)) if whole else None)


def open_source(path: Path) -> Source:
    """Check a file from end to end. Raises IntakeError; nothing is written here."""
    if not path.is_file():
        raise IntakeError(f"{path}: there is no such file.")
    with path.open("rb") as raw:
        head = raw.read(4)
        raw.seek(0)
        digest = file_digest(raw, "sha256").hexdigest()
    if not head:
        raise IntakeError(f"{path}: the file is empty.")
    if head == b"PAR1" or path.suffix == ".parquet":
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            found = pq.ParquetFile(path)
        except (pa.ArrowException, OSError):
            raise IntakeError(f"{path}: is no whole Parquet file; it may be cut. Fetch it again.") from None
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
                    decoder.decode(block)
                    done += len(block)
                decoder.decode(b"", final=True)
        except UnicodeDecodeError as error:
            worst = max(worst, done + error.start)
            continue
        return name
    raise IntakeError(
        f"{path}: byte {worst} is neither UTF-8 nor GB18030. Save the file as UTF-8, or fetch it again if it is cut."
    )


def _scan(path: Path, encoding: str) -> tuple[tuple[str, ...], int]:
    rows, last = 0, 0
    with path.open(encoding=encoding, newline="") as lines:
        reader = csv.reader(lines, strict=True)
        try:
            columns = tuple(name.strip() for name in next(reader))
            for values in reader:
                rows, last = rows + 1, len(values)
        except StopIteration:
            raise IntakeError(f"{path}: the file is empty.") from None
        except csv.Error as error:
            raise IntakeError(
                f"{path}: row {rows + 2}: {error}; a quote is not closed, or the file is cut. Fetch it again."
            ) from None
    if len(set(columns)) != len(columns):
        raise IntakeError(f"{path}: the heading names a column twice. Give each column its own name.")
    if rows and last < len(columns):
        raise IntakeError(f"{path}: the last row has {last} of {len(columns)} fields: the file is cut. Fetch it again.")
    return columns, rows
