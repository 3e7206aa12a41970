"""`dpcloud cost`: its arithmetic by hand, and one line for what it has no price for."""

import json
import re
import subprocess
import sys
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from stacks.config.app import INTERFACE_ENDPOINTS
from stacks.config.offers import EMR_INSTANCE_TYPES

from dpcloud import prices
from dpcloud.cli import main

CDK_JSON = Path(__file__).parents[2] / "cdk.json"

Costs = Callable[..., dict[str, Any]]
Refused = Callable[..., str]


@pytest.fixture
def costs(capsys: pytest.CaptureFixture[str]) -> Costs:
    """What `dpcloud cost --json` says of `-c` options."""

    def run(*options: str, config: Path | None = None) -> dict[str, Any]:
        where = [] if config is None else ["--config", str(config)]
        main(["cost", "--json", *where, *(word for option in options for word in ("-c", option))])
        shown = capsys.readouterr()
        assert shown.err == ""
        return json.loads(shown.out)

    return run


@pytest.fixture
def refused(capsys: pytest.CaptureFixture[str]) -> Refused:
    def run(*words: str) -> str:
        with pytest.raises(SystemExit) as left:
            main(["cost", *words])
        shown = capsys.readouterr()
        assert left.value.code == 2
        assert shown.out == ""
        assert re.fullmatch(r"dpcloud: [^\n]+\n", shown.err)
        assert "unexpected" not in shown.err
        assert ": given " in shown.err
        assert "; allowed: " in shown.err
        return shown.err

    return run


def months(found: dict[str, Any]) -> dict[str, float]:
    return {line["what"]: line["per_month"] for line in found["idle"]["lines"]}


def test_the_defaults(costs: Costs) -> None:
    found = costs()
    assert months(found) == {
        "NAT gateway × 1": 32.85,  # 0.045 × 730
        "public IPv4 address × 1": 3.65,  # 0.005 × 730
        "KMS key × 2 (Glue, EMR)": 2.0,
    }
    assert found["idle"]["per_month"] == 38.5
    assert found["idle"]["per_hour"] == 0.05274  # 38.5 / 730
    glue = found["run"]["glue"]
    assert (glue["per_hour"], glue["at_most"]) == (2.9, 34.8)  # 10 × 0.29, for 12 hours
    assert glue["at_least"] == 0.048333  # a minute of it
    emr = found["run"]["emr"]
    # 3 × (0.768 + 0.192), and 3 × (15 + 256) GB of disks at 0.10 a month
    assert (emr["per_hour"], emr["at_most"]) == (2.99137, None)
    assert emr["at_least"] == 3.988493  # twenty minutes of boot, an hour idle
    assert emr["what"] == "EMR cluster: m5.4xlarge + 2 × m5.4xlarge, 813 GB of disks"
    assert found["run"]["data"] == {"way": "through NAT", "per_gb": 0.045}
    assert found["forgotten_month"] == 42.488493  # 38.50 and the cluster until it ends
    assert (found["region"], found["region_assumed"]) == ("us-east-1", True)


def test_isolated(costs: Costs) -> None:
    found = costs("dp.network=isolated")
    assert len(INTERFACE_ENDPOINTS) == 9
    assert months(found) == {
        "interface endpoint × 18 (9 services in 2 zones)": 131.4,  # 18 × 0.01 × 730
        "KMS key × 2 (Glue, EMR)": 2.0,
    }
    assert found["idle"]["per_month"] == 133.4
    assert found["run"]["data"] == {"way": "through interface endpoints", "per_gb": 0.01}
    assert found["forgotten_month"] == 137.388493


def test_emr_off(costs: Costs) -> None:
    found = costs("dp.emr.enabled=false", "dp.emr.core_instance_type=m6i.xlarge")  # no price needed
    assert found["run"]["emr"] is None
    assert months(found)["KMS key × 1 (Glue)"] == 1.0
    assert found["idle"]["per_month"] == found["forgotten_month"] == 1.0  # no NAT gateway either: Glue needs none


def test_two_gateways_and_a_key_for_the_bucket(costs: Costs) -> None:
    found = costs("dp.nat_gateways=2", "dp.storage.encryption=kms")
    assert months(found) == {
        "NAT gateway × 2": 65.7,
        "public IPv4 address × 2": 7.3,
        "KMS key × 3 (Glue, EMR, bucket)": 3.0,
    }
    key = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
    adopted = costs("dp.storage.encryption=kms", "dp.storage.existing_bucket=mine", f"dp.storage.existing_key={key}")
    assert months(adopted)["KMS key × 2 (Glue, EMR)"] == 2.0  # an adopted key is not ours to count


@pytest.mark.parametrize(
    ("options", "hour", "most"),
    [
        (["dp.glue.flex=false"], 4.4, 52.8),
        (["dp.glue.worker_type=G.2X", "dp.glue.timeout_minutes=30"], 5.8, 2.9),
        (["dp.glue.flex=false", "dp.glue.worker_type=G.8X", "dp.glue.number_of_workers=2"], 7.04, 84.48),
    ],
)
def test_glue_runs(costs: Costs, options: list[str], hour: float, most: float) -> None:
    glue = costs(*options)["run"]["glue"]
    assert (glue["per_hour"], glue["at_most"]) == (hour, most)


def test_emr_clusters(costs: Costs) -> None:
    found = costs(
        "dp.emr.primary_instance_type=c5.xlarge",
        "dp.emr.core_instance_type=r5.12xlarge",
        "dp.emr.core_instance_count=3",
        "dp.emr.idle_timeout_seconds=90",
    )["run"]["emr"]
    # 0.17 + 0.043, and 3 × (12 × 0.252 + 0.27): EMR takes a quarter of EC2's price, but never more than 0.27;
    # (15 + 64) + 3 × (15 + 12 × 64) GB of disks
    assert found["per_hour"] == 10.427603  # 10.095 + 2428 × 0.10 / 730
    assert found["at_least"] == 3.736558  # 1,290 seconds of it
    assert found["at_least_is"] == "20 minutes of boot, 90 seconds idle, then it ends"


def surprises(found: dict[str, Any]) -> dict[str, tuple[float, str]]:
    return {one["when"]: (one["usd"], one["per"]) for one in found["surprises"]}


def test_what_people_do_not_expect_to_pay_for(costs: Costs) -> None:
    failed, gateway, zeppelin, isolated = surprises(costs()).items()
    assert failed == ("a Glue run that fails at once: its minute on all workers", (0.048333, "run"))
    assert gateway[1] == (36.5, "month")  # 32.85 + 3.65
    assert "after the cluster has ended" in gateway[0]
    assert zeppelin[1] == (71.792877, "day")  # 24 × 2.99137
    assert "Zeppelin tab" in zeppelin[0]
    assert isolated[1] == (131.4, "month")
    assert isolated[0].startswith("dp.network=isolated")


def test_what_cannot_surprise_is_not_told(costs: Costs) -> None:
    assert [per for _, per in surprises(costs("dp.network=isolated")).values()] == ["run", "day"]
    assert [per for _, per in surprises(costs("dp.emr.enabled=false")).values()] == ["run", "month"]
    assert [per for _, per in surprises(costs("dp.emr.zeppelin=false")).values()] == ["run", "month", "month"]
    [(usd, _)] = [v for when, v in surprises(costs("dp.nat_gateways=2")).items() if "NAT" in when]
    assert usd == 73.0


def test_what_the_notices_and_the_trail_cost(costs: Costs) -> None:
    """A key of their own, and what CloudTrail takes by the request."""
    told = costs("dp.notice.email=owner@example.org", "dp.trail.enabled=true")
    assert months(told)["KMS key × 3 (Glue, EMR, notices)"] == 3
    [(usd, per)] = [v for when, v in surprises(told).items() if "the trail" in when]
    assert (usd, per) == (0.1, "100,000 requests")
    assert not [when for when in surprises(costs()) if "the trail" in when]
    assert costs()["idle"]["per_month"] == pytest.approx(told["idle"]["per_month"] - 1)


def test_disks_follow_the_machine() -> None:
    sizes = ("m5.xlarge", "m5.4xlarge", "c5.9xlarge", "r5.24xlarge", "m5d.4xlarge", "r5d.24xlarge")
    # EMR gives disks where a machine has none of its own; the root disk it always has
    assert [prices.disk_gb(name) for name in sizes] == [79, 271, 591, 1551, 15, 15]


def test_a_small_cluster_and_one_of_other_machines(costs: Costs) -> None:
    small = costs("dp.emr.size=small")["run"]["emr"]
    assert (small["what"], small["per_hour"]) == (
        "EMR cluster: m5.xlarge + 2 × m5.xlarge, 237 GB of disks",
        0.752466,  # 3 × 0.24, and 237 × 0.10 / 730
    )
    named = costs("dp.emr.size=small", "dp.emr.core_instance_count=1", "dp.emr.core_instance_type=m5.2xlarge")
    assert named["run"]["emr"]["per_hour"] == 0.750411  # 0.24 + 0.48, and 222 × 0.10 / 730


def test_the_prices_of_instances() -> None:
    assert prices.EC2.keys() == prices.EMR.keys() <= EMR_INSTANCE_TYPES
    both = {name: (prices.EC2[name].usd, prices.EMR[name].usd) for name in prices.EC2}
    assert both["m5.4xlarge"] == (Decimal("0.768"), Decimal("0.192"))
    assert both["m5.12xlarge"] == (Decimal("2.304"), Decimal("0.27"))
    assert both["m5.24xlarge"] == (Decimal("4.608"), Decimal("0.27"))
    assert both["m5d.4xlarge"] == (Decimal("0.904"), Decimal("0.226"))
    assert both["r5d.4xlarge"] == (Decimal("1.152"), Decimal("0.27"))
    assert both["c5.9xlarge"] == (Decimal("1.53"), Decimal("0.27"))


def test_every_price_has_its_source(costs: Costs) -> None:
    found = costs()
    assert re.fullmatch(r"\d{4}-\d{2}-\d{2}", found["prices_checked"])
    assert len(found["prices"]) == 20
    for price in found["prices"]:
        assert price["usd"] > 0
        assert "https://" in price["source"]
        assert price["second_hand"] == ("https://aws.amazon.com" not in price["source"])


def test_the_table(capsys: pytest.CaptureFixture[str]) -> None:
    main(["cost"])
    shown = capsys.readouterr()
    assert shown.err == ""
    for part in (
        "38.50",
        "42.49 USD",
        "0.0527",
        "2.99",
        "71.79 a day: ",
        "34.80",
        "no limit while it is busy",
        "us-east-1",
        prices.CHECKED,
    ):
        assert part in shown.out
    assert "since the configuration names no region" in shown.out
    main(["cost", "-c", "dp.region=us-east-1"])
    assert "names no region" not in capsys.readouterr().out


def test_another_configuration(costs: Costs, tmp_path: Path) -> None:
    path = tmp_path / "cdk.json"
    path.write_text('{"context": {"dp": {"emr": {"enabled": false}, "region": "us-east-1"}}}')
    assert costs(config=path) == {**costs("dp.emr.enabled=false"), "region_assumed": False}
    assert costs("dp.emr.enabled=true", config=path)["run"]["emr"]["per_hour"] == 2.99137
    path.write_text("{}")
    assert costs(config=path) == costs()


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["-c", "dp.region=eu-west-1"], ["'eu-west-1'", "us-east-1"]),
        (["-c", "dp.emr.core_instance_type=m6i.4xlarge"], ["dp.emr.core_instance_type", "'m6i.4xlarge'", "m5, m5d"]),
        (["-c", "dp.emr.primary_instance_type=i3.xlarge"], ["dp.emr.primary_instance_type", "'i3.xlarge'", "c5: xl"]),
        (
            ["-c", "dp.glue.flex=false", "-c", "dp.glue.worker_type=R.2X"],
            ["dp.glue.worker_type", "'R.2X'", "G.1X, G.2X, G.4X"],
        ),
        (["-c", "dp.emr.enable=false"], ["dp.emr.enable", "did you mean 'enabled'?"]),
        (["-c", "dp.emr.enabled=perhaps"], ["dp.emr.enabled", "'perhaps'", "true or false"]),
        (["-c", "emr.enabled=false"], ["-c", "'emr.enabled=false'", "dp.KEY=VALUE"]),
        (["-c", "dp.emr.enabled"], ["-c", "'dp.emr.enabled'", "dp.KEY=VALUE"]),
        (["-c", ""], ["-c", "''", "dp.KEY=VALUE"]),
        (["--config", "nowhere.json"], ["config", "'nowhere.json'", "cdk.json"]),
        (["--config", ""], ["config", "cdk.json"]),
    ],
)
def test_bad_input(refused: Refused, words: list[str], parts: list[str]) -> None:
    line = refused(*words)
    assert [part for part in parts if part not in line] == [], line


@pytest.mark.parametrize(
    "text", ["", "[]", "no JSON", '{"context": []}', '{"context": null}', "[" * 100_000, "\ufeff{}"]
)
def test_a_file_that_is_no_cdk_json(refused: Refused, tmp_path: Path, text: str) -> None:
    path = tmp_path / "cdk.json"
    path.write_text(text)
    assert "a readable cdk.json" in refused("--config", str(path))


def test_without_the_checkout(refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "stacks.config.app", None)
    assert "no folder stacks/" in refused("--config", str(CDK_JSON))


def test_the_environment_runs_this_checkout_and_no_other(tmp_path: Path) -> None:
    """In a process of its own, where pytest has put nothing on the path: `make setup` wrote where the code lies."""
    code = "import dpcloud, dpjobs, stacks; print(dpcloud.__file__, dpjobs.__file__, stacks.__file__)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    root = CDK_JSON.parent
    assert [Path(name).parent for name in done.stdout.split()] == [
        root / "src" / "dpcloud",
        root / "src" / "dpjobs",
        root / "stacks",
    ]


def test_from_any_folder_and_with_nothing_slow(tmp_path: Path) -> None:
    """In a process of its own, where pytest has put nothing on the path."""
    slow = {"aws_cdk", "jsii", "boto3", "pyspark", "numpy"}
    code = f"import sys; from dpcloud.cli import main; main(['cost']); assert not {slow} & sys.modules.keys()"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=tmp_path, check=True)
    assert "42.49 USD" in done.stdout


def test_the_figures_of_the_docs(costs: Costs) -> None:
    """README's table and the operations guide say what the command says."""
    found = costs()
    glue, emr = found["run"]["glue"], found["run"]["emr"]
    zeppelin = next(usd for when, (usd, _) in surprises(found).items() if "Zeppelin" in when)
    expected = [
        found["idle"]["per_month"],
        costs("dp.emr.enabled=false")["idle"]["per_month"],
        costs("dp.network=isolated")["idle"]["per_month"],
        glue["at_least"],
        glue["per_hour"],
        emr["at_least"],
        emr["per_hour"],
        zeppelin,
    ]
    table = (CDK_JSON.parent / "README.md").read_text().split("**What it costs**")[1].split("\n\n")[1]
    assert re.findall(r"\d+\.\d\d", table) == [f"{amount:.2f}" for amount in expected]
    assert f"({emr['per_hour']:.2f} USD an hour" in (CDK_JSON.parent / "docs/operations.md").read_text()
