"""Bounds are exact, and what is no plain number is refused."""

from decimal import Decimal

import pytest

from dpjobs.errors import InputError
from dpjobs.query import (
    Bounds,
    JobSpec,
    PrivacyBudget,
    PrivacyUnit,
    Query,
    check_run_id,
    parse_bound,
)


def spec(**changes: object) -> JobSpec:
    given = {
        "run_id": "r", "dataset": "d", "engine": "tumult", "query": Query.MEAN, "column": "x",
        "budget": PrivacyBudget(Decimal(1)), "uri": "/t.csv", "format": "csv", "bounds": Bounds(0, 10),
    }  # fmt: skip
    return JobSpec(**{**given, **changes})


def test_the_digest_holds_all_but_the_run_id() -> None:
    changes: list[dict[str, object]] = [
        {"dataset": "e"}, {"engine": "pipelinedp"}, {"query": Query.SUM}, {"column": "y"}, {"uri": "/u.csv"},
        {"budget": PrivacyBudget(Decimal("1.000000001"))}, {"format": "parquet"}, {"bounds": Bounds(0, 10.000001)},
        {"bounds": None}, {"confidence": 0.9}, {"bounds": None, "bounds_share": Decimal("0.2")},
    ]  # fmt: skip
    digests = {spec(**change).digest() for change in [{}, *changes]}
    assert len(digests) == len(changes) + 1
    assert spec(run_id="other").digest() == spec().digest()
    assert spec(bounds_share=Decimal("0.3")).digest() == spec().digest()  # given bounds: it has no effect


def test_a_count_has_no_bounds() -> None:
    with pytest.raises(InputError, match="bounds for a COUNT, which counts every row whatever its value"):
        spec(query=Query.COUNT)


@pytest.mark.parametrize("share", ["0", "1", "0." + "9" * 40, "1e-10"])
def test_a_share_that_leaves_nothing_for_the_answer(share: str) -> None:
    with pytest.raises(InputError, match="bounds share: given"):
        spec(bounds=None, bounds_share=Decimal(share))


@pytest.mark.parametrize("confidence", [0.0, 0.49, 1.0, float("nan")])
def test_a_confidence_that_no_interval_has(confidence: float) -> None:
    with pytest.raises(InputError, match="confidence: given"):
        spec(confidence=confidence)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (lambda: Bounds(10, 0), "lower is above upper: given 'lower 10, upper 0'"),
        (lambda: Bounds(0, float("inf")), "upper is out of range"),
        (lambda: Bounds(float("nan"), 0), "lower is out of range"),
        (lambda: Bounds.parse(Query.SUM, "0", None), "only one bound"),
        (lambda: parse_bound("2e30", "lower"), "out of range"),
        (lambda: parse_bound("inf", "lower"), "not a finite number"),
        (lambda: PrivacyBudget(Decimal(1), Decimal("1e-9")), "delta"),
        (lambda: PrivacyUnit("user"), "unknown privacy unit"),
    ],
)
def test_what_would_change_the_promise_is_refused(make, said: str) -> None:
    with pytest.raises(InputError, match=said):
        make()


def test_a_binary_float_is_no_budget() -> None:
    with pytest.raises(TypeError, match="exact"):
        PrivacyBudget(0.1)
    assert PrivacyBudget(Decimal("0.123456789")).epsilon.billionths == 123456789


@pytest.mark.parametrize("run_id", ["", "../run", "a/b", ".hidden", "run\n", "r" * 129, "run id", "läuft"])
def test_a_run_id_names_no_place(run_id: str) -> None:
    """It becomes a file's name and an object's key."""
    with pytest.raises(InputError, match="malformed run id"):
        check_run_id(run_id)
    assert check_run_id("r" * 128) == "r" * 128
