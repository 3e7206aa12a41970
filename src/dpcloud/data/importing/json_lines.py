"""JSON: objects one after the other, on lines of their own or not, or in one array; read piece by piece."""

import io
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from dpcloud.data.importing.files import Part
from dpcloud.data.importing.options import Options, owners
from dpcloud.data.importing.spool import NATIVE, Cells
from dpcloud.data.importing.text import encoding_of
from dpjobs.errors import InputError, quoted

MAX_RECORD = 1 << 24
"""Characters of one object."""

_CHUNK = 1 << 18
_BETWEEN = re.compile(r"[\s,]*")


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
class JsonRecords:
    """A file of objects; its columns are all keys, in the order in which they come up."""

    part: Part
    options: Options
    names: list[str] = field(default_factory=list)
    said: list[str] = field(default_factory=lambda: ["JSON"])
    notes: dict[str, list[str]] = field(default_factory=dict)

    def rows(self) -> Iterator[tuple[int, Cells]]:
        """Give each object's first line and its values; raises InputError."""
        places: dict[str, int] = {}
        for line, record in self._objects():
            for key in record:
                if key not in places:
                    if not key:
                        raise InputError.of(f"line {line} has a key without a name", self.part.name, "named keys")
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
        with self.part.open() as raw:
            text = io.TextIOWrapper(raw, self.options.encoding or encoding_of(self.part))
            buffer, at, line, ended, depth = "", 0, 1, False, 0
            while True:
                start = _BETWEEN.match(buffer, at).end()  # type: ignore[union-attr]  # it fits the empty text, too
                if buffer[start : start + 1] in ("[", "]"):
                    depth += 1 if buffer[start] == "[" else -1
                    start += 1
                line += buffer.count("\n", at, start)
                at = start
                try:
                    if at == len(buffer) or buffer[at] in ",]" or buffer[at].isspace():
                        value, end = None, at
                        if at < len(buffer):
                            continue
                    else:
                        value, end = _DECODER.raw_decode(buffer, at)
                except (_TwiceError, RecursionError) as error:
                    twice = isinstance(error, _TwiceError)
                    what = "holds an object with one key twice" if twice else "is nested too deeply"
                    raise InputError.of(f"line {line} {what}", self.part.name, "every key once") from None
                except ValueError:
                    if ended or len(buffer) - at > MAX_RECORD:
                        raise InputError.of(
                            f"line {line} is not JSON", self.part.name, "objects, one a line or in one array"
                        ) from None
                    end = at
                if end == at:
                    more = text.read(max(_CHUNK, len(buffer) - at))
                    if not more and at == len(buffer):
                        if depth > 0:
                            what = "an array that is not closed: the file is cut"
                            raise InputError.of(what, self.part.name, "a whole file")
                        return
                    ended = not more
                    buffer, at = buffer[at:] + more, 0
                    continue
                if not isinstance(value, dict):
                    raise InputError.of(
                        f"line {line} holds a JSON value that is no object",
                        self.part.name,
                        "objects, one a line or in one array",
                    )
                yield line, value
                line += buffer.count("\n", at, end)
                at = end
