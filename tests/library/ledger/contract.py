"""What every ledger promises: a suite that each implementation's tests subclass whole."""

import pytest

from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, InputError, LedgerError
from dpjobs.ledger import Ledger, Reservation
from dpjobs.ledger.base import MAX_DRAWS, MAX_RELEASE, STAGES
from dpjobs.query import PrivacyBudget

DATASET = "census"


def reservation(
    run_id: str = "run-1",
    epsilon: str = "1",
    dataset: str = DATASET,
    digest: str = "a digest",
    place: Place | None = None,
) -> Reservation:
    return Reservation(run_id, dataset, PrivacyBudget(Epsilon(epsilon)), digest, place)


def spent(ledger: Ledger, dataset: str = DATASET) -> Epsilon:
    balance = ledger.balance(dataset)
    assert balance is not None
    return balance.spent


class LedgerContract:
    """Subclasses give `ledger` (empty, every data set starts with 10) and `strict` (no default total)."""

    @pytest.fixture
    def ledger(self) -> Ledger:
        raise NotImplementedError

    @pytest.fixture
    def strict(self) -> Ledger:
        raise NotImplementedError

    # -- admission

    def test_a_table_is_admitted_under_its_own_name_alone(self, strict: Ledger) -> None:
        """Asked before the table is looked at, or a budgeted name would tell whether another's table is there."""
        place = Place("s3://bkt/data/t.csv")
        strict.set_total("own", Epsilon(1), place)
        strict.set_total("other", Epsilon(1))
        strict.admit("own", place)
        for name in ("other", "unknown"):
            with pytest.raises(BudgetError):
                strict.admit(name, place)

    # -- charging

    def test_a_reservation_charges_exactly_what_it_asks(self, ledger: Ledger) -> None:
        assert ledger.reserve([reservation(epsilon="0.123456789")]) == {}
        assert spent(ledger) == Epsilon("0.123456789")
        assert ledger.balance(DATASET).left == Epsilon("9.876543211")
        run = ledger.find("run-1")
        assert (run.run_id, run.dataset, run.epsilon, run.digest) == (
            "run-1",
            DATASET,
            Epsilon("0.123456789"),
            "a digest",
        )
        assert run.reserved_at.endswith("+00:00")
        assert (run.committed_at, run.release) == (None, None)

    def test_amounts_are_exact_however_small(self, ledger: Ledger) -> None:
        for i in range(200):
            ledger.reserve([reservation(f"run-{i}", "0.000001")])
        ledger.reserve([reservation("last", "0.100000001")])
        assert spent(ledger) == Epsilon("0.100200001")

    def test_the_budget_can_be_spent_to_the_last_billionth_and_no_further(self, ledger: Ledger) -> None:
        for i in range(10):
            ledger.reserve([reservation(f"tenth-{i}", "0.1")])  # ten times a binary 0.1 is not 1
        ledger.reserve([reservation("most", "8.999999")])
        ledger.reserve([reservation("rest", "0.000001")])
        assert ledger.balance(DATASET).left == 0
        with pytest.raises(BudgetError):
            ledger.reserve([reservation("more", "0.000001")])
        assert spent(ledger) == 10

    def test_a_refusal_names_what_is_left_and_changes_nothing(self, ledger: Ledger) -> None:
        ledger.reserve([reservation("run-1", "7.5")])
        for attempt in (ledger.reserve, ledger.check):
            with pytest.raises(
                BudgetError, match=r"given '2\.500000001'.* at most 2\.5, which is left of 10"
            ) as told:
                attempt([reservation("run-2", "2.500000001")])
            assert "\n" not in str(told.value)
        assert spent(ledger) == Epsilon("7.5")
        assert ledger.find("run-2") is None
        assert [run.run_id for run in ledger.history(DATASET)] == ["run-1"]

    def test_several_are_charged_all_or_none(self, ledger: Ledger) -> None:
        asked = [reservation("run-1", "6", digest="a"), reservation("run-2", "6", digest="b")]
        for attempt in (ledger.check, ledger.reserve):
            with pytest.raises(BudgetError, match=r"given '12'; allowed: at most 10"):
                attempt(asked)
        assert spent(ledger) == 0
        assert ledger.history(DATASET) == []
        ledger.reserve([reservation("run-1", "5", digest="a"), reservation("run-2", "5", digest="b")])
        assert spent(ledger) == 10

    def test_several_on_different_data_sets_are_charged_all_or_none(self, ledger: Ledger) -> None:
        ledger.set_total("poor", Epsilon("0.5"))
        with pytest.raises(BudgetError, match="'poor'"):
            ledger.reserve([reservation("run-1"), reservation("run-2", dataset="poor")])
        assert spent(ledger) == 0
        assert spent(ledger, "poor") == 0
        assert ledger.find("run-1") is None
        ledger.reserve([reservation("run-1"), reservation("run-2", "0.5", dataset="poor")])
        assert (spent(ledger), spent(ledger, "poor")) == (1, Epsilon("0.5"))

    def test_data_sets_do_not_share_a_budget(self, ledger: Ledger) -> None:
        ledger.reserve([reservation("run-1", "10", dataset="one")])
        ledger.reserve([reservation("run-2", "10", dataset="another")])
        assert ledger.datasets() == ["another", "one"]

    def test_checking_charges_nothing(self, ledger: Ledger) -> None:
        assert ledger.check([reservation()]) == {}
        ledger.ready()
        assert spent(ledger) == 0
        assert ledger.datasets() == []
        assert ledger.find("run-1") is None

    # -- a run id that is there already

    def test_the_same_run_costs_nothing_again(self, ledger: Ledger) -> None:
        ledger.reserve([reservation(epsilon="6")])
        for _ in range(2):
            assert ledger.check([reservation(epsilon="6")]) == {}
            assert ledger.reserve([reservation(epsilon="6")]) == {}
        assert spent(ledger) == 6
        assert len(ledger.history(DATASET)) == 1

    def test_of_several_only_the_new_ones_are_charged(self, ledger: Ledger) -> None:
        ledger.reserve([reservation("run-1", "6")])
        ledger.commit("run-1", "{}")
        assert ledger.reserve([reservation("run-1", "6"), reservation("run-2", "4")]) == {"run-1": "{}"}
        assert spent(ledger) == 10

    @pytest.mark.parametrize("committed", [False, True])
    @pytest.mark.parametrize(
        "other",
        [
            reservation(digest="another digest"),
            reservation(dataset="another"),
            reservation(epsilon="5"),
            reservation(epsilon="0.5"),
        ],
        ids=["digest", "data set", "more", "less"],
    )
    def test_a_run_id_is_bound_to_its_specification(
        self, ledger: Ledger, other: Reservation, committed: bool
    ) -> None:
        ledger.reserve([reservation()])
        if committed:
            ledger.commit("run-1", "{}")
        for attempt in (ledger.check, ledger.reserve):
            with pytest.raises(BudgetError, match=r"the run id belongs to another specification: given 'run-1'"):
                attempt([reservation("run-0"), other])
        assert spent(ledger) == 1
        assert ledger.find("run-0") is None
        assert ledger.datasets() == [DATASET]

    # -- committing

    def test_the_first_release_is_the_one_that_stays_byte_for_byte(self, ledger: Ledger) -> None:
        first = '{"value": 0.1, "column": "Größe\\n\'\\"", "π":  [1.0,2]}  '
        ledger.reserve([reservation()])
        assert ledger.commit("run-1", first) == first
        kept = ledger.find("run-1")
        assert kept.release == first
        assert kept.committed_at.endswith("+00:00")
        for later in ('{"value": 2}', ""):
            assert ledger.commit("run-1", later) == first
        assert ledger.find("run-1") == kept
        assert ledger.reserve([reservation()]) == ledger.check([reservation()]) == {"run-1": first}
        assert spent(ledger) == 1

    def test_a_run_that_was_never_reserved_cannot_be_committed(self, ledger: Ledger) -> None:
        ledger.reserve([reservation()])
        with pytest.raises(LedgerError, match=r"no such reservation: given 'run-2'"):
            ledger.commit("run-2", "{}")
        assert ledger.find("run-2") is None
        assert ledger.find("run-1").release is None

    # -- draws

    def test_what_comes_first_is_what_was_drawn_byte_for_byte(self, ledger: Ledger) -> None:
        first = '{"counts": [-3, 12345678901234567890], "π":  "Größe\n"}  '
        ledger.reserve([reservation(), reservation("run-2", digest="b")])
        assert ledger.find("run-1").draws == {}
        for stage in STAGES:
            assert ledger.store_draws("run-1", stage, first + stage) == first + stage
            for later in ("{}", "", first):
                assert ledger.store_draws("run-1", stage, later) == first + stage
        kept = ledger.find("run-1")
        assert kept.draws == {"histogram": first + "histogram", "totals": first + "totals"}
        assert (kept.release, kept.committed_at) == (None, None)
        assert ledger.find("run-2").draws == {}
        assert ledger.commit("run-1", "{}") == "{}"
        assert ledger.store_draws("run-1", "totals", "late") == first + "totals"
        assert ledger.history(DATASET)[0].draws == kept.draws
        assert spent(ledger) == 2

    def test_draws_wait_for_a_reservation_and_not_for_a_release(self, ledger: Ledger) -> None:
        """A release without draws is one of the first version's: nothing is drawn beside it."""
        ledger.reserve([reservation()])
        ledger.commit("run-1", "{}")
        for run_id in ("run-1", "run-2"):
            with pytest.raises(LedgerError, match=f"no reservation that waits for draws: given '{run_id}'"):
                ledger.store_draws(run_id, "totals", "{}")
        assert ledger.find("run-1").draws == {}
        assert ledger.find("run-2") is None

    def test_there_are_two_stages(self, ledger: Ledger) -> None:
        ledger.reserve([reservation()])
        for stage in ("release", "digest", "histogram = 'x', totals"):
            with pytest.raises(ValueError, match="no stage"):
                ledger.store_draws("run-1", stage, "{}")
        assert ledger.find("run-1").draws == {}

    def test_what_is_too_large_is_refused_and_not_cut(self, ledger: Ledger) -> None:
        ledger.reserve([reservation()])
        with pytest.raises(LedgerError, match="what was drawn is too large for the ledger: given '65537 bytes'"):
            ledger.store_draws("run-1", "totals", "x" * (MAX_DRAWS + 1))
        with pytest.raises(LedgerError, match="the release is too large for the ledger: given '262145 bytes'"):
            ledger.commit("run-1", "x" * (MAX_RELEASE + 1))
        assert (ledger.find("run-1").draws, ledger.find("run-1").release) == ({}, None)

    # -- one table, one budget

    @pytest.mark.parametrize(
        ("name", "address", "words"),
        [
            ("/data/x.csv", "/data/x.csv", r"has its budget under another name: given '/data/x\.csv'"),
            ("sensus", "/data/x.csv", "has its budget under another name: given 'sensus'"),
            ("/data", "/data", "contains one that has a budget: given '/data'"),
            ("other", "/data", "contains one that has a budget: given '/data'"),
            ("/", "/", "contains one that has a budget: given '/'"),
            ("/data/x.csv/part", "/data/x.csv/part", "lies in one that has a budget: given '/data/x.csv/p"),
            ("s3://bkt/k", "s3://bkt/k", "contains one that has a budget: given 's3://bkt/k'"),
            ("s3://bkt", "s3://bkt", "contains one that has a budget: given 's3://bkt'"),
            ("s3://bkt/k/y/z", "s3://bkt/k/y/z", "lies in one that has a budget: given 's3://bkt/k/y/z'"),
            ("other", "s3://bkt/k/y", "has its budget under another name: given 'other'"),
        ],
    )
    def test_a_table_that_is_charged_once_has_its_budget_there(
        self, ledger: Ledger, name: str, address: str, words: str
    ) -> None:
        ledger.reserve([reservation(place=Place("/data/x.csv"))])
        ledger.reserve([reservation("run-2", place=Place("s3://bkt/k/y"))])
        for attempt in (ledger.check, ledger.reserve):
            with pytest.raises(
                BudgetError, match=rf"^the (table|data set's name) {words}.* the data set 'census' \(--dataset\)"
            ) as told:
                attempt([reservation("run-3", dataset=name, place=Place(address))])
            assert "\n" not in str(told.value)
        assert spent(ledger) == 2
        assert ledger.find("run-3") is None
        ledger.reserve([reservation("run-3", place=Place(address))])
        assert spent(ledger) == 3

    @pytest.mark.parametrize(
        "address",
        ["/data/x.csv2", "/data/x", "/datax", "/data/y.csv", "s3://bkt/k/y2", "s3://bkt2/k/y", "/s3:/b/k/y"],
    )
    def test_what_only_looks_alike_is_another_table(self, ledger: Ledger, address: str) -> None:
        ledger.reserve([reservation(place=Place("/data/x.csv"))])
        ledger.reserve([reservation("run-2", place=Place("s3://bkt/k/y"))])
        ledger.reserve([reservation("run-3", dataset=address, place=Place(address))])
        assert spent(ledger, address) == 1

    def test_where_links_lead_is_claimed_as_well(self, ledger: Ledger) -> None:
        ledger.reserve([reservation(place=Place("/links", links=frozenset({"/data/x.csv", "/more"})))])
        for address in ("/data/x.csv", "/data", "/more/y.csv"):
            with pytest.raises(BudgetError, match="'census'"):
                ledger.reserve([reservation("run-2", dataset=address, place=Place(address))])
        linked = Place("/others", links=frozenset({"/more/y.csv"}))
        with pytest.raises(BudgetError, match="'census'"):
            ledger.reserve([reservation("run-2", dataset="/others", place=linked)])
        assert spent(ledger) == 1

    def test_of_several_none_is_charged_where_one_table_is_anothers(self, ledger: Ledger) -> None:
        ledger.reserve([reservation(place=Place("/data"))])
        two = [reservation("run-2"), reservation("run-3", dataset="other", place=Place("/data/x.csv"))]
        for attempt in (ledger.check, ledger.reserve):
            with pytest.raises(BudgetError, match="lies in one that has a budget"):
                attempt(two)
        assert spent(ledger) == 1
        assert ledger.find("run-2") is None

    def test_nor_where_two_of_them_are_one_table(self, ledger: Ledger) -> None:
        linked = frozenset({"1@1"})
        for one, other in (
            (Place("/data"), Place("/data")),
            (Place("/data"), Place("/data/x.csv")),
            (Place("s3://bkt/x/y"), Place("s3://bkt/x")),
            (Place("/data/x.csv", files=linked), Place("/link.csv", files=linked)),
        ):
            two = [reservation(place=one), reservation("run-2", dataset="other", digest="b", place=other)]
            for attempt in (ledger.check, ledger.reserve):
                with pytest.raises(BudgetError, match="'census'"):
                    attempt(two)
        assert ledger.find("run-1") is None
        both = [reservation(place=Place("/data")), reservation("run-2", digest="b", place=Place("/data"))]
        ledger.reserve(both)
        assert spent(ledger) == 2

    def test_a_run_that_is_reserved_reads_no_table_that_is_anothers_by_now(self, ledger: Ledger) -> None:
        """Else each unfinished run is a ticket for reading some other table once, on its own budget."""
        ledger.reserve([reservation()])  # as a ledger of the first version has it: no table is known
        asked = [reservation(place=Place("/data"))]
        assert ledger.check(asked) == ledger.reserve(asked) == {}
        ledger.reserve([reservation("run-2", dataset="other", place=Place("/data"))])
        for ask in (ledger.check, ledger.reserve):
            with pytest.raises(
                BudgetError, match=r"the table has its budget under another name.* the data set 'other'"
            ):
                ask(asked)
        ledger.commit("run-1", "{}")
        assert ledger.check(asked) == ledger.reserve(asked) == {"run-1": "{}"}  # nothing is read for it
        assert spent(ledger) == 1

    def test_totals_go_to_one_of_the_addresses_that_contain_each_other(self, ledger: Ledger) -> None:
        ledger.set_total("s3://bkt/data/x.csv", Epsilon(1))
        ledger.set_total("s3://bkt/data/y.csv", Epsilon(1))
        for name in ("s3://bkt/data", "s3://bkt", "s3://bkt/data/x.csv/part"):
            with pytest.raises(BudgetError, match=r"the data set 's3://bkt/data/[xy]\.csv' \(--dataset\)"):
                ledger.set_total(name, Epsilon(5))
        assert ledger.datasets() == ["s3://bkt/data/x.csv", "s3://bkt/data/y.csv"]
        ledger.set_total("s3://bkt/data/x.csv", Epsilon(2))
        ledger.reserve([reservation(dataset="s3://bkt/data/x.csv", place=Place("s3://bkt/data/x.csv"))])
        with pytest.raises(BudgetError, match="under another name: given 'census'"):
            ledger.reserve([reservation("run-2", place=Place("s3://bkt/data/y.csv"))])

    def test_a_total_with_its_table_is_refused_where_that_is_anothers(self, ledger: Ledger) -> None:
        ledger.reserve([reservation(place=Place("/data/x.csv"))])
        with pytest.raises(BudgetError, match=r"under another name: given '/data/x\.csv'.* the data set 'census'"):
            ledger.set_total("/data/x.csv", Epsilon(5), Place("/data/x.csv"))
        assert ledger.datasets() == [DATASET]

    @pytest.mark.parametrize(
        ("name", "spelling"),
        [
            ("s3://bkt//x", "s3://bkt/x"),
            ("s3a://bkt/x", "s3://bkt/x"),
            ("S3://bkt/x", "s3://bkt/x"),
            ("s3://bkt/x/", "s3://bkt/x"),
            ("/data/../x", "/x"),
            ("//x", "/x"),
            ("file:///x", "/x"),
        ],
    )
    def test_an_address_is_a_name_in_its_one_spelling_only(self, ledger: Ledger, name: str, spelling: str) -> None:
        for use in (
            lambda: ledger.set_total(name, Epsilon(5)),
            lambda: ledger.reserve([reservation(dataset=name)]),
            lambda: ledger.reserve([reservation(dataset=name, place=Place("/elsewhere"))]),
        ):
            with pytest.raises(InputError, match=f"not in its one spelling: given '{name}'; allowed: '{spelling}'$"):
                use()
        assert ledger.datasets() == []

    def test_the_state_of_the_table_stays_with_the_run(self, ledger: Ledger) -> None:
        ledger.reserve([reservation(place=Place("/data", state="a" * 64)), reservation("run-2", digest="b")])
        assert ledger.find("run-1").state == "a" * 64
        assert ledger.reserve([reservation(place=Place("/data", state="b" * 64))]) == {}
        assert ledger.history(DATASET)[0].state == "a" * 64
        assert ledger.find("run-2").state is None

    # -- totals

    def test_a_total_may_rise_and_fall_to_what_is_spent_but_not_below(self, ledger: Ledger) -> None:
        ledger.reserve([reservation(epsilon="3")])
        with pytest.raises(InputError, match=r"given '2\.999999999'; allowed: at least 3$"):
            ledger.set_total(DATASET, Epsilon("2.999999999"))
        assert ledger.balance(DATASET).left == 7
        ledger.set_total(DATASET, Epsilon(3))
        assert ledger.balance(DATASET).left == 0
        with pytest.raises(BudgetError):
            ledger.reserve([reservation("run-2", "0.000001")])
        ledger.set_total(DATASET, Epsilon(20))
        ledger.reserve([reservation("run-2", "17")])
        assert (spent(ledger), ledger.balance(DATASET).left) == (20, 0)

    def test_a_total_can_be_set_before_the_first_use(self, ledger: Ledger) -> None:
        ledger.set_total(DATASET, Epsilon("0.5"))
        assert ledger.datasets() == [DATASET]
        with pytest.raises(BudgetError, match=r"at most 0\.5, which is left of 0\.5"):
            ledger.reserve([reservation(epsilon="1")])
        assert spent(ledger) == 0

    def test_without_a_default_an_unknown_data_set_is_refused(self, strict: Ledger) -> None:
        assert strict.balance(DATASET) is None
        for attempt in (strict.check, strict.reserve):
            with pytest.raises(BudgetError, match="the data set has no budget: given 'census'"):
                attempt([reservation()])
        assert strict.datasets() == []
        assert strict.find("run-1") is None
        strict.set_total(DATASET, Epsilon(1))
        strict.reserve([reservation()])
        assert strict.balance(DATASET).left == 0

    # -- looking

    def test_an_empty_ledger_can_be_looked_at(self, ledger: Ledger) -> None:
        assert ledger.balance(DATASET).left == 10
        assert (ledger.datasets(), ledger.history(DATASET), ledger.find("run-1")) == ([], [], None)

    def test_the_history_is_that_of_one_data_set_oldest_first(self, ledger: Ledger) -> None:
        for name in ("z", "a", "m"):
            ledger.reserve([reservation(name, "0.5")])
        ledger.reserve([reservation("elsewhere", dataset="another")])
        ledger.commit("a", "{}")
        runs = ledger.history(DATASET)
        assert [(run.run_id, run.release) for run in runs] == [("z", None), ("a", "{}"), ("m", None)]
        assert [run.reserved_at for run in runs] == sorted(run.reserved_at for run in runs)
        assert runs[1] == ledger.find("a")

    def test_names_are_data_not_statements(self, ledger: Ledger) -> None:
        name = 'o\'brien; DROP TABLE runs; --%_ "§" 数'
        ledger.reserve([reservation(dataset=name, digest=name)])
        assert ledger.datasets() == [name]
        assert ledger.history(name)[0].digest == name
        assert ledger.history("%") == []
