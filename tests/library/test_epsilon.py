"""Epsilon is exact, is read as it was meant or refused, and its shares never cost more than it does."""

import math
from decimal import Decimal
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dpjobs.epsilon import LEAST, MOST, Epsilon, plain
from dpjobs.errors import InputError

BILLIONTHS = st.integers(0, 10**15)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("0.1", "0.1"),
        ("1e-6", "0.000001"),
        ("0.123456789", "0.123456789"),
        (".5", "0.5"),
        ("1e3", "1000"),
    ],
)
def test_it_is_read_exactly(text: str, value: str) -> None:
    read = Epsilon.parse(text)
    assert (type(read), read, plain(read)) == (Epsilon, Decimal(value), value)
    assert Epsilon.parse(text + "0" * 40 if "." in text else text) == Decimal(value)


@pytest.mark.parametrize(
    "text",
    [
        "0.1" + "0" * 40 + "1",
        "0.1234567891",
        "1e-7",
        "1000.000000001",
        "1_0",
        "٣",
        "0x1",
        "",
        "-1",
        "0",
        "nan",
        "inf",
    ],
)
def test_a_typo_is_refused(text: str) -> None:
    with pytest.raises(
        InputError, match=r"^epsilon (is|has) .*; allowed: a number from 0.000001 to 1000 with at most"
    ):
        Epsilon.parse(text)


@pytest.mark.parametrize("value", ["-0.1", "0.0000000001", "NaN", "Infinity", Decimal(1) / 3])
def test_an_amount_that_no_ledger_can_hold_is_none(value: str | Decimal) -> None:
    with pytest.raises(ValueError, match="whole billionths"):
        Epsilon(value)


def test_a_binary_fraction_is_none() -> None:
    with pytest.raises(TypeError, match="exact"):
        Epsilon(0.5)  # type: ignore[arg-type]


@given(BILLIONTHS, BILLIONTHS)
def test_sums_and_differences_are_exact(a: int, b: int) -> None:
    more, less = (Epsilon.of_billionths(x) for x in (max(a, b), min(a, b)))
    assert [(type(x), x.billionths) for x in (more + less, more - less, sum([less, more]))] == [
        (Epsilon, a + b),
        (Epsilon, abs(a - b)),
        (Epsilon, a + b),
    ]
    if more > less:
        with pytest.raises(ValueError, match="not negative"):
            less - more


@given(BILLIONTHS)
def test_what_a_ledger_stores_is_what_it_was(billionths: int) -> None:
    assert Epsilon.of_billionths(billionths).billionths == billionths
    assert Epsilon.of_billionths(billionths) == Fraction(billionths, 10**9)
    assert Epsilon(plain(Epsilon.of_billionths(billionths))).billionths == billionths


@given(BILLIONTHS, st.fractions(0, 1))
def test_a_share_is_rounded_down(billionths: int, part: Fraction) -> None:
    assert Epsilon.of_billionths(billionths).share(part).billionths == math.floor(billionths * part)


@given(st.decimals(0, 10**6, places=15))
def test_at_least_is_rounded_up(number: Decimal) -> None:
    least = Epsilon.at_least(number)
    assert least >= number
    assert Fraction(least) - Fraction(number) < Fraction(1, 10**9)


def test_the_ends_are_those_that_the_docs_name() -> None:
    assert (str(LEAST), f"{MOST}", f"{MOST:.2f}") == ("0.000001", "1000", "1000.00")
