"""What the commands do when a run ends, fails or is interrupted: a target that is played here, and a real ledger."""

import io
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import click
import pytest
from click.testing import CliRunner

from dpcloud.aws.errors import AwsError
from dpcloud.aws.stacks import Deployment
from dpcloud.cloud import following, run, runs, runs_table
from dpcloud.cloud.following import follow, spent_of
from dpcloud.cloud.run import Asked, run_there
from dpcloud.running import Options
from dpcloud.targets.base import CloudRun, Phase, Question, Target
from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.errors import BudgetError, DoubtError, InputError, InterruptError, LedgerError, RunError
from dpjobs.ledger import SQLiteLedger
from dpjobs.ledger.base import Reservation
from dpjobs.query import JobSpec
from dpjobs.request import Request

ADDRESS = "s3://bucket/data/x.csv"
RUN = CloudRun(target="glue", run_id="run-1", platform_id="j/jr_1", state="RUNNING", phase=Phase.RUNNING)


class Played(Target):
    """A target whose runs take these states one after another."""

    name, title = "glue", "Played"

    def __init__(self, *phases: Phase) -> None:
        super().__init__(Deployment("dp"))
        self._phases = iter(phases)
        self.started: list[Question] = []
        self.stopped = False
        self.ends: Callable[[], None] = lambda: None
        self.refusal: BaseException | None = None

    def start(self, question: Question) -> CloudRun:
        if self.refusal:
            raise self.refusal
        self.started.append(question)
        return replace(RUN, run_id=question.run_id)

    def look(self, run: CloudRun) -> CloudRun:
        if (phase := next(self._phases, None)) is None:
            raise KeyboardInterrupt
        self.ends()
        return replace(run, phase=phase, state=phase.name)

    def stop(self, run: CloudRun) -> None:
        if self.refusal:
            raise self.refusal
        self.stopped = True

    def find(self, run_id: str) -> CloudRun | None:
        raise NotImplementedError

    def runs(self) -> Iterator[CloudRun]:
        return iter(())

    def logs(self, run: CloudRun) -> Iterator[str]:
        return iter(())


@pytest.fixture(autouse=True)
def no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "_FIRST_PAUSE_SECONDS", 0)


@pytest.fixture
def ledger(tmp_path: Path) -> SQLiteLedger:
    return SQLiteLedger(tmp_path / "ledger.db")


def typed(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    """A user at a terminal, who types a word."""
    terminal = io.StringIO(f"{word}\n")
    terminal.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stdin", terminal)


# -- Ctrl-C


def interrupted(target: Played, ledger: Any) -> str:
    with pytest.raises(InterruptError) as raised:
        follow(target, RUN, ledger, False)
    return str(raised.value)


@pytest.mark.parametrize("word", ["", "n"])
def test_enter_alone_leaves_the_run_going(ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    typed(monkeypatch, word)
    target = Played()
    assert "the run goes on: `dpcloud status run-1`" in interrupted(target, ledger)
    assert not target.stopped


class _Once(Played):
    """Its first look is where Ctrl-C comes."""

    def __init__(self, *phases: Phase) -> None:
        super().__init__(*phases)
        self._interrupts = True

    def look(self, run: CloudRun) -> CloudRun:
        if self._interrupts:
            self._interrupts = False
            raise KeyboardInterrupt
        return super().look(run)


def test_a_yes_stops_the_run_and_says_so_when_it_has_stopped(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    typed(monkeypatch, "y")
    target = _Once(Phase.RUNNING, Phase.RUNNING, Phase.STOPPED)
    assert interrupted(target, ledger) == "was interrupted; the run is stopped; nothing is spent"
    assert target.stopped
    assert next(target._phases, None) is None  # it was waited for
    typed(monkeypatch, "y")
    meanwhile = interrupted(_Once(Phase.SUCCEEDED), ledger)
    assert meanwhile == "was interrupted; the run has succeeded meanwhile: `dpcloud result run-1`"


def test_a_stop_that_is_refused_is_told(ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    typed(monkeypatch, "y")
    target = _Once()
    target.refusal = AwsError("AWS does not let you stop it")
    told = interrupted(target, ledger)
    assert told.startswith("was interrupted; the run goes on: `dpcloud status run-1`")
    assert told.endswith("; it could not be stopped: AWS does not let you stop it")


# -- what is spent


class Silent:
    """A ledger that does not answer."""

    def find(self, run_id: str) -> None:
        raise LedgerError("the ledger does not answer")


def test_what_a_ledger_does_not_tell_is_in_doubt_not_unspent(ledger: SQLiteLedger) -> None:
    silent: Any = Silent()
    assert spent_of("run-1", silent).startswith("whether its epsilon is spent is in doubt: `dpcloud status run-1`")
    assert spent_of("run-1", ledger) == "nothing is spent"


# -- run


def asked(target: str = "glue", **more: Any) -> Asked:
    words = {"query": "SUM", "column": "a", "epsilon": "1", "lower": "0", "upper": "9"}
    request = Request.parse(uri=ADDRESS, **{**words, **more.pop("words", {})})
    given = {"unhardened": False, "again": False, "wait": True, "yes": False, "progress": False}
    specs = tuple(request.jobs({"pipelinedp": "run-1"}, None))
    return Asked(target=target, request=request, specs=specs, **{**given, **more})


def release(ledger: SQLiteLedger, spec: JobSpec) -> None:
    """What the run does there."""
    ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest(), Place(ADDRESS))])
    ledger.commit(spec.run_id, '{"value": 1}')


@pytest.fixture
def cluster(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """No cluster is up; gives what was started."""
    started: list[str] = []

    def start(_: Deployment) -> Any:
        started.append("j-1")
        return SimpleNamespace(id="j-1")

    monkeypatch.setattr(run, "live_cluster", lambda _: None)
    monkeypatch.setattr(run, "offer", lambda _: SimpleNamespace(text="a cluster for 3 USD an hour"))
    monkeypatch.setattr(run, "start_cluster", start)
    return started


def test_no_cluster_is_started_for_what_is_released(ledger: SQLiteLedger, cluster: list[str]) -> None:
    question = asked("emr", yes=True, again=True)
    release(ledger, question.specs[0])
    outcome = run_there(Deployment("dp"), ledger, question)
    assert outcome is not None
    assert outcome.releases == {"run-1": '{"value": 1}'}
    assert cluster == []


def test_a_cluster_is_started_only_when_its_price_is_agreed_to(
    ledger: SQLiteLedger,
    cluster: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    target = Played(Phase.FAILED)
    monkeypatch.setattr(run, "Emr", lambda _: target)
    monkeypatch.setattr("sys.stdin", io.StringIO("y\n"))  # no terminal
    with pytest.raises(InputError, match="no cluster is up; this starts a cluster for 3 USD an hour; allowed: --yes"):
        run_there(Deployment("dp"), ledger, asked("emr"))
    typed(monkeypatch, "n")
    with pytest.raises(InputError, match="no cluster is started, and nothing is asked"):
        run_there(Deployment("dp"), ledger, asked("emr"))
    typed(monkeypatch, "")
    with pytest.raises(InputError, match="no cluster is started, and nothing is asked"):
        run_there(Deployment("dp"), ledger, asked("emr"))
    assert (cluster, target.started) == ([], [])
    capsys.readouterr()
    with pytest.raises(RunError, match="the run is FAILED"):
        run_there(Deployment("dp"), ledger, asked("emr", yes=True))
    assert "this starts a cluster for 3 USD an hour" in capsys.readouterr().err
    monkeypatch.setattr(run, "live_cluster", lambda _: "j-0")
    target._phases = iter([Phase.FAILED])
    with pytest.raises(RunError, match="the run is FAILED"):
        run_there(Deployment("dp"), ledger, asked("emr"))
    assert (cluster, len(target.started)) == (["j-1"], 2)


def played(monkeypatch: pytest.MonkeyPatch, target: Played) -> None:
    monkeypatch.setattr(run, "start_on_glue", lambda _, question: (target, target.start(question)))


@pytest.mark.parametrize("target", ["glue", "emr"])
@pytest.mark.parametrize("column", ["", "*", "-x", "--ledger"])
def test_a_columns_name_that_would_become_another_word_is_refused(target: str, column: str) -> None:
    """Refused here: a script that takes it for something else answers another question, or never ends well."""
    request = replace(asked().request, column=column)
    with pytest.raises(InputError, match=r"a column's name that (Glue|EMR) hands on as something else"):
        run.check_cloud(target, request, "opendp", False, None)


def test_an_epsilon_that_no_engine_can_share_out_starts_nothing(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Played()
    played(monkeypatch, target)
    with pytest.raises(InputError, match="epsilon is too small for MEAN"):
        run_there(Deployment("dp"), ledger, asked(words={"query": "MEAN", "epsilon": "0.000001"}))
    assert target.started == []


def test_a_table_that_has_another_budget_is_refused_before_anything_starts(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, cluster: list[str]
) -> None:
    """Whatever name is given to it: on EMR a question may name its data set."""
    target = Played()
    monkeypatch.setattr(run, "Emr", lambda _: target)
    ledger.set_total("mine", Epsilon(1), Place(ADDRESS))
    with pytest.raises(BudgetError, match="mine"):
        run_there(Deployment("dp"), ledger, asked("emr", words={"dataset": "census"}, yes=True))
    assert (target.started, cluster) == ([], [])


def test_a_run_that_has_succeeded_since_the_ledger_was_asked_is_not_started_again(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    target, question = Played(), asked(again=True)
    played(monkeypatch, target)

    def find(_: Deployment, run_id: str) -> tuple[Target, CloudRun]:
        release(ledger, question.specs[0])
        same = Question.of(question.specs[0])
        return target, replace(RUN, phase=Phase.SUCCEEDED, state="SUCCEEDED", question=same)

    monkeypatch.setattr(run, "find", find)
    outcome = run_there(Deployment("dp"), ledger, question)
    assert outcome is not None
    assert outcome.releases == {"run-1": '{"value": 1}'}
    assert target.started == []


def test_no_second_run_is_started_while_it_is_unknown_whether_there_is_one(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Played(Phase.FAILED)
    played(monkeypatch, target)
    refused = AwsError("AWS is too busy")
    refused.code = "ThrottlingException"

    def find(*_: object) -> None:
        raise refused

    monkeypatch.setattr(run, "find", find)
    with pytest.raises(AwsError, match="AWS is too busy"):
        run_there(Deployment("dp"), ledger, asked(again=True))
    assert target.started == []
    refused.code = "AccessDenied"  # who may start and not look: the ledger charges it once
    with pytest.raises(RunError, match="the run is FAILED"):
        run_there(Deployment("dp"), ledger, asked(again=True))
    assert len(target.started) == 1


def test_a_release_that_cannot_be_fetched_is_fetched_later(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = "`dpcloud result run-1` fetches it later, at no cost"
    played(monkeypatch, Played(Phase.SUCCEEDED))
    with pytest.raises(RunError, match=f"its release is not in this ledger; {later}"):
        run_there(Deployment("dp"), ledger, asked())
    [spec] = asked().specs  # nor is one that is charged and has none
    ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest(), Place(ADDRESS))])
    played(monkeypatch, Played(Phase.SUCCEEDED))
    with pytest.raises(RunError, match=f"its release is not in this ledger; {later}"):
        run_there(Deployment("dp"), ledger, asked())
    target = Played(Phase.SUCCEEDED)
    target.ends = lambda: monkeypatch.setattr(ledger, "find", Silent().find)
    played(monkeypatch, target)
    with pytest.raises(RunError, match=rf"could not be fetched \(the ledger does not answer\); {later}"):
        run_there(Deployment("dp"), ledger, asked())


def test_a_start_that_is_interrupted_or_not_answered_may_have_started_it(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    target = Played()
    played(monkeypatch, target)
    target.refusal = KeyboardInterrupt()
    with pytest.raises((InterruptError, KeyboardInterrupt)) as raised:
        run_there(Deployment("dp"), ledger, asked())
    assert "which it may be; the same command with --run-id run-1 pays once" in str(raised.value)
    lost = AwsError("no answer")
    lost.code = "NoAnswer"
    target.refusal = lost
    with pytest.raises(DoubtError, match="is not known; the same command with --run-id run-1 pays once"):
        run_there(Deployment("dp"), ledger, asked())


# -- rerun


QUESTIONS = [
    {"column": None, "query": "COUNT", "format": "parquet", "dataset": "census"},
    {"lower": "-1.5", "upper": "2.0", "check_share": "0.2", "confidence": "0.9", "dataset": ADDRESS},
    {"bounds_share": "0.3", "check_share": "0.01", "confidence": "0.5", "engine": "diffprivlib", "unhardened": True},
]
PLAIN = {
    "run_id": "run-1",
    "engine": "opendp",
    "uri": ADDRESS,
    "query": "SUM",
    "column": "a",
    "epsilon": "0.75",
    **dict.fromkeys(("lower", "upper", "format", "bounds_share", "check_share", "confidence")),
}


def rerun(monkeypatch: pytest.MonkeyPatch, target: str, words: dict[str, Any], *options: str) -> Options:
    """What `dpcloud rerun` asks."""
    seen: list[Options] = []
    earlier = replace(RUN, target=target, question=Question(**{**PLAIN, **words}))
    monkeypatch.setattr("dpcloud.targets.cloud.find", lambda *_: (Played(), earlier))
    monkeypatch.setattr("dpcloud.running._run_in_aws", lambda given, _: seen.append(given))
    monkeypatch.setattr(runs, "deployed_ledger", lambda _: SimpleNamespace(find=lambda _: None))
    CliRunner().invoke(runs.rerun, ["run-1", "--stack", "other", *options], catch_exceptions=False)
    return seen[0]


@pytest.mark.parametrize("words", QUESTIONS, ids=str)
@pytest.mark.parametrize("target", ["glue", "emr"])
def test_a_rerun_asks_the_same_question_word_by_word(
    monkeypatch: pytest.MonkeyPatch, target: str, words: dict[str, Any]
) -> None:
    """Of the same engine, on the same budget, in the same deployment; its run id alone is new."""
    given = rerun(monkeypatch, target, words, "--yes", "--no-wait")
    again = {
        **{name: getattr(given, name) for name in PLAIN if name not in ("run_id", "format")},
        "format": given.format_,
        "dataset": given.dataset,
        "unhardened": given.unhardened,
    }
    asked = {**PLAIN, "dataset": None, "unhardened": False, **words}
    del asked["run_id"]
    if asked["confidence"] is None:
        asked["confidence"] = again["confidence"]
    assert again == asked
    assert (given.target, given.stack, given.run_id) == (target, "other", None)
    assert (given.yes, given.no_wait, given.output) == (True, True, None)


@pytest.mark.parametrize("word", ["n", ""])
def test_a_no_is_no_rerun_and_a_yes_starts_no_cluster_unasked(monkeypatch: pytest.MonkeyPatch, word: str) -> None:
    typed(monkeypatch, word)
    seen: list[Options] = []
    monkeypatch.setattr("dpcloud.targets.cloud.find", lambda *_: (Played(), replace(RUN, question=Question(**PLAIN))))
    monkeypatch.setattr("dpcloud.running._run_in_aws", lambda given, _: seen.append(given))
    monkeypatch.setattr(runs, "deployed_ledger", lambda _: SimpleNamespace(find=lambda _: None))
    context = click.Context(runs.rerun)
    with pytest.raises(InputError, match="nothing is asked"), context:
        context.invoke(runs.rerun, run_id="run-1", stack="dp", yes=False, no_wait=False)
    assert seen == []
    typed(monkeypatch, "y")  # to the charge; a cluster has a price of its own
    context = click.Context(runs.rerun)
    with context:
        context.invoke(runs.rerun, run_id="run-1", stack="dp", yes=False, no_wait=False)
    assert [given.yes for given in seen] == [False]


# -- status and result


def told(monkeypatch: pytest.MonkeyPatch, ledger: SQLiteLedger, command: click.Command, *words: str) -> str:
    """What a command says of the run, which AWS calls jr_1, and we run-1."""
    ended = replace(RUN, phase=Phase.SUCCEEDED, state="SUCCEEDED")
    monkeypatch.setattr("dpcloud.targets.cloud.find", lambda *_: (Played(), ended))
    monkeypatch.setattr(runs, "deployed_ledger", lambda _: ledger)
    done = CliRunner().invoke(command, ["--stack", "dp", *words])
    return done.output if done.exception is None else str(done.exception)


def test_a_run_may_be_named_as_aws_does(ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch) -> None:
    release(ledger, asked().specs[0])
    assert told(monkeypatch, ledger, runs.result, "jr_1", "--json") == '{"value": 1}\n'
    said = told(monkeypatch, ledger, runs.status, "jr_1")
    assert f"ledger: epsilon 1 of {ADDRESS} is spent; released " in said
    assert said.endswith("next: `dpcloud result run-1 --stack dp`\n")


def test_a_run_that_is_charged_and_has_no_release_shows_none(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    [spec] = asked().specs
    ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest(), Place(ADDRESS))])
    said = told(monkeypatch, ledger, runs.result, "run-1", "--json")
    assert said.startswith("the run has no release: given 'run-1'")
    said = told(monkeypatch, ledger, runs.status, "jr_1")
    assert f"ledger: epsilon 1 of {ADDRESS} is spent; there is no release yet" in said


def test_what_a_busy_aws_does_not_tell_is_not_told_as_none(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    busy = AwsError("AWS is too busy")
    busy.code = "ThrottlingException"

    def find(*_: object) -> None:
        raise busy

    release(ledger, asked().specs[0])
    monkeypatch.setattr(runs, "deployed_ledger", lambda _: ledger)
    monkeypatch.setattr("dpcloud.targets.cloud.find", find)
    assert CliRunner().invoke(runs.status, ["run-1", "--stack", "dp"]).exception is busy
    busy.code = "AccessDenied"  # who may not look is told what the ledger says
    assert "is spent; released " in CliRunner().invoke(runs.status, ["run-1", "--stack", "dp"]).output


# -- the list


def test_the_list_says_who_and_what_it_could_not_look_at(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch
) -> None:
    question = asked()
    release(ledger, question.specs[0])
    denied = AwsError("AWS does not let you list it")
    denied.code, denied.action = "AccessDenied", "elasticmapreduce:ListClusters"

    def of(_: Deployment, ending: str, *__: object) -> list[CloudRun]:
        if ending == "emr":
            raise denied
        return [RUN, replace(RUN, run_id=None, platform_id="j/jr_2")]

    monkeypatch.setattr(runs_table, "_runs", of)
    monkeypatch.setattr(runs_table, "starters", lambda: {"run-1": "ann", "jr_2": "bob"})
    collected = runs_table.collect(Deployment("dp"), ledger, 9)
    told = {line["run_id"]: line for line in map(runs_table._told, collected.lines)}
    assert {name: line["who"] for name, line in told.items()} == {"run-1": "ann", "j/jr_2": "bob"}
    assert (told["run-1"]["released"], told["run-1"]["epsilon"], told["j/jr_2"]["released"]) == (True, 1.0, False)
    assert collected.notes == ["not shown, for you may not: EMR (it takes elasticmapreduce:ListClusters)"]
    denied.code = "ThrottlingException"  # a list that is not whole must not look as if it were
    with pytest.raises(AwsError):
        runs_table.collect(Deployment("dp"), ledger, 9)


def test_a_run_that_is_charged_and_not_released_is_not_told_as_released(
    ledger: SQLiteLedger, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    [spec] = asked(words={"epsilon": "0.75"}).specs
    ledger.reserve([Reservation(spec.run_id, spec.dataset, spec.budget, spec.digest(), Place(ADDRESS))])
    monkeypatch.setattr(runs_table, "_runs", lambda *_: [])
    [line] = runs_table.collect(Deployment("dp"), ledger, 9).lines
    told = runs_table._told(line)
    assert (line.state, told["released"], told["epsilon"]) == ("reserved", False, 0.75)
    runs_table.show([line])
    assert "0.75" in capsys.readouterr().out
