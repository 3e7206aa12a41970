"""`dpcloud data import`: its words."""

from pathlib import Path
from typing import Any

import click

from dpcloud.command import Command
from dpcloud.data.importing.cells import WORDS
from dpcloud.data.importing.options import Options, decimals_of, encoding_named, quote_of, separator_of, truths_of
from dpjobs.errors import InputError, InterruptError

_EPILOG = """\b
Examples:
  dpcloud data import census.csv --output census.parquet
  dpcloud data import 'export/*.csv.gz' --separator ';' --decimal , --output export.parquet
  dpcloud data import patients.xlsx --sheet 2024 --text PatientId --output patients.parquet
"""


@click.command("import", cls=Command, epilog=_EPILOG)
@click.argument("files", nargs=-1, required=True, metavar="FILE...")
@click.option(
    "--output", required=True, type=click.Path(path_type=Path), help="The new file, which ends in .parquet."
)
@click.option("--overwrite", is_flag=True, help="Replace the output where it is there already; its budget stays.")
@click.option("--separator", help="Between cells: one character, or tab.  [default: found out]")
@click.option("--quote", help="Around cells: double, single or none.  [default: double]")
@click.option(
    "--decimal",
    "decimals",
    multiple=True,
    help="The decimal mark, '.' or ','; COLUMN=. or COLUMN=, for one column.  [default: what the column tells]",
)
@click.option("--encoding", help="Such as utf-8, cp1252, utf-16.  [default: UTF-8 or UTF-16, else cp1252]")
@click.option("--header", type=int, help="The line that holds the names; what stands above is skipped.  [default: 1]")
@click.option("--no-header", is_flag=True, help="There are no names: columns are column1, column2, …")
@click.option("--sheet", help="Of an Excel file with several.")
@click.option(
    "--empty",
    multiple=True,
    help=f"One more word that is read as empty, beside {' '.join(WORDS)}; may be given several times.",
)
@click.option(
    "--keep-words", is_flag=True, help="Read only blank cells and the words of --empty as empty: NA is Namibia."
)
@click.option(
    "--true", multiple=True, help="One more word for true beside true and yes, such as Y or T; several times."
)
@click.option("--false", multiple=True, help="One more word for false beside false and no; several times.")
@click.option("--text", multiple=True, help="A column that stays text; may be given several times.")
@click.option("--number", multiple=True, help="A column of numbers, also where they begin with zeros; several times.")
@click.option(
    "--lenient", is_flag=True, help="Make cells empty that do not fit their column, and say in which columns."
)
def import_command(files: tuple[str, ...], output: Path, overwrite: bool, **options: Any) -> None:
    """Make one Parquet file, which `dpcloud run` reads, of CSV, TSV, JSON, Excel or zipped files.

    This is the act of the table's owner, before any question: it looks at every cell on this machine, and a refusal
    quotes the cell that does not fit, with its file, line and column. No epsilon is spent; no count or mean is shown.

    What it cannot know it does not guess: whether 1,234 is 1234 or 1.234, whether a first line with numbers holds
    names. It then says which option tells.
    """
    from dpcloud.data.importing.screen import show
    from dpcloud.data.importing.table import import_table
    from dpcloud.data.waiting import waiting

    checked = _options(**options)
    try:
        with waiting("importing"):
            imported = import_table(files, output, checked, overwrite)
    except KeyboardInterrupt:
        raise InterruptError("was interrupted; nothing is spent, and nothing is left of the table") from None
    show(imported)


def _options(
    *,
    separator: str | None,
    quote: str | None,
    decimals: tuple[str, ...],
    encoding: str | None,
    header: int | None,
    no_header: bool,
    sheet: str | None,
    empty: tuple[str, ...],
    keep_words: bool,
    true: tuple[str, ...],
    false: tuple[str, ...],
    text: tuple[str, ...],
    number: tuple[str, ...],
    lenient: bool,
) -> Options:
    if header is not None and (no_header or header < 1):
        raise InputError.of("the line of names", header, "a line from 1 on, or --no-header")
    both = sorted(set(text) & set(number))
    if both:
        raise InputError.of("a column is both --text and --number", both[0], "one of them")
    empty = (*(() if keep_words else WORDS), *empty)
    true, false = truths_of(true, false, empty)
    return Options(
        separator=separator_of(separator),
        quote=quote_of(quote),
        decimals=decimals_of(decimals),
        encoding=encoding_named(encoding),
        header=0 if no_header else header,
        sheet=sheet,
        empty=empty,
        true=true,
        false=false,
        text=text,
        number=number,
        lenient=lenient,
    )
