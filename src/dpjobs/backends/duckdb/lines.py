"""The lines of CSV files as Arrow batches of plain ASCII, each of them cut to a bounded length while it streams in.

DuckDB's own CSV reader is not used: invalid UTF-8, a bare `\\r`, a long line or a line of other columns fail a
whole query there. Here a line is what ends in `\\n`, and nothing that it holds can be seen from another one. Bytes
above 127 become `~`, and zeros another control character: which bytes are commas, quotes, digits and blanks, and
whether a cell is empty, stays as it was, and DuckDB never meets a string that it would call invalid.
"""

import bz2
import zlib
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from dpjobs.header import codec_of

MAX_LINE = 1 << 20
"""Bytes: of a longer CSV line, or a longer text in Parquet, only these are read."""
_BOM = b"\xef\xbb\xbf"
_COMPRESSED = 1 << 17  # bytes that a codec is given at once
TO_ASCII = bytes([1, *range(1, 128), *(ord("~") for _ in range(128))])
"""What each byte becomes."""

Open = Callable[[str], Any]
"""Opens a file to read bytes from its beginning; a context manager."""


def batches(paths: Iterable[str], open_: Open, headers: frozenset[bytes], piece: int) -> Iterator[Any]:
    """Give Arrow record batches of all lines but those equal to a header: `line`, with its `\\n`, and its `commas`.

    About `piece` bytes are read at once, and are in a batch. Raises OSError, EOFError or zlib.error where a file
    cannot be read to its end.
    """
    for path in paths:
        with open_(path) as file:
            for lines in whole_lines(_without_mark(_pieces(path, file, piece))):
                if left := _cut(_without(lines, headers)):
                    yield _batch(left)


def schema() -> Any:
    """Return the schema of the batches."""
    import pyarrow

    return pyarrow.schema([("line", pyarrow.string()), ("commas", pyarrow.int32())])


def whole_lines(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Put pieces of a file together to whole lines, each of which ends in `\\n`, the file's last one, too.

    Of a line that is longer than a piece little more than MAX_LINE bytes are kept.
    """
    begun = b""
    for piece in pieces:
        end = piece.rfind(b"\n") + 1
        if end:
            yield begun + piece[:end]
            begun = b""
        begun = (begun + piece[end:])[:MAX_LINE]
    if begun:
        yield begun + b"\n"


def to_ascii(text: bytes) -> bytes:
    """Return the text with every byte as it is to be seen by DuckDB."""
    return text if text.isascii() and 0 not in text else text.translate(TO_ASCII)


def _without_mark(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """Drop a byte order mark where the file begins, and nowhere else, as Hadoop does."""
    head = b""
    for piece in pieces:
        head += piece
        if len(head) >= len(_BOM):
            break
    yield head.removeprefix(_BOM)
    yield from pieces


def _pieces(path: str, file: Any, size: int) -> Iterator[bytes]:
    codec = codec_of(path)
    if not codec:
        while piece := file.read(size):
            yield piece
        return
    yield from (_gunzipped if codec == ".gz" else _bunzipped)(file, size)


def _gunzipped(file: Any, size: int) -> Iterator[bytes]:
    """All members, one after the other; never more than `size` bytes at once, whatever they expand to."""
    member, left = zlib.decompressobj(wbits=31), file.read(_COMPRESSED)
    while left:
        yield member.decompress(left, size)
        left = member.unconsumed_tail or (member.unused_data if member.eof else b"") or file.read(_COMPRESSED)
        if member.eof and left:
            member = zlib.decompressobj(wbits=31)
    if not member.eof:
        raise EOFError("a compressed file ends within a member")


def _bunzipped(file: Any, size: int) -> Iterator[bytes]:
    member, left = bz2.BZ2Decompressor(), file.read(_COMPRESSED)
    while left:
        yield member.decompress(left, size)
        while not member.needs_input and not member.eof:
            yield member.decompress(b"", size)
        left = (member.unused_data if member.eof else b"") or file.read(_COMPRESSED)
        if member.eof and left:
            member = bz2.BZ2Decompressor()
    if not member.eof:
        raise EOFError("a compressed file ends within a member")


def _without(lines: bytes, headers: frozenset[bytes]) -> bytes:
    """Drop the lines that are equal to a header."""
    for header in headers:
        line, kept, start, at = header + b"\n", [], 0, -1
        while (at := lines.find(line, at + 1)) >= 0:
            if at == 0 or lines[at - 1] == 10:
                kept.append(lines[start:at])
                start = at + len(line)
        if start:
            lines = b"".join([*kept, lines[start:]])
    return lines


def _cut(lines: bytes) -> bytes:
    """Cut the lines that are longer than MAX_LINE."""
    import numpy

    ends = numpy.flatnonzero(numpy.frombuffer(lines, numpy.uint8) == 10)
    starts = numpy.concatenate(([0], ends[:-1] + 1))
    long = numpy.flatnonzero(ends - starts > MAX_LINE)
    if not len(long):
        return lines
    kept, at = [], 0
    for i in long:
        kept.append(lines[at : starts[i] + MAX_LINE])
        at = ends[i]
    return b"".join([*kept, lines[at:]])


def _batch(lines: bytes) -> Any:
    import numpy
    import pyarrow

    text = numpy.frombuffer(lines, numpy.uint8)
    ends = numpy.flatnonzero(text == 10)
    offsets = numpy.empty(len(ends) + 1, numpy.int32)
    offsets[0], offsets[1:] = 0, ends + 1
    commas = pyarrow.array(numpy.add.reduceat(text == 44, offsets[:-1], dtype=numpy.int32))
    buffers = (pyarrow.py_buffer(offsets), pyarrow.py_buffer(to_ascii(lines)))
    return pyarrow.record_batch([pyarrow.StringArray.from_buffers(len(ends), *buffers), commas], schema=schema())
