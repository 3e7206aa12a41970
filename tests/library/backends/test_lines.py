"""Lines of CSV as they stream in: whole, whatever the pieces are, cut, without headers, in plain ASCII."""

import bz2
import gzip
import io
import zlib
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dpjobs.backends.duckdb import lines
from library.backends import reference

HEADERS = frozenset([b"a,x", b"\xef\xbb\xbfa,x"])
LIMIT = 12  # instead of MAX_LINE, so that lines are cut everywhere


def read(content: bytes, piece: int, name: str = "t.csv", headers: frozenset[bytes] = HEADERS) -> list[str]:
    batches = lines.batches([name], lambda _: io.BytesIO(content), headers, piece)
    found = [line for batch in batches for line in batch.column(0).to_pylist()]
    assert all(line.endswith("\n") and line.count("\n") == 1 and line.isascii() for line in found)
    return [line[:-1] for line in found]


def expected(content: bytes, limit: int) -> list[str]:
    """What the reference reads, and the blank lines, which are left out later."""
    whole = content.removeprefix(b"\xef\xbb\xbf").split(b"\n")
    whole = whole if whole[-1] else whole[:-1]
    return [lines.to_ascii(line[:limit]).decode() for line in whole if line not in HEADERS]


_pieces = st.sampled_from(
    [b"\n", b"\n", b"a,x", b"a,x\n", b"\xef\xbb\xbf", b"1,2", b"\r", b"\xff", b"\x00", b"z" * 9, b"z" * 40]
)


@settings(max_examples=300, derandomize=True)
@given(st.lists(_pieces, max_size=14).map(b"".join), st.integers(1, 50))
def test_lines_are_the_same_whatever_the_pieces_are(content: bytes, piece: int) -> None:
    before, lines.MAX_LINE = lines.MAX_LINE, LIMIT
    try:
        found = expected(content, LIMIT)
        assert read(content, piece) == found
        half = len(content) // 2
        for name, compress in (("t.csv.gz", gzip.compress), ("t.csv.bz2", bz2.compress)):
            members = [content[:half], b"", content[half:]]
            assert read(b"".join(map(compress, members)), piece, name) == found
    finally:
        lines.MAX_LINE = before


def test_every_place_of_a_cut() -> None:
    content = b"\xef\xbb\xbfa,x\r\n1,2\n\n\xef\xbb\xbf3,4\na,x\n" + b"5" * 30 + b"\n6,7"
    for piece in range(1, len(content) + 2):
        assert read(content, piece) == ["a,x\r", "1,2", "", "~~~3,4", "5" * 30, "6,7"], piece


def test_a_line_of_any_length_is_held_as_far_as_it_is_read() -> None:
    def pieces():
        yield b"1,2\n3,"
        for _ in range(3000):
            yield b"7" * 2**20
        yield b"7\n5,6\n"

    kept = list(lines.whole_lines(pieces()))
    assert [len(part) for part in kept] == [4, len(kept[1])]
    assert len(kept[1]) < lines.MAX_LINE + 20
    assert kept[1].endswith(b"7\n5,6\n")


def test_a_byte_is_as_much_of_a_comma_quote_digit_or_blank_as_it_was() -> None:
    for byte in range(256):
        seen = lines.to_ascii(bytes([byte]))
        assert seen[0] == byte if 0 < byte < 128 else (seen == b"~" if byte else 0 < seen[0] <= 32)
        for text in (b"%c7", b"7%c", b"%c", b"t%crue"):
            plain = text % bytes([byte])
            told = [reference.number(each.decode("latin-1")) for each in (plain, lines.to_ascii(plain))]
            assert told[0] == told[1], byte


@pytest.mark.parametrize(("name", "compress"), [("t.csv.gz", gzip.compress), ("t.csv.bz2", bz2.compress)])
def test_a_file_that_ends_too_early_or_is_broken_is_no_table_of_fewer_rows(name: str, compress) -> None:
    content = compress(b"a,x\n" + b"1,2\n" * 10_000)
    for broken in (content[:-1], content[:-9], content[: len(content) // 2], content[:20], content + b"junk"):
        with pytest.raises((EOFError, OSError, zlib.error)):
            read(broken, 1 << 16, name)
    assert len(read(content, 1 << 16, name)) == 10_000


def test_a_bomb_is_given_out_in_pieces() -> None:
    content = gzip.compress(b"\n" * (1 << 26))
    sizes = [len(batch) for batch in lines.batches(["t.csv.gz"], lambda _: io.BytesIO(content), HEADERS, 1 << 20)]
    assert max(sizes) <= 1 << 20
    assert sum(sizes) == 1 << 26


def test_headers_are_compared_before_anything_else_is_done(tmp_path: Path) -> None:
    content = b"\xc3\xa9,x\n~~,x\n\xc3\xa9,x\r\n1,2\n"
    assert read(content, 7, headers=frozenset([b"\xc3\xa9,x"])) == ["~~,x", "~~,x\r", "1,2"]
