"""The names of the columns: whether a line holds them, and what becomes of empty and double ones."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from dpcloud.data.importing.cells import is_value
from dpcloud.data.importing.options import Options, owners
from dpjobs.errors import quoted

_BLANKS = "; --separator space where blanks separate cells"


@dataclass
class Named:
    """The columns' names, what was done to them, which had none, and whether the first record holds them."""

    names: list[str] = field(default_factory=list)
    notes: dict[str, list[str]] = field(default_factory=dict)
    unnamed: set[str] = field(default_factory=set)
    in_file: bool = True


def name_columns(first: Sequence[str], options: Options, place: str) -> Named:
    """Name the columns after the first record; raises InputError.

    A first record with a number, a date or a truth in it may be a row, or hold years as names: the user says which.
    """
    if options.header == 0:
        return Named([f"column{i}" for i in range(1, len(first) + 1)], in_file=False)
    if options.header is None:
        truths = {word.lower() for word in (*options.true, *options.false)}
        value = next((cell for cell in first if is_value(cell) or cell.strip().lower() in truths), None)
        if value is not None:
            line = place.rpartition(" ")[2]
            blanks = _BLANKS if len(first) == 1 and len(value.split()) > 1 else ""
            raise owners(
                f"{place}: {quoted(value.strip())} may be a name or a value: --header {line} where this line holds "
                f"the names, --no-header where it is a row{blanks}"
            )
    named = Named()
    taken: set[str] = {" ".join(cell.split()).casefold() for cell in first}
    used: set[str] = set()
    for i, cell in enumerate(first, 1):
        name = plain = " ".join(re.sub(r"[\x00-\x1f\x7f]", " ", cell).split())
        if not plain:
            name = _free(f"column{i}", taken | used)
            named.unnamed.add(name)
            named.notes[name] = ["had no name" + (" (pandas' index?)" if i == 1 and len(first) > 1 else "")]
        elif plain.casefold() in used:  # Spark does not tell capitals from small letters
            name = _free(plain, taken | used)
            named.notes[name] = [f"a second {quoted(plain)}"]
        used.add(name.casefold())
        named.names.append(name)
    return named


def _free(name: str, taken: set[str]) -> str:
    number, free = 2, name
    while free.casefold() in taken:
        free, number = f"{name}_{number}", number + 1
    return free
