"""Small tables with hostile rows, and the exact measurements of a table (tests only: these are true values)."""

from dataclasses import replace
from decimal import Decimal
from pathlib import Path

from dpjobs.backends.spark import rows as prepare
from dpjobs.backends.spark.backend import SparkBackend
from dpjobs.plan import SEPARATE, Plan
from dpjobs.source import LocalFiles, inspect
from dpjobs.statistics import count

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
    b"," * 65_538,  # 2 in sixteen bits, as many as the header has
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
    b"1,2,\r",
]


def write_csv(path: Path, lines: list[bytes], header: bytes = b"a,x,c") -> Path:
    path.write_bytes(b"\n".join([header, *lines]) + b"\n")
    return path


def source_of(path: Path, format_: str = "csv"):
    return inspect(str(path), format_, LocalFiles())


def exact(spark, path: Path, plan: Plan, column: str | None = "x", format_: str = "csv") -> dict[str, int]:
    """The exact totals of a table on Spark, by cell, and how many rows are counted for them."""
    counting = () if any(cell.name == "count" for cell in plan.cells) else (count.cell(Decimal(1)),)
    asked = replace(plan, column=column, recipe=SEPARATE, cells=(*plan.cells, *counting))
    backend = SparkBackend.__new__(SparkBackend)  # with the session's settings as they are
    backend._spark = spark
    totals = backend.totals(source_of(path, format_), asked)
    known = {cell.name: total for cell, total in zip(asked.live, totals, strict=True)}
    return {cell.name: known.get(cell.name, 0) for cell in asked.cells}
