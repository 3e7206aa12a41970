"""CSV and its like: the encoding, the separator, the names, and the records, by Python's strict reader."""

import csv
import io
import re
import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import islice

from dpcloud.data.importing.cells import NATIVE, is_value
from dpcloud.data.importing.files import Part
from dpcloud.data.importing.names import name_columns
from dpcloud.data.importing.options import END, below_the_table
from dpcloud.data.importing.spool import Cells, Records
from dpjobs.errors import InputError

SEPARATORS = {",": "','", ";": "';'", "\t": "tab", "|": "'|'"}
MAX_CELL = 1 << 20
"""Characters of one cell: a quote that is not closed swallows no more."""

_SAMPLE_CHARACTERS, _SAMPLE_RECORDS = 1 << 20, 1000
_CHUNK = 1 << 20
_TOLD = re.compile(r"sep=(.)\r?\n")
_BOMS = {b"\xef\xbb\xbf": "utf-8-sig", b"\xff\xfe": "utf-16", b"\xfe\xff": "utf-16"}
_SHOWN = {
    "utf-8": "UTF-8",
    "utf-8-sig": "UTF-8",
    "utf-16": "UTF-16",
    "cp1252": "Latin-1 (cp1252), as it is not UTF-8 (--encoding where letters look wrong)",
}


@dataclass
class TextRecords(Records):
    """A file of separated cells. Raises InputError where it is no such file, or a guess would be needed."""

    def __post_init__(self) -> None:
        self._encoding = self.options.encoding or encoding_of(self.part)
        with open_text(self.part, self._encoding) as text:
            sample = text.read(_SAMPLE_CHARACTERS)
            if text.read(1):  # its last line may be cut
                sample = sample[: sample.rfind("\n") + 1] or sample
        self._skip = max(0, (self.options.header or 1) - 1)
        if not "".join(sample.splitlines()[self._skip :]).strip():
            raise InputError.of("nothing to read", self.part.name, "a file with a line of names, or rows")
        told = self.options.separator or self._told(sample)
        self._separator = told or self._find_separator(sample)
        if told:
            self._check_row_names(sample, [told])
        self._first: tuple[int, list[str]] = next(self._records(io.StringIO(sample, newline="")), (0, []))
        line, cells = self._first
        named = name_columns(cells, self.options, f"{self.part.name}, line {line}")
        self.names, self.notes, self.unnamed = named.names, named.notes, named.unnamed
        self.separator = self._separator if len(cells) > 1 else None
        self.said += [
            f"encoding {_SHOWN.get(self._encoding, self._encoding)}",
            f"separator {SEPARATORS.get(self.separator, self.separator)}" if self.separator else "one column",
            f"names in line {line}" if named.in_file else "no line of names",
        ]
        self._has_names = named.in_file
        said = {*self.options.number, *self.options.text}
        self._may_hold_blanks = told is not None or len(cells) > 1 or self.names[0] in said

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Give each record's first line and its cells; raises InputError."""
        width, names = len(self.names), self._first[1] if self._has_names else None
        with open_text(self.part, self._encoding) as text:
            records = self._records(text)
            for line, cells in records if self._may_hold_blanks else self._without_blanks(records):
                if cells == names:
                    if line != self._first[0]:  # where files were put one after the other
                        self._tell_once("lines equal to it are left out")
                    continue
                if len(cells) == width:
                    yield line, cells
                elif self.options.lenient:
                    yield line, [""] * width
                    self._tell_once("lines with another number of cells are rows whose cells are all empty")
                else:
                    self._refuse_width(line, len(cells), width, below=below_the_table(_few(records)))

    def _without_blanks(self, records: Iterator[tuple[int, list[str]]]) -> Iterator[tuple[int, list[str]]]:
        """Pass on records of one cell each; raises InputError where blanks seem to separate cells in them.

        `1 101` below `id v` is not the number 1101. Lines of words are one column where their numbers differ.
        """
        named = len(self._first[1][0].split()) if self._has_names else 0
        counts: set[int] = set()
        for line, cells in records:
            parts = [part for cell in cells for part in cell.split()]
            if line != self._first[0] or not self._has_names:
                counts.add(len(parts))
                if min(len(parts), named) > 1 and all(map(is_value, parts)):
                    self._refuse_blanks(f"line {line} holds")
            yield line, cells
        if len(counts) == 1 and max(counts) > 1:
            self._refuse_blanks("every line holds")

    def _refuse_blanks(self, which: str) -> None:
        name = shlex.quote(self.names[0])
        raise InputError(
            f"{self.part.name}: {which} several words, and no other separator is found: --separator space where "
            f"blanks separate cells; where it is one column, --number {name} (blanks between thousands), "
            f"--text {name}, or --separator , (dates and times)"
        )

    def _tell_once(self, said: str) -> None:
        if said not in self.said:
            self.said.append(said)

    def _refuse_width(self, line: int, cells: int, width: int, below: str) -> None:
        raise InputError(
            f"{self.part.name}, line {line}: {cells} cells, where {width} are named; a cell with the separator in it "
            f"must be in quotes, a title above the names takes --header LINE{below}; --lenient keeps such a line as "
            "a row of empty cells"
        )

    def _records(self, text: io.TextIOBase, separator: str | None = None) -> Iterator[tuple[int, list[str]]]:
        """The records that are not blank, from the line of names on, and the line that each begins in."""
        csv.field_size_limit(MAX_CELL)
        for _ in range(self._skip):
            text.readline()
        quote, last = self.options.quote, ""

        def lines() -> Iterator[str]:
            nonlocal last
            for line in text:
                last = line
                yield line

        reader = csv.reader(
            lines(),
            delimiter=separator or self._separator,
            quotechar=quote,
            quoting=csv.QUOTE_NONE if quote is None else csv.QUOTE_MINIMAL,
            strict=True,
            skipinitialspace=True,
        )
        before = 0
        try:
            for cells in reader:
                # a line of "" is a row with an empty cell, which pandas writes where it is the only one
                if cells and (len(cells) > 1 or cells[0].strip() or (quote and quote in last)):
                    yield self._skip + before + 1, cells
                before = reader.line_num
        except csv.Error as error:
            raise InputError(self._quote_error(str(error), self._skip + before + 1)) from None

    def _quote_error(self, said: str, line: int) -> str:
        what = (
            f"a cell is longer than {MAX_CELL:,} characters, or a quote that opens there is not closed"
            if "limit" in said
            else "a quote that opens there is not closed"
            if "unexpected end" in said
            else "after a quote that closes a cell something else follows than the separator"
        )
        return (
            f"{self.part.name}, the record that begins in line {line}: {what}; a quote inside a cell in quotes is "
            "written twice; --quote none reads quotes as plain characters"
        )

    def _told(self, sample: str) -> str | None:
        """The separator that Excel's first line `sep=;` tells; that line is skipped."""
        told = _TOLD.match(sample)
        if told is None or self.options.header == 1:
            return None
        self._skip = max(self._skip, 1)
        return told[1]

    def _find_separator(self, sample: str) -> str:
        widths = {s: self._widths(sample, s) for s in SEPARATORS}
        even = [s for s, found in widths.items() if len(set(found)) == 1 and found[0] > 1]
        if "\t" in even and self.part.name.lower().endswith((".tsv", ".tab")):
            return "\t"
        if len(even) == 1:
            return even[0]
        if len(even) > 1:
            names = " and ".join(SEPARATORS[s] for s in even)
            raise InputError.of(
                f"{names} each give every line the same number of cells",
                self.part.name,
                "--separator and the right one",
            )
        if not any(line.strip() for line in sample.splitlines()[self._skip :]):
            return ","  # nothing to read, which the caller says
        self._check_row_names(sample, [*SEPARATORS, " "])
        if any(widths.values()) and all(set(found) <= {1} for found in widths.values()):
            return ","
        share = {s: found.count(found[0]) / len(found) for s, found in widths.items() if found and found[0] > 1}
        best = [s for s in share if share[s] == max(share.values())]
        if len(best) == 1 and share[best[0]] >= 0.5:
            return best[0]
        raise InputError.of(
            "no separator gives every line the same number of cells",
            self.part.name,
            "--separator and the right one; where a title stands above the names, --header and their line",
        )

    def _check_row_names(self, sample: str, separators: list[str]) -> None:
        """Raise InputError where every line has one cell more than the first, as R writes a table."""
        if self.options.header == 0:
            return
        for separator in separators:
            first, *others = self._sampled(sample, separator) or [[]]
            if " ".join(first) in {*self.options.number, *self.options.text}:  # it is one column
                continue
            named = len(first) > 1 or (separator == " " and sample.startswith('"'))
            if (
                others
                and named
                and {len(cells) for cells in others} == {len(first) + 1}
                and any(c[-1] for c in others)
            ):
                space = "; then --separator space" if separator == " " and not self.options.separator else ""
                raise InputError(
                    f"{self.part.name}: every line has one cell more than there are names: R's row names? put a name "
                    f"before the others in line {self._skip + 1}{space}"
                )

    def _widths(self, sample: str, separator: str) -> list[int]:
        return [len(cells) for cells in self._sampled(sample, separator)]

    def _sampled(self, sample: str, separator: str) -> list[list[str]]:
        found: list[list[str]] = []
        with suppress(InputError):  # a wrong quote, or the end of the sample within one
            for _, cells in islice(self._records(io.StringIO(sample, newline=""), separator), _SAMPLE_RECORDS):
                found.append(cells)
        return found


def _few(records: Iterator[tuple[int, list[str]]]) -> int:
    """How many records come after, as far as that matters."""
    with suppress(InputError):
        return sum(1 for _ in islice(records, END))
    return END


@contextmanager
def open_text(part: Part, encoding: str) -> Iterator[io.TextIOWrapper]:
    """Open a file in an encoding; raises InputError, also when what is read does not fit it."""
    with part.open() as raw, io.TextIOWrapper(raw, encoding, newline="") as text:
        try:
            yield text
        except UnicodeError:
            allowed = "--encoding and the name of another"
            raise InputError.of(f"not in the encoding {encoding}", part.name, allowed) from None


def encoding_of(part: Part) -> str:
    """Return the encoding of all of a file: UTF-8, UTF-16 with its mark, else cp1252; raises InputError."""
    import codecs

    decoder, utf8 = codecs.getincrementaldecoder("utf-8")(), True
    cp1252, first = True, True
    with part.open() as file:
        while chunk := file.read(_CHUNK):
            if first:
                marked = next((name for mark, name in _BOMS.items() if chunk.startswith(mark)), None)
                if marked == "utf-16":
                    return marked
                first = False
            if b"\0" in chunk or NATIVE.encode() in chunk:
                allowed = "a text file; UTF-16 without its mark takes --encoding utf-16-le or utf-16-be"
                raise InputError.of("not a text file", part.name, allowed)
            if utf8:
                try:
                    decoder.decode(chunk)
                except UnicodeDecodeError:
                    utf8 = False
            cp1252 = cp1252 and not any(byte in chunk for byte in b"\x81\x8d\x8f\x90\x9d")
        if utf8:
            try:
                decoder.decode(b"", final=True)
            except UnicodeDecodeError:
                utf8 = False
    if utf8:
        return "utf-8-sig"
    if not cp1252:
        raise InputError.of(
            "neither UTF-8 nor Latin-1 (cp1252)", part.name, "--encoding and its name, such as cp1250"
        )
    return "cp1252"
