"""The lines of the checklist about AWS Glue."""

from collections.abc import Iterator

from dpjobs.errors import quoted
from smoke.check_answers import all_succeeded, check_releases, ledger_of
from smoke.checks import Failed, Seen, Skipped, Stage, check
from smoke.log_groups import messages
from smoke.runs import MOVED, RENAMED, UNKNOWN
from smoke.settings import ENGINES, EPSILON, TOTAL

_ERRORS = "error"
"""In the name of a group: here Spark's daemons would write."""
_REFUSAL = "the data set has no budget"
_UNTAKEN = "InvalidInputException"
"""What Glue says where it is an argument that it does not take."""


@check("glue-jobs", "Glue takes the jobs, with every fixed argument", Stage.DEPLOYED)
def glue_jobs(seen: Seen) -> str:
    """`aws glue get-job` of both jobs, beside the deployed template."""
    fixed = {t["Name"]: t["NonOverridableArguments"] for t in seen.deployment.template("glue", "AWS::Glue::Job")}
    told = []
    for engine in ENGINES:
        name = f"{seen.deployment.prefix}-{engine}"
        found = seen.account.client("glue").get_job(JobName=name)["Job"].get("NonOverridableArguments", {})
        if missing := set(fixed[name]) ^ set(found):
            raise Failed(f"{name}: not fixed as in the template: {', '.join(sorted(missing))}")
        if found["--ledger"] != seen.deployment.outputs["LedgerTableArn"]:
            raise Failed(f"{name}: another ledger")
        told.append(f"{name}: {len(found)} fixed arguments")
    return ", ".join(told)


@check("glue-runs", "A run finds its libraries and succeeds", Stage.RAN, needs=("runs",))
def glue_runs(seen: Seen) -> str:
    """State and error message of a run of each job (`aws glue get-job-run`)."""
    return all_succeeded(seen.glue_runs)


@check("glue-releases", "… and leaves a release that is near the truth", Stage.RAN, needs=("runs",))
def glue_releases(seen: Seen) -> str:
    """The copies under releases/, beside the ledger's and the public table's true mean."""
    return check_releases(seen, seen.glue_runs)


@check("glue-fixed", "Who starts a run cannot move a fixed argument", Stage.RAN, needs=("runs",))
def glue_fixed(seen: Seen) -> str:
    """A run with `--ledger` given, and one with an argument named `--ledger=x`."""
    moved, renamed = seen.probes.get(MOVED), seen.probes.get(RENAMED)
    if moved is None or renamed is None:
        raise Skipped("not tried, since no run has succeeded")
    ledger = ledger_of(seen)
    for run in (moved, renamed):
        if not run.platform_id and _UNTAKEN not in run.message:  # no answer to the question
            raise Failed(f"{run.name}: {run.message}")
    # it repeats an earlier run, so without effect it shows that one's release out of our ledger, and spends nothing
    if moved.platform_id and not moved.succeeded:
        raise Failed(f"{MOVED}: {moved.state}: {moved.message}")
    if moved.platform_id and ledger.find(moved.run_id) is not None:
        raise Failed(f"{MOVED}: it was charged as a run of its own")
    row = ledger.find(renamed.run_id) if renamed.platform_id else None
    if renamed.platform_id and renamed.succeeded != (row is not None):
        raise Failed(f"{RENAMED}: {renamed.state}, {'charged' if row else 'and not charged'}")
    first, second = (run.message if not run.platform_id else run.state for run in (moved, renamed))
    return f"{MOVED}: {first}, without effect; {RENAMED}: {second}, {'charged' if row else 'nothing spent'}"


@check("glue-no-total", "A table without a total is refused, and nothing spent", Stage.RAN, needs=("runs",))
def glue_no_total(seen: Seen) -> str:
    """A run on a copy of the table, which has no total of its own: its refusal, in its message or its logs."""
    run = seen.probes.get(UNKNOWN)
    if run is None or not run.platform_id:
        raise Skipped("not tried, since no run has succeeded")
    if run.state != "FAILED" or ledger_of(seen).find(run.run_id) is not None:
        raise Failed(f"{run.state}: {run.message}")
    if not (_refuses(seen, run.message) or any(_refuses(seen, text) for text in _logged(seen))):
        raise Failed(f"why it failed is nowhere to be seen, neither in its message nor in the logs: {run.message}")
    balance = ledger_of(seen).balance(seen.address)
    spent = TOTAL - (TOTAL if balance is None else balance.left)
    if spent > EPSILON * len(seen.charged_runs):
        raise Failed(f"spent is {spent}")
    return f"FAILED: {_REFUSAL}; spent stays {spent}"


def _refuses(seen: Seen, text: str) -> bool:
    return _REFUSAL in text and quoted(seen.untold) in text


def _logged(seen: Seen) -> Iterator[str]:
    return (message for group in seen.glue_logs() for message in messages(seen.account, group, seen.began))


@check(
    "glue-logs", "No numbers of the table in the logs, and nothing from Spark's daemons", Stage.RAN, needs=("logs",)
)
def glue_logs(seen: Seen) -> str:
    """All events of the jobs' log groups (`aws logs filter-log-events`)."""
    groups, events = seen.glue_logs(), 0
    if not groups:
        raise Failed("no log group of the jobs is there: the runs' output went elsewhere")
    telltales = seen.table.telltales()
    for group in groups:
        if group.runs:
            raise Failed(f"{group.name} is not the deployment's, and has the output of {', '.join(group.runs)}")
        for message in messages(seen.account, group, seen.began):
            events += 1
            if _ERRORS in group.name and not seen.deployment.daemon_logs:
                raise Failed(f"{group.name} holds what Spark's daemons write")
            if found := {what for text, what in telltales.items() if text in message and _ERRORS not in group.name}:
                raise Failed(f"{group.name} holds {', '.join(sorted(found))}")
    if not events:
        raise Failed(f"no output of the runs in {', '.join(group.name for group in groups)}")
    if seen.deployment.daemon_logs:
        raise Skipped("Spark's daemons were let log (--daemon-logs); nothing of the table in the other groups")
    return f"{len(groups)} groups, {events} events"


@check("glue-log-keys", "The logs are encrypted with the stack's key, and expire", Stage.RAN, needs=("logs",))
def glue_log_keys(seen: Seen) -> str:
    """Key and retention of the jobs' log groups (`aws logs describe-log-groups`)."""
    groups = seen.glue_logs()
    [key] = seen.deployment.resources("glue", "AWS::KMS::Key").values()
    ours = f":kms:{seen.account.region}:{seen.account.id}:key/{key}"
    wrong = [one.name for one in groups if not (one.key_arn.endswith(ours) and one.days)]
    if wrong or not groups:
        raise Failed(f"without the stack's key, or without an end: {', '.join(wrong) or 'no group is there'}")
    return f"{len(groups)} groups"


@check("glue-metrics", "No metrics, which would show exact row counts", Stage.RAN, needs=("metrics",))
def glue_metrics(seen: Seen) -> str:
    """`aws cloudwatch list-metrics --namespace Glue` for both jobs."""
    if not any(run.succeeded for run in seen.glue_runs.values()):
        raise Failed("no run has succeeded")
    watch = seen.account.client("cloudwatch")
    for engine in ENGINES:
        job = {"Name": "JobName", "Value": f"{seen.deployment.prefix}-{engine}"}
        if found := watch.list_metrics(Namespace="Glue", Dimensions=[job])["Metrics"]:
            raise Failed(f"{job['Value']}: {len(found)} metrics, {found[0]['MetricName']} among them")
    return "none"
