"""Which data set each known table is charged to: one table, one budget, whatever the table is called.

The first charge of a table claims its address, and its files where they are local, for the data set that is charged;
from then on it is charged to that one alone. So a name that is misspelt, left out or new is refused with the name
that holds the table's budget, while many tables may share one. A data set that is named by an address owns that
address from its first total on. What contains a claimed table, or lies in one, is the same table.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from dpjobs.addresses import Place, is_address, spelled, within
from dpjobs.errors import BudgetError, InputError

Asked = tuple[str, Place | None]
"""A data set that is to be charged for a table, and where that lies; None: no more is known than the name."""


@dataclass(frozen=True)
class Claims:
    """The known names of data sets, and the data set by address and by a file's identity (see `dpjobs.addresses`).

    `of` makes them of what a ledger holds.
    """

    datasets: frozenset[str]
    addresses: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(
        cls, datasets: Iterable[str], addresses: Mapping[str, str], files: Mapping[str, str] | None = None
    ) -> "Claims":
        """Add to the written claims those that names imply: ledgers of the first version wrote none."""
        names = frozenset(datasets)
        return cls(names, {**_implied(names), **addresses}, files or {})

    def admit(self, asked: Iterable[Asked]) -> dict[str, str]:
        """Return the data set by each address that is new, one reservation after the other.

        Raises BudgetError unless each data set may be charged for its table, or get its first total.
        """
        claims, new = self, dict[str, str]()
        for dataset, place in asked:
            claims._admit(dataset, place)
            new |= dict.fromkeys(claims._new(dataset, place), dataset)
            files = dict.fromkeys(place.files if place else (), dataset)
            claims = Claims(claims.datasets | {dataset}, {**self.addresses, **new}, {**claims.files, **files})
        return new

    def _admit(self, dataset: str, place: Place | None) -> None:
        addresses = place.addresses if place else []
        if is_address(dataset) and dataset not in self.datasets and dataset not in addresses:
            if spelled(dataset) != dataset:
                what = "a data set's name that is an address, not in its one spelling"
                raise InputError.of(what, dataset, repr(spelled(dataset)))
            self._check(dataset, dataset, "the data set's name")
        for address in addresses:
            self._check(dataset, address, "the table")
        for file in sorted(place.files | place.above) if place else ():
            other = self.files.get(file, dataset)
            if other != dataset:
                what = "the table has its budget under another name, by which a file of it, or its folder, is known"
                raise _refusal(what, addresses[0], other)

    def _new(self, dataset: str, place: Place | None) -> list[str]:
        """The addresses that are not claimed yet, among them the name where that is one."""
        asked = [*([dataset] if is_address(dataset) else []), *(place.addresses if place else [])]
        return [address for address in dict.fromkeys(asked) if address not in self.addresses]

    def _check(self, dataset: str, address: str, what: str) -> None:
        if self.addresses.get(address, dataset) != dataset:
            raise _refusal(f"{what} has its budget under another name", dataset, self.addresses[address])
        for claimed, other in self.addresses.items():
            if other != dataset and within(address, claimed):
                raise _refusal(f"{what} lies in one that has a budget", address, other)
            if other != dataset and within(claimed, address):
                raise _refusal(f"{what} contains one that has a budget", address, other)


def _refusal(what: str, given: str, other: str) -> InputError:
    # in full, however long: whoever asks has to type it
    return BudgetError.of(what, given, f"the data set {other!r} (--dataset), to which these rows are charged")


def _implied(names: frozenset[str]) -> dict[str, str]:
    """What data sets that are named by addresses own; of two that overlap the outer one owns both."""
    owners: dict[str, str] = {}
    for name in sorted(filter(is_address, names), key=lambda name: (len(name), name)):
        try:
            address = spelled(name)
        except InputError:  # a free name that only looks like an address
            continue
        outer = next((claimed for claimed in owners if within(address, claimed)), None)
        owners[address] = name if outer is None else owners[outer]
    return owners
