"""What `make smoke` refuses before it makes anything: one clear line, exit code 2."""

import json
import re
import subprocess
import sys
from collections.abc import Callable

import boto3
import pytest
from moto.core.models import DEFAULT_ACCOUNT_ID as ACCOUNT
from smoke import __main__ as smoke_main
from smoke import deployment as smoke_deployment
from smoke.account import Account, check_ready
from smoke.deployment import Deployment
from stacks.config.app import AppConfig

from dpjobs.errors import InputError

ROOT = smoke_deployment.ROOT
Refused = Callable[..., str]


@pytest.fixture
def bootstrapped() -> None:
    name = "/cdk-bootstrap/hnb659fds/version"
    boto3.client("ssm", region_name="us-east-1").put_parameter(Name=name, Value="30", Type="String")


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Refused:
    """Run the command in this process, where nothing may be deployed, and return its line."""

    def never(*_: object) -> None:
        raise AssertionError("it went on")

    monkeypatch.setattr(smoke_main, "run", never)

    monkeypatch.setattr(smoke_main, "_interruptible", lambda: None)  # pytest's own signals stay

    def run(*words: str) -> str:
        monkeypatch.setattr(sys, "argv", ["smoke", *words])
        with pytest.raises(SystemExit) as left:
            smoke_main._start()
        shown = capsys.readouterr()
        assert left.value.code == 2
        assert shown.out == ""
        line = shown.err.splitlines()[-1]
        assert re.fullmatch(r"smoke: [^\n]+", line)
        assert "Traceback" not in shown.err
        return line

    return run


def test_no_credentials(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:  # moto wants them back
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "AWS_SECURITY_TOKEN"):
            patch.delenv(name, raising=False)
        line = refused("--yes")
    assert line == "smoke: no AWS credentials; allowed: AWS_PROFILE, or keys in the environment"


def test_half_of_the_credentials(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.delenv("AWS_SECRET_ACCESS_KEY", raising=False)
        line = refused("--yes")
    assert "(PartialCredentialsError)" in line


def test_no_region_or_two(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    assert "'us-east-1 and eu-west-1'" in refused("--yes")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    monkeypatch.delenv("AWS_REGION")
    assert "no AWS region is set" in refused("--yes")
    monkeypatch.setenv("AWS_REGION", "mars-north-1")
    assert "'mars-north-1'" in refused("--yes")


def test_no_such_profile(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "nobody")
    assert "no such AWS profile: given 'nobody'" in refused("--yes")


def test_another_account_or_region_than_asked_for(refused: Refused) -> None:
    line = refused("--yes", "--account", "444455556666")
    assert f"of another account: given '{ACCOUNT}'; allowed: 444455556666" in line
    assert "in another region: given 'us-east-1'; allowed: eu-west-1" in refused("--yes", "--region", "eu-west-1")


def test_another_account_than_cdk_json_names(
    refused: Refused, monkeypatch: pytest.MonkeyPatch, tmp_path: smoke_deployment.Path
) -> None:
    (tmp_path / "cdk.json").write_text(json.dumps({"context": {"dp": {"account": "444455556666"}}}))
    monkeypatch.setattr(smoke_main, "ROOT", tmp_path)
    assert "444455556666" in refused("--yes")


def test_not_bootstrapped(refused: Refused) -> None:
    assert f"`cdk bootstrap aws://{ACCOUNT}/us-east-1` first" in refused("--yes")


@pytest.mark.usefixtures("bootstrapped")
def test_not_confirmed(refused: Refused) -> None:
    assert refused() == "smoke: not confirmed, and nothing was made; allowed: y, or --yes"


@pytest.mark.usefixtures("bootstrapped")
def test_too_small_a_quota(account: Account, monkeypatch: pytest.MonkeyPatch) -> None:
    class Quotas:
        def get_service_quota(self, **_: str) -> dict[str, dict[str, float]]:
            return {"Quota": {"Value": 5.0}}

    account._clients["service-quotas"] = Quotas()
    check_ready(account, 5)
    with pytest.raises(InputError, match=r"given '5 vCPUs'; allowed: 12 or more: `aws service-quotas .*L-1216C47A"):
        check_ready(account, 12)


@pytest.mark.parametrize(
    "prefix", ["differential-privacy", "dp-smoke-", "dp-smoke-A", "dp-smoke-a*", "", "dp-smoke-a-b"]
)
def test_only_what_a_smoke_test_made_is_removed(refused: Refused, prefix: str) -> None:
    assert "not a prefix of a smoke test" in refused("--remove", prefix)


def test_unknown_words(refused: Refused) -> None:
    assert "No such option" in refused("--force")


def test_no_deployment_under_another_prefix(account: Account) -> None:
    with pytest.raises(ValueError, match="differential-privacy"):
        Deployment(account, "differential-privacy")


def test_the_settings_are_taken_and_nothing_of_the_users_own(
    account: Account, monkeypatch: pytest.MonkeyPatch, tmp_path: smoke_deployment.Path
) -> None:
    """A user's cdk.json may adopt a bucket and a ledger that are in use."""
    whole = json.loads((smoke_deployment.ROOT / "cdk.json").read_text())
    whole["context"]["dp"]["storage"] = {"existing_bucket": "in-use", "existing_table": "in-use"}
    whole["context"]["dp"]["data_locations"] = ["s3://in-use"]
    (tmp_path / "cdk.json").write_text(json.dumps(whole))
    monkeypatch.setattr(smoke_deployment, "ROOT", tmp_path)
    deployment = Deployment(account, "dp-smoke-0a1b2c")
    deployment.write()
    written = (deployment.folder / "cdk.json").read_text()
    assert "in-use" not in written
    context = json.loads(written)["context"]
    config = AppConfig.from_context({"dp": context["dp"]})
    assert (config.name_prefix, config.account, config.region) == ("dp-smoke-0a1b2c", ACCOUNT, "us-east-1")
    assert config.data_retention == "destroy"
    assert {**whole["context"], "dp": None} == {
        **context,
        "dp": None,
    }  # the CDK's own flags are those of a deployment


def test_every_signal_that_ends_the_process_is_an_interrupt() -> None:
    """Also in the background of a shell, where Ctrl-C is ignored: else nothing would be taken away."""
    code = (
        "import os, signal\n"
        "signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "from smoke.__main__ import _interruptible\n"
        "_interruptible()\n"
        "for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):\n"
        "    try:\n"
        "        os.kill(os.getpid(), number); signal.pause()\n"
        "    except KeyboardInterrupt:\n"
        "        print(number.name)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["SIGINT", "SIGTERM", "SIGHUP"]
