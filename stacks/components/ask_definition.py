"""The state machine's definition, in the Amazon States Language (JSONPath): a question in, one Glue run, no more.

What it takes from a question are the values of a fixed list of arguments, each a text of a known shape. Everything
else, workers, time, security, the other arguments, stays as the job's owner has it.
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

State = dict[str, Any]

NOT_GIVEN = "none"
"""The word for an argument that is not given: Glue hands none on without a value."""
ENGINES = {"tumult-ana": ("tumult",), "pipelinedp": ("pipelinedp", "opendp", "tumult-core")}
"""Which engines a job has, by the end of its name; the first is the script's own. All of them are hardened."""


class Field(NamedTuple):
    """One field of a question: the rule that its text must keep (`$` stands for it), and the rule in words."""

    rule: State
    allowed: str


def _all(*rules: State) -> State:
    return {"And": [*rules]}


def _any(words: tuple[str, ...]) -> State:
    return {"Or": [{"Variable": "$", "StringEquals": word} for word in words]}


def _words(*words: str) -> Field:
    return Field(_any(words), ", ".join(words))


# A value that begins with two dashes could be taken for the name of an argument.
_TEXT = _all(
    {"Not": {"Variable": "$", "StringEquals": ""}},
    {"Not": {"Variable": "$", "StringMatches": "--*"}},
)
_SHAPE = "not empty, and no -- at its beginning"

FIELDS: Mapping[str, Field] = {
    "run_id": Field(_TEXT, f"the run's id, {_SHAPE}"),
    "engine": _words(*(engine for job in ENGINES.values() for engine in job)),
    "s3_file": Field({"Variable": "$", "StringMatches": "s3://*"}, "an address that begins with s3://"),
    "query": _words("COUNT", "SUM", "MEAN", "VARIANCE"),
    "column_name": Field(_TEXT, f"a column's name or * for rows, {_SHAPE}"),
    "epsilon": Field(_TEXT, f"a number, {_SHAPE}"),
    "lower": Field(_TEXT, f"a number or {NOT_GIVEN}, {_SHAPE}"),
    "upper": Field(_TEXT, f"a number or {NOT_GIVEN}, {_SHAPE}"),
    "format": _words("csv", "parquet", NOT_GIVEN),
    "bounds_share": Field(_TEXT, f"a number or {NOT_GIVEN}, {_SHAPE}"),
    "check_share": Field(_TEXT, f"a number or {NOT_GIVEN}, {_SHAPE}"),
    "confidence": Field(_TEXT, f"a number or {NOT_GIVEN}, {_SHAPE}"),
}
"""The fields of a question; each must be there and be a text."""
ARGUMENTS = tuple(field for field in FIELDS if field != "engine")
"""Those that become arguments of both jobs, each under its own name."""

BAD_QUESTION, RUN_FAILED = "BadQuestion", "RunFailed"
"""The two errors that an execution may end with."""

_BUSY = "Glue.ConcurrentRunsExceededException"
_TROUBLE = [
    "Glue.AWSGlueException",  # what throttling is called here
    "Glue.ThrottlingException",
    "Glue.InternalServiceException",
    "Glue.OperationTimeoutException",
    "Glue.ResourceNumberLimitExceededException",
]
# Starting again is safe whatever became of the first start: the run's id is ours, and pays once.
_RETRY: list[State] = [
    {  # another question's run: some ten minutes of waiting in all
        "ErrorEquals": [_BUSY],
        "IntervalSeconds": 15,
        "BackoffRate": 1.5,
        "MaxDelaySeconds": 60,
        "MaxAttempts": 20,
        "JitterStrategy": "FULL",
    },
    {
        "ErrorEquals": _TROUBLE,
        "IntervalSeconds": 5,
        "BackoffRate": 2,
        "MaxDelaySeconds": 60,
        "MaxAttempts": 6,
        "JitterStrategy": "FULL",
    },
]
_PATIENCE_SECONDS = 3600
"""How much longer than the job's own time a task waits: Flex may wait for capacity, and Glue ends a run by itself."""


def definition(*, name_prefix: str, partition: str, timeout_minutes: int) -> State:
    """Return the definition for the jobs PREFIX-tumult-ana and PREFIX-pipelinedp, whose runs may take so long."""
    tasks = {
        f"Run {job}": _run(
            f"{name_prefix}-{job}",
            f"arn:{partition}:states:::glue:startJobRun.sync",
            timeout_minutes * 60 + _PATIENCE_SECONDS,
            ARGUMENTS if len(engines) == 1 else (*ARGUMENTS, "engine"),
        )
        for job, engines in ENGINES.items()
    }
    return {
        "Comment": "Checks a question's shape and runs it on Glue with fixed arguments; the ledger keeps the budget",
        "QueryLanguage": "JSONPath",
        "StartAt": "Check the question",
        "States": {
            "Check the question": {
                "Type": "Choice",
                "Choices": [{"Not": _well_formed(name), "Next": f"Bad {name}"} for name in FIELDS],
                "Default": "Choose the job",
            },
            **{f"Bad {name}": _fail(BAD_QUESTION, f"{name}: allowed: {FIELDS[name].allowed}") for name in FIELDS},
            "Choose the job": {
                "Type": "Choice",
                "Choices": [
                    {**_of("engine", _any(engines)), "Next": f"Run {job}"} for job, engines in ENGINES.items()
                ],
                "Default": "Bad engine",
            },
            **tasks,
            "Did it succeed": {  # a run that was stopped need not be an error here
                "Type": "Choice",
                "Choices": [{"Variable": "$.run.JobRunState", "StringEquals": "SUCCEEDED", "Next": "Answered"}],
                "Default": "What does it say",
            },
            "Answered": {"Type": "Pass", "Parameters": {"run_id.$": "$.run_id", "state": "SUCCEEDED"}, "End": True},
            **_failures(),
        },
    }


def _well_formed(name: str) -> State:
    there = [{"Variable": f"$.{name}", "IsPresent": True}, {"Variable": f"$.{name}", "IsString": True}]
    return _all(*there, _of(name, FIELDS[name].rule))


def _of(name: str, rule: Any) -> Any:
    """The rule about this field: `$` replaced by its path."""
    if isinstance(rule, dict):
        return {key: f"$.{name}" if key == "Variable" else _of(name, part) for key, part in rule.items()}
    return [_of(name, part) for part in rule] if isinstance(rule, list) else rule


def _run(job: str, resource: str, seconds: int, arguments: tuple[str, ...]) -> State:
    return {
        "Type": "Task",
        "Resource": resource,
        "Parameters": {"JobName": job, "Arguments": {f"--{name}.$": f"$.{name}" for name in arguments}},
        "TimeoutSeconds": seconds,
        "Retry": _RETRY,
        "Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.failed", "Next": "Why did it fail"}],
        "ResultSelector": {"JobRunState.$": "$.JobRunState"},  # the rest tells of logs, workers and times
        "ResultPath": "$.run",
        "Next": "Did it succeed",
    }


def _failures() -> dict[str, State]:
    """From what the task says to one line: of a job run its message alone."""
    said = "$.failed.Error"
    return {
        "Why did it fail": {
            "Type": "Choice",
            "Choices": [
                {"Variable": said, "StringEquals": _BUSY, "Next": "Busy"},
                {"Variable": said, "StringEquals": "States.Timeout", "Next": "Too long"},
                {
                    "And": [
                        {"Variable": said, "StringEquals": "States.TaskFailed"},
                        {"Variable": "$.failed.Cause", "IsPresent": True},
                        {"Variable": "$.failed.Cause", "IsString": True},
                        {"Variable": "$.failed.Cause", "StringMatches": "{*}"},  # whole: a long cause is cut
                    ],
                    "Next": "Read the job run",
                },
                {"Variable": said, "StringEquals": "States.TaskFailed", "Next": "Unknown"},
            ],
            "Default": "Not run",
        },
        "Read the job run": {
            "Type": "Pass",
            "Parameters": {"run.$": "States.StringToJson($.failed.Cause)"},
            "Next": "What does it say",
        },
        "What does it say": {
            "Type": "Choice",
            "Choices": [
                {**_text_at("$.run.ErrorMessage"), "Next": "Job run failed"},
                {**_text_at("$.run.JobRunState"), "Next": "Job run ended"},
            ],
            "Default": "Unknown",
        },
        "Job run failed": {"Type": "Fail", "Error": RUN_FAILED, "CausePath": "$.run.ErrorMessage"},
        "Job run ended": {
            "Type": "Fail",
            "Error": RUN_FAILED,
            "CausePath": "States.Format('the Glue run ended {} and gives no reason', $.run.JobRunState)",
        },
        "Not run": {
            "Type": "Fail",
            "Error": RUN_FAILED,
            "CausePath": f"States.Format('Glue did not run it: {{}}', {said})",
        },
        "Unknown": _fail(RUN_FAILED, "the Glue run failed and gives no reason"),
        "Busy": _fail(RUN_FAILED, "other runs had the job for too long: ask again later with the same run id"),
        "Too long": _fail(RUN_FAILED, "the run took longer than a run may: ask again with the same run id"),
    }


def _text_at(path: str) -> State:
    return _all(
        {"Variable": path, "IsPresent": True},
        {"Variable": path, "IsString": True},
        {"Not": {"Variable": path, "StringEquals": ""}},
    )


def _fail(error: str, cause: str) -> State:
    return {"Type": "Fail", "Error": error, "Cause": cause}
