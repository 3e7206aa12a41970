"""A CSV file's header: its first line that is not blank, plain or compressed, and what is wrong with it.

A message names the place of a cell, never what it says: in a file without a header that line is the first record.
"""

import bz2
import csv
import re
import shlex
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dpjobs.errors import InputError

MAX_HEADER = 1 << 16
"""Bytes within which the header must end."""

_CHUNK = {".gz": 1 << 16, ".bz2": 1 << 20}  # compressed bytes; a block of bzip2 gives nothing before it is whole
_PIECE = 1 << 12  # what is left of a piece when a member ends is copied
_ALLOWED = "a first line of distinct column names that are not empty and not numbers"
_NUMERIC = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_BLANK = bytes(range(33))
_BOM = b"\xef\xbb\xbf"
_OTHER_CODECS = (".deflate", ".lz4", ".snappy", ".zst", ".xz", ".zip")
ONE_CELL = "the header is one cell, and only commas separate cells here: no semicolons, no tabs"
IMPORT = "; `dpcloud data import FILE --output NEW.parquet` reads files of other habits"
"""The next thing to type, of every message about a CSV that is not read."""


@dataclass(frozen=True)
class Header:
    """The names of a CSV's columns, and its line in bytes, with which Spark's lines are compared."""

    names: list[str]
    line: bytes

    @property
    def lines(self) -> frozenset[bytes]:
        """The line as it may stand in the file: Hadoop drops a byte order mark only where a file begins."""
        return frozenset((self.line, _BOM + self.line))


def read_header(path: str, head: Callable[[int], bytes]) -> Header:
    """Read the header of a file, whose first bytes `head` gives; raises InputError."""
    if codec_of(path) not in ("", *_CHUNK):
        allowed = "plain, or a name that ends in .gz or .bz2, in small letters"
        raise InputError.of("unknown compression", path, allowed + IMPORT)
    try:
        line = _first_line(*_beginning(path, head))
        text = line.removesuffix(b"\r").decode("utf-8")
        if any(ord(c) < 32 and c != "\t" for c in text):
            raise ValueError
    except (OSError, EOFError, zlib.error, ValueError):
        what = "not readable as CSV (binary, not UTF-8, or no header)"
        raise InputError.of(what, path, _ALLOWED + IMPORT) from None
    return Header(_names(path, text), line)


def how_to_see(path: str) -> str:
    """Return a shell command that shows a file's header."""
    zipped = {".gz": "gunzip", ".bz2": "bunzip2"}.get(codec_of(path))
    quoted = shlex.quote(path)
    if "://" in path:
        return f"aws s3 cp {quoted} - | {zipped + ' | ' if zipped else ''}head -1"
    return f"{zipped} < {quoted} | head -1" if zipped else f"head -1 {quoted}"


def codec_of(path: str) -> str:
    """The compression that the name tells; Hadoop knows it in small letters only, so others are unknown to us."""
    ending = "." + path.rsplit(".", 1)[-1]
    return ending if ending.lower() in (*_CHUNK, *_OTHER_CODECS) else ""


def _first_line(text: bytes, whole: bool) -> bytes:
    lines = text.removeprefix(_BOM).split(b"\n")
    if not whole:
        lines.pop()  # it may go on
    found = next((line for line in lines if line.strip(_BLANK)), None)
    if found is None:
        raise EOFError
    return found.removeprefix(_BOM)


def _beginning(path: str, head: Callable[[int], bytes]) -> tuple[bytes, bool]:
    """The first MAX_HEADER bytes of the text, and whether they are all of it."""
    codec = codec_of(path)
    if not codec:
        plain = head(MAX_HEADER)
        return plain, len(plain) < MAX_HEADER
    compressed = head(_CHUNK[codec])
    text, at = bytearray(), 0
    member: Any = None
    while at < len(compressed) and len(text) < MAX_HEADER:
        if member is None or member.eof:  # a file may have several members, one after the other, as `cat` makes
            member = _decompressor(codec)
        piece = compressed[at : at + _PIECE]
        text += member.decompress(piece, MAX_HEADER - len(text))
        at += len(piece) - len(member.unused_data)
    whole = member is not None and member.eof and at == len(compressed) < _CHUNK[codec]
    return bytes(text), whole


def _decompressor(codec: str) -> Any:
    return zlib.decompressobj(wbits=31) if codec == ".gz" else bz2.BZ2Decompressor()


def _names(path: str, line: str) -> list[str]:
    names = [cell.strip() for cell in next(csv.reader([line]), []) or [""]]
    hint = f" ({ONE_CELL})" if len(names) == 1 else ""
    for place, name in enumerate(names, 1):
        if not name:
            if place == 1 and len(names) > 1:
                hint = " (a first cell without a name is how pandas writes its index)"
            raise InputError.of(f"cell {place} of the header is empty", path, _ALLOWED + hint + IMPORT)
        if _NUMERIC.fullmatch(name):
            hint = hint or " (a year as a name, or a file without a header)"
            raise InputError.of(f"cell {place} of the header is a number", path, _ALLOWED + hint + IMPORT)
        if name in names[: place - 1]:
            first = names.index(name) + 1
            raise InputError.of(f"cells {first} and {place} of the header are the same", path, _ALLOWED + IMPORT)
    return names
