"""JSON: objects one after the other, on lines of their own or not, or in one array; read piece by piece."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, islice
from typing import Any, cast

from dpcloud.data.importing.cells import NATIVE
from dpcloud.data.importing.options import owners
from dpcloud.data.importing.spool import Cells, Records
from dpcloud.data.importing.text import encoding_of, open_text
from dpjobs.errors import InputError, quoted

MAX_RECORD = 1 << 24
"""Characters of one object."""

_CHUNK = 1 << 18
_BETWEEN = re.compile(r"[\s,\[\]]*")
_PANDAS = "pandas' to_json of columns? write it with orient='records'"


class _TwiceError(Exception):
    """An object has a key twice."""


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):  # Python's own would keep the last of them without a word
        raise _TwiceError
    return found


_DECODER = json.JSONDecoder(
    object_pairs_hook=_object,
    parse_float=lambda text: NATIVE + text,
    parse_int=lambda text: NATIVE + text,
    parse_constant=lambda word: None if word == "NaN" else word,  # an infinity is no number that can be kept
)


@dataclass
class JsonRecords(Records):
    """A file of objects; its columns are all keys, in the order in which they come up."""

    said: list[str] = field(default_factory=lambda: ["JSON"])
    separator: str | None = ","

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Give each object's first line and its values; raises InputError."""
        places: dict[str, int] = {}
        objects = self._objects()
        first = list(islice(objects, 2))
        if len(first) == 1 and first[0][1] and all(isinstance(v, dict | list) for v in first[0][1].values()):
            raise self._refused(f"one object of lists or objects, which is no row; {_PANDAS}")
        for line, record in chain(first, objects):
            for key in record:
                if key not in places:
                    if not key.strip() or not key.isprintable():
                        raise self._refused(f"line {line}: a name that is empty or not printable")
                    places[key] = len(places)
                    self.names.append(key)
            cells = [""] * len(places)
            for key, value in record.items():
                cells[places[key]] = self._cell(value, key, line)
            yield line, cells

    def _cell(self, value: Any, key: str, line: int) -> str:
        if isinstance(value, str):
            if not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value):
                allowed = "whole characters: this one is half of a pair"
                raise InputError.of(f"line {line}, {quoted(key)}: no character", self.part.name, allowed)
            return value
        if value is None:
            return ""
        if isinstance(value, bool):
            return "true" if value else "false"
        if self.options.lenient:
            self.notes.setdefault(key, ["lists and objects are empty"])
            return ""
        raise owners(
            f"{self.part.name}, line {line}, {quoted(key)}: a list or an object; allowed: plain values; --lenient "
            "makes such cells empty"
        )

    def _objects(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """Give each object and the line that it begins in; raises InputError."""
        buffer, at, line, depth, ended = "", 0, 1, 0, False
        with open_text(self.part, self.options.encoding or encoding_of(self.part)) as text:
            while True:
                between = cast(re.Match[str], _BETWEEN.match(buffer, at))  # it fits nothing, too
                depth += between[0].count("[") - between[0].count("]")
                line += between[0].count("\n")
                at = end = between.end()
                try:
                    if at < len(buffer):
                        value, end = _DECODER.raw_decode(buffer, at)
                except (_TwiceError, RecursionError) as error:
                    twice = isinstance(error, _TwiceError)
                    what = "holds an object with one key twice" if twice else "is nested too deeply"
                    raise self._refused(f"line {line} {what}") from None
                except ValueError:  # it is wrong, or goes on
                    if len(buffer) - at > MAX_RECORD:
                        raise self._refused(f"an object longer than {MAX_RECORD:,} characters; {_PANDAS}") from None
                    if ended:
                        raise self._refused(f"line {line} is not JSON") from None
                if end > at:
                    if not isinstance(value, dict):
                        raise self._refused(f"line {line} holds a JSON value that is no object")
                    yield line, value
                    line += buffer.count("\n", at, end)
                    at = end
                elif ended:
                    if depth:
                        raise self._refused("an array that is not closed, as in a file that was cut")
                    return
                else:
                    more = text.read(max(_CHUNK, len(buffer) - at))
                    buffer, at, ended = buffer[at:] + more, 0, not more

    def _refused(self, what: str) -> InputError:
        return InputError.of(what, self.part.name, "objects, one a line or in one array")
