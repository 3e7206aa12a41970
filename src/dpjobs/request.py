"""From the words of somebody who asks to the jobs that they ask for: the same on a laptop, on Glue and on EMR.

Who may ask, where copies go and which ledger is charged differ from place to place, and stay there.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Self

from dpjobs.addresses import dataset_of, is_local, normalized
from dpjobs.epsilon import Epsilon
from dpjobs.errors import InputError
from dpjobs.query import (
    DEFAULT_BOUNDS_SHARE,
    DEFAULT_CHECK_SHARE,
    DEFAULT_CONFIDENCE,
    Bounds,
    JobSpec,
    PrivacyBudget,
    Query,
    check_dataset,
    parse_check_share,
    parse_confidence,
    parse_share,
)
from dpjobs.source import Files, format_of


@dataclass(frozen=True, kw_only=True)
class Request:
    """A question about a table, checked word by word; neither the table nor a ledger has been looked at yet.

    `uri` is the table's address as it was given, `address` its one spelling. `dataset` is the name of the budget that
    is charged, and `format` None where the table's name has to tell it.
    """

    uri: str
    address: str
    dataset: str
    format: str | None
    query: Query
    column: str | None
    budget: PrivacyBudget
    bounds: Bounds | None
    bounds_share: Decimal
    check_share: Decimal
    confidence: float

    @classmethod
    def parse(
        cls,
        *,
        uri: str,
        query: str,
        epsilon: str,
        column: str | None = None,
        lower: str | None = None,
        upper: str | None = None,
        bounds_share: str | None = None,
        check_share: str | None = None,
        confidence: str | None = None,
        dataset: str | None = None,
        format_: str | None = None,
    ) -> Self:
        """Read the words, None where nothing was said; raises InputError for the first that is not allowed."""
        uri = normalized(uri)
        if is_local(uri):
            uri = os.path.expanduser(uri)  # noqa: PTH111 (keeps the words as they were given)
        address = dataset_of(uri)
        asked = Query.parse(query)
        bounds = Bounds.parse(asked, lower, upper)
        if bounds_share is not None and (bounds is not None or asked is Query.COUNT):
            raise InputError.of("--bounds-share where no bounds are to be found", bounds_share, "no --bounds-share")
        if check_share is not None and asked is Query.COUNT:
            raise InputError.of("--check-share for a COUNT, which clamps nothing", check_share, "no --check-share")
        return cls(
            uri=uri,
            address=address,
            dataset=check_dataset(address if dataset is None else dataset),
            format=format_,
            query=asked,
            column=column,
            budget=PrivacyBudget(Epsilon.parse(epsilon)),
            bounds=bounds,
            bounds_share=DEFAULT_BOUNDS_SHARE if bounds_share is None else parse_share(bounds_share),
            check_share=DEFAULT_CHECK_SHARE if check_share is None else parse_check_share(check_share),
            confidence=DEFAULT_CONFIDENCE if confidence is None else parse_confidence(confidence),
        )

    def jobs(self, run_ids: Mapping[str, str], files: Files | None) -> list[JobSpec]:
        """Return the job of each engine, whose run ids these are.

        `files` looks at the names in a folder, for the format; None where the address cannot be looked at yet. Raises
        InputError.
        """
        format_ = format_of(self.uri, self.format, files)
        return [
            JobSpec(
                run_id=run_id,
                dataset=self.dataset,
                engine=engine,
                query=self.query,
                column=self.column,
                budget=self.budget,
                uri=self.address if is_local(self.uri) else self.uri,
                format=format_,
                bounds=self.bounds,
                bounds_share=self.bounds_share,
                check_share=self.check_share,
                confidence=self.confidence,
            )
            for engine, run_id in run_ids.items()
        ]
