"""What is printed of an import: what was found out, the schema, and what to type next. No count of anything."""

import shlex

from dpcloud.data.importing.table import Imported

_WIDTH = 120  # of a table that goes to a file
OWNER = "Every cell was read, which is the owner's own act; no epsilon was spent, and no count or mean is shown."

_ASKED = "where these rows were asked before under another name, go on with that one's --dataset."
_NEW = f"It is another table, with a budget of its own: {_ASKED}"
_REPLACED = f"It keeps the budget of its path: what was spent there before counts; {_ASKED}"


def show(imported: Imported) -> None:
    """Print it on standard output."""
    from rich.console import Console
    from rich.table import Table

    console = Console(highlight=False, markup=False, soft_wrap=True)
    if not console.is_terminal:
        console.width = _WIDTH
    said: dict[str, list[str]] = {}
    for name, facts in imported.files.items():
        said.setdefault("; ".join(facts), []).append(name)
    for facts_text, names in said.items():
        others = f" and {len(names) - 1} more, too" if len(names) > 1 else ""
        console.print(f"{names[0]}{others}: {facts_text}.")
    table = Table("column", "type", "what was done")
    for column in imported.columns:
        table.add_row(column.name, column.type, "; ".join(column.notes))
    console.print(table, soft_wrap=False)
    for name in imported.hidden:
        console.print(f"Left out, as its name is that of a hidden file: {name}.")
    for name in imported.left_out:
        console.print(f"Left out, as it has neither a name nor a filled cell: {name}.")
    console.print(f"Written: {imported.output}. {OWNER}")
    console.print(_REPLACED if imported.replaced else _NEW)
    console.print(f"Next:  {next_command(imported)}")
    if "LOWER" in next_command(imported):
        console.print("LOWER and UPPER: between them lies what you expect of a cell, without looking at the table.")


def next_command(imported: Imported) -> str:
    """Return the question to ask next, for the first column of numbers, else a count."""
    file = shlex.quote(str(imported.output))
    named = [c for c in imported.columns if not c.unnamed]
    numbers = sorted((c for c in named if "number" in c.type), key=lambda c: c.type != "number")
    if not numbers:
        return f"dpcloud run --file {file} --query COUNT --epsilon 0.1"
    column = shlex.quote(numbers[0].name)
    return f"dpcloud run --file {file} --query MEAN --column {column} --lower LOWER --upper UPPER --epsilon 0.1"
