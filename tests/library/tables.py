"""Small tables with hostile rows, and the exact measurements of a table (tests only: these are true values)."""

from pathlib import Path

from dpjobs.measurement import Plan

from dpjobs import prepare
from dpjobs.source import LocalFiles, inspect

HOSTILE_CELLS = [
    "NaN",
    "",
    '""',
    "inf",
    "+Infinity",
    "-inf",
    "1e308",
    "-1e308",
    "1e999",
    "banana",
    "9" * 400,
    "-" + "9" * 400,
    "0x10",
    "1_000",
    "12d",
    "1.5F",
    " 7 ",
    "٣",
    "1,5",
    "\x00",
    "\ufeff5",
    "5\r",
    "--5",
    "5-",
    "1e",
    ".",
    "-0.0",
    "4.9e-324",
    "9223372036854775808",
    "18446744073709551616",
    "true",
    "TRUE",
    " False ",
    "truth",
    "+true",
    "null",
    "\\N",
    "'5'",
]

HOSTILE_LINES = [
    b"," * 30_000,
    b"," * 70_000,
    b'1,"open quote,3',
    b'"',
    b'""""""',
    b'1,"a""b,2',
    b"7,8\r9,10",
    b"\r",
    b"a\rb\rc",
    b"\x00\x00\x00",
    b"\xff\xfe,\xff,\x80",
    b"#comment,5",
    b"\\",
    b'1,"\\",2',
    b"\xef\xbb\xbf1,2,3",
    b"\xe2\x80\xa8,\xc2\x85,\x0b\x0c",
    b"1," + b"9" * 100_000 + b",2",
    b"x" * (prepare.MAX_LINE + 5),
    b'"' * (prepare.MAX_LINE - 10),
    b"," * (prepare.MAX_LINE - 1),
    b"a",
    b"1,2,3,4,5,6",
]


def write_csv(path: Path, lines: list[bytes], header: bytes = b"a,x,c") -> Path:
    path.write_bytes(b"\n".join([header, *lines]) + b"\n")
    return path


def source_of(path: Path, format_: str = "csv"):
    return inspect(str(path), format_, LocalFiles())


def exact(spark, path: Path, plan: Plan, column: str | None = "x", format_: str = "csv") -> dict[str, int]:
    """The exact measurements of a table, as the engines would see them before their noise."""
    rows = prepare.read(spark, source_of(path, format_), column)
    frame = prepare.prepare(rows, plan)
    names = [m.name for m in plan.measurements if m.name != "count"]
    aggregates = ["count(1) as count", *(f"coalesce(sum({name}), 0) as {name}" for name in names)]
    return frame.selectExpr(*aggregates).collect()[0].asDict()
