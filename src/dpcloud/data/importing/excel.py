"""Excel's .xlsx: the values that Excel has stored; numbers, dates and truths are what they are there."""

import datetime
import re
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dpcloud.data.importing.cells import NATIVE
from dpcloud.data.importing.files import Part
from dpcloud.data.importing.names import name_columns
from dpcloud.data.importing.options import owners
from dpcloud.data.importing.spool import Cells, Records
from dpjobs.errors import InputError, quoted

_BEYOND = "cells beyond the names are left out"
_FORMULA = re.compile(rb"<(?:\w{1,20}:)?f[ >/]")  # other writers give each name a prefix
PERCENT = "Excel shows it as percent and stores the fraction, which is kept: 13.7 % is 0.137"


@dataclass
class ExcelRecords(Records):
    """One sheet of a workbook. Raises InputError where it is none, or several sheets hold something."""

    def __post_init__(self) -> None:
        self._sheet = self._find_sheet()
        rows = self._cells()
        line, cells = next(rows, (0, []))
        if not cells:
            raise InputError.of("nothing to read", self.part.name, "a sheet with a row of names")
        while cells and _blank(cells[-1]):
            cells = cells[:-1]
        first = [_text(cell).removeprefix(NATIVE) for cell in cells]
        place = f"{self.part.name}, sheet {quoted(self._sheet)}, row {line}"
        named = name_columns(first, self.options, place)
        self.names, self.notes, self.unnamed = named.names, named.notes, named.unnamed
        self._after = line if named.in_file else line - 1
        self.said += [f"sheet {quoted(self._sheet)}", f"names in row {line}" if named.in_file else "no row of names"]

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Give each row's number and its cells, without rows that are empty; raises InputError."""
        width = len(self.names)
        for line, cells in self._cells():
            if line <= self._after:
                continue
            if any(not _blank(cell) for cell in cells[width:]):
                if not self.options.lenient:
                    raise InputError(
                        f"{self.part.name}, row {line}: a cell beyond the {width} that are named; --header LINE "
                        "where the names stand in another row; --lenient leaves such cells out"
                    )
                if _BEYOND not in self.said:
                    self.said.append(_BEYOND)
            for name, cell in zip(self.names, cells, strict=False):
                if "%" in (getattr(cell, "number_format", None) or "") and isinstance(cell.value, int | float):
                    self.notes[name] = [*(note for note in self.notes.get(name, []) if note != PERCENT), PERCENT]
            yield line, [_text(cell) for cell in cells[:width]]

    def _cells(self) -> Iterator[tuple[int, list[Any]]]:
        """The rows that hold something, from the row of names on; formulas as Excel has computed them."""
        least = self.options.header or 1
        with self._book(values=True) as book:
            sheet = book[self._sheet]
            sheet.reset_dimensions()  # what a program writes there is often wrong
            checks = self._formulas() if self._has_formulas() else None
            for line, row in enumerate(sheet.iter_rows(), 1):
                formulas = next(checks, {}) if checks is not None else {}
                for place, formula in formulas.items():
                    if place >= len(row) or row[place].value is None:
                        raise owners(
                            f"{self.part.name}, row {line}, cell {place + 1}: the formula {quoted(formula)} without "
                            "a stored value; open the file in Excel and save it"
                        )
                if line >= least and any(not _blank(cell) for cell in row):
                    yield line, list(row)

    def _formulas(self) -> Iterator[dict[int, str]]:
        with self._book(values=False) as book:
            sheet = book[self._sheet]
            sheet.reset_dimensions()
            for row in sheet.iter_rows():
                yield {i: str(cell.value) for i, cell in enumerate(row) if getattr(cell, "data_type", "") == "f"}

    def _has_formulas(self) -> bool:
        """Whether any sheet has one: to read it twice takes twice the time."""
        with zipfile.ZipFile(self.part.path) as archive:
            for name in archive.namelist():
                if Path(name).parent.name == "worksheets":
                    with archive.open(name) as file:
                        before = b""
                        while chunk := file.read(1 << 20):
                            if _FORMULA.search(before + chunk):
                                return True
                            before = chunk[-24:]
        return False

    def _find_sheet(self) -> str:
        with self._book(values=True) as book:
            names = [sheet.title for sheet in book.worksheets]
            if self.options.sheet is not None:
                if self.options.sheet not in names:
                    raise InputError.of("no such sheet", self.options.sheet, ", ".join(map(quoted, names)))
                return self.options.sheet
            filled = [sheet.title for sheet in book.worksheets if _holds(sheet)]
        if not filled:
            raise InputError.of("nothing to read", self.part.name, "a workbook with a filled sheet")
        if len(filled) > 1:
            raise InputError.of(
                "several sheets", self.part.name, f"--sheet and one of {', '.join(map(quoted, filled))}"
            )
        return str(filled[0])

    def _book(self, values: bool) -> "_Book":
        return _Book(self.part, values)


@dataclass
class _Book:
    """A workbook, closed at the end; what the library cannot read is one line."""

    part: Part
    values: bool

    def __enter__(self) -> Any:
        import warnings

        import openpyxl

        try:
            with warnings.catch_warnings(action="ignore"):
                self._book = openpyxl.load_workbook(self.part.path, read_only=True, data_only=self.values)
        except Exception:  # whatever the library meets in a file that is none
            allowed = "an .xlsx file without a password"
            raise InputError.of("not readable as Excel", self.part.name, allowed) from None
        return self._book

    def __exit__(self, *_: object) -> None:
        self._book.close()


def _holds(sheet: Any) -> bool:
    sheet.reset_dimensions()
    return any(not _blank(cell) for row in sheet.iter_rows() for cell in row)


def _blank(cell: Any) -> bool:
    return cell.value is None or (isinstance(cell.value, str) and not cell.value.strip())


def _text(cell: Any) -> str:
    value = cell.value
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, int | float):
        return NATIVE + repr(value)
    if isinstance(value, datetime.datetime):
        return value.date().isoformat() if value.time() == datetime.time() else value.isoformat(" ")
    return "" if value is None else str(value)
