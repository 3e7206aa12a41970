"""`dpcloud upload` against a server with S3's protocol: what arrives, what is refused, and what a kill leaves."""

import json
import os
import random
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest
from botocore.exceptions import ClientError

from cli.aws.bucket import NAME, Bucket, deployed, digest
from dpcloud.aws.multipart import MEBIBYTE, MOST_PARTS, part_size
from dpcloud.cli import main
from dpjobs.addresses import Place
from dpjobs.epsilon import Epsilon
from dpjobs.ledger.dynamodb import DynamoDBLedger
from library.ledger import dynamodb_local

CENSUS = f"s3://{NAME}/data/census.csv"
PART = 8 * MEBIBYTE


@pytest.fixture(scope="module")
def server() -> Iterator[Bucket]:
    with deployed() as bucket:
        yield bucket


@pytest.fixture
def bucket(server: Bucket, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Bucket:
    monkeypatch.delenv("AWS_REGION", raising=False)
    for name, value in {**dynamodb_local.ENVIRONMENT, "AWS_ENDPOINT_URL": server.endpoint}.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(tmp_path)
    server.clear()
    return server


@pytest.fixture
def ledger(bucket: Bucket) -> DynamoDBLedger:
    [stack] = bucket.client("cloudformation").describe_stacks(StackName="dp-storage")["Stacks"]
    arn = next(o["OutputValue"] for o in stack["Outputs"] if o["OutputKey"] == "LedgerTableArn")
    table = bucket.client("dynamodb")
    name = arn.rpartition("/")[2]
    for item in table.scan(TableName=name)["Items"]:
        table.delete_item(TableName=name, Key={"pk": item["pk"], "sk": item["sk"]})
    return DynamoDBLedger(arn)


@pytest.fixture
def small(bucket: Bucket) -> Path:
    path = Path("census.csv")
    path.write_text("State,TotalPop\nAlabama,42\n")
    return path


@pytest.fixture
def large(bucket: Bucket) -> Path:
    """Three parts, of which the last one is short."""
    path = Path("large.csv")
    path.write_bytes(b"TotalPop\n" + random.Random(11).randbytes(2 * PART + 5 * MEBIBYTE))
    return path


def told(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    main(["upload", "--stack", "dp", *words])
    shown = capfd.readouterr()
    assert shown.err == ""
    return shown.out


def one_line(capfd: pytest.CaptureFixture[str], *words: str) -> str:
    capfd.readouterr()
    with pytest.raises(SystemExit) as left:
        main(["upload", "--stack", "dp", *words])
    shown = capfd.readouterr()
    assert (left.value.code, shown.out) == (2, "")
    assert re.fullmatch(r"dpcloud: [^\n]+\n", shown.err)
    return shown.err


def test_a_file_and_its_budget(
    bucket: Bucket, ledger: DynamoDBLedger, small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """It lies under data/, byte for byte; its address is its data set, which has no budget until one is set."""
    said = told(capfd, "census.csv")
    assert f"Sent:      {CENSUS}," in said
    assert f"no budget yet, so nobody can ask: dpcloud budget set --stack dp --file {CENSUS} --total EPSILON" in said
    assert f"dpcloud run --on glue --stack dp --file {CENSUS} --query COUNT --epsilon 0.1" in said
    assert not re.search("Alabama|42", said)
    assert bucket.keys() == ["data/census.csv"]
    assert bucket.body("data/census.csv") == small.read_bytes()
    ledger.set_total(CENSUS, Epsilon("2.5"), Place(CENSUS))
    said = told(capfd, "census.csv", "--replace")
    assert "total 2.5, spent 0, left 2.5, for whatever lies at this address" in said


def test_a_name_that_is_taken_is_replaced_only_when_that_is_asked(
    bucket: Bucket, ledger: DynamoDBLedger, small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told(capfd, "census.csv")
    small.write_text("State,TotalPop\nAlaska,7\n")
    line = one_line(capfd, "census.csv")
    assert f"something lies there already: given '{CENSUS}'; allowed: another --as, or --replace: the same" in line
    assert "the same budget then covers both versions" in line
    assert b"Alabama" in bucket.body("data/census.csv")
    told(capfd, "census.csv", "--replace")
    assert b"Alaska" in bucket.body("data/census.csv")
    told(capfd, "census.csv", "--as", "2024/census.csv")
    assert bucket.keys() == ["data/2024/census.csv", "data/census.csv"]


def test_a_name_that_is_taken_meanwhile(
    bucket: Bucket,
    ledger: DynamoDBLedger,
    small: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """S3 itself refuses to write over what came after we had looked."""
    bucket.client("s3").put_object(Bucket=NAME, Key="data/census.csv", Body=b"theirs\n")
    monkeypatch.setattr("dpcloud.cloud.upload._check_place", lambda *_: None)
    assert "something was put there meanwhile" in one_line(capfd, "census.csv")
    assert bucket.body("data/census.csv") == b"theirs\n"


def test_a_large_file_goes_in_parts_that_are_checked(
    bucket: Bucket, ledger: DynamoDBLedger, large: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    told(capfd, "large.csv")
    body = large.read_bytes()
    assert bucket.body("data/large.csv") == body
    assert sorted(bucket.parts) == [("data/large.csv", number) for number in (1, 2, 3)]
    [(_, headers, listed)] = bucket.completed
    digests = [digest(body[i : i + PART]) for i in range(0, len(body), PART)]
    assert re.findall("<ChecksumSHA256>(.*?)</ChecksumSHA256>", listed) == digests
    assert headers["x-amz-mp-object-size"] == str(len(body))
    assert headers["if-none-match"] == "*"


def test_a_part_that_is_spoiled_on_its_way(
    bucket: Bucket, ledger: DynamoDBLedger, small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    bucket.spoiled = True
    line = one_line(capfd, "census.csv")
    assert "AWS refuses (BadDigest), to send a part of the file into the bucket; allowed: the same command" in line
    assert bucket.keys() == []


def test_a_file_that_s3_does_not_confirm(
    bucket: Bucket,
    ledger: DynamoDBLedger,
    small: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from moto.s3.responses import S3Response

    listed = S3Response.serialized

    def wrong(self: S3Response, result: object) -> object:
        status, headers, body = listed(self, result)  # type: ignore[arg-type]
        return status, headers, re.sub("(<ChecksumSHA256>).", r"\1?", str(body))

    monkeypatch.setattr(S3Response, "serialized", wrong)
    assert f"S3 does not confirm the file's checksum: given '{CENSUS}'" in one_line(capfd, "census.csv")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_what_a_kill_leaves(
    bucket: Bucket, ledger: DynamoDBLedger, large: Path, capfd: pytest.CaptureFixture[str], number: signal.Signals
) -> None:
    """Nothing can be read; the second call sends what is missing, and the file is whole."""
    bucket.most = 1
    with subprocess.Popen(
        [sys.executable, "-m", "dpcloud", "upload", "--stack", "dp", "large.csv"],
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        assert bucket.held.wait(60)
        os.kill(process.pid, number)
        if number is signal.SIGINT:
            assert process.stderr
            line = process.stderr.readline()
            assert line.startswith(
                "dpcloud: was interrupted; nothing of it can be read there; the same command goes on"
            )
        else:
            process.wait(60)
        bucket.most = 0  # what is under way does not count
        bucket.go_on.set()
        process.communicate(timeout=60)
    assert process.returncode == (130 if number is signal.SIGINT else -signal.SIGKILL)
    assert bucket.keys() == []
    assert bucket.uploads() == ["data/large.csv"]
    [(_, first)] = bucket.parts
    s3 = bucket.client("s3")
    [upload] = s3.list_multipart_uploads(Bucket=NAME)["Uploads"]
    arrived = s3.list_parts(Bucket=NAME, Key="data/large.csv", UploadId=upload["UploadId"])["Parts"]
    there = {part["PartNumber"] for part in arrived}
    assert first in there
    bucket.parts.clear()
    bucket.most = None
    told(capfd, "large.csv")
    # nothing is sent again; what was under way when the process died may have arrived since
    assert {number for _, number in bucket.parts} <= {1, 2, 3} - there
    assert bucket.body("data/large.csv") == large.read_bytes()
    assert bucket.uploads() == []


@pytest.mark.parametrize("tells", [True, False])
def test_a_part_of_another_file_is_sent_again(
    bucket: Bucket, ledger: DynamoDBLedger, large: Path, capfd: pytest.CaptureFixture[str], tells: bool
) -> None:
    """An upload is gone on with by what the parts hold: the file may be another by now."""
    s3 = bucket.client("s3")
    body = large.read_bytes()
    begun = s3.create_multipart_upload(Bucket=NAME, Key="data/large.csv", ChecksumAlgorithm="SHA256")["UploadId"]
    for number, part in ((1, body[:PART]), (2, b"x" * PART)):
        s3.upload_part(
            Bucket=NAME,
            Key="data/large.csv",
            UploadId=begun,
            PartNumber=number,
            Body=part,
            ChecksumSHA256=digest(part),
        )
    bucket.parts.clear()
    bucket.tells = tells  # what speaks S3's protocol elsewhere may tell no checksums
    told(capfd, "large.csv")
    assert sorted(number for _, number in bucket.parts) == [2, 3]
    assert bucket.body("data/large.csv") == body


def test_a_file_that_changes_meanwhile(
    bucket: Bucket,
    ledger: DynamoDBLedger,
    small: Path,
    capfd: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from dpcloud.aws import multipart

    whole = multipart._send_parts

    def slowly(*words: object) -> None:
        whole(*words)  # type: ignore[arg-type]
        small.write_text("State,TotalPop\nAlaska,7\n" * 2)

    monkeypatch.setattr(multipart, "_send_parts", slowly)
    assert "the file has changed while it was sent" in one_line(capfd, "census.csv")
    assert bucket.keys() == []


def test_a_folder(bucket: Bucket, ledger: DynamoDBLedger, capfd: pytest.CaptureFixture[str]) -> None:
    """What a run would read of it, under the names of its partitions; hidden and empty files stay here."""
    for year in ("2023", "2024"):
        Path(f"states/year={year}").mkdir(parents=True)
        Path(f"states/year={year}/part.csv").write_text(f"State\n{year}\n")
    Path("states/_SUCCESS").write_text("")
    Path("states/.hidden.csv").write_text("State\nhidden\n")
    said = told(capfd, "states")
    keys = ["data/states/year=2023/part.csv", "data/states/year=2024/part.csv"]
    assert bucket.keys() == keys
    assert f"--file s3://{NAME}/data/states --format csv" in said
    assert "something lies there already" in one_line(capfd, "states")
    told(capfd, "states/", "--replace")
    Path("states/year=2024/part.csv").unlink()
    line = one_line(capfd, "states", "--replace")
    assert f"which would be read, too: given 's3://{NAME}/{keys[1]}'; allowed: another --as" in line
    Path("one.csv").write_text("State\n1\n")
    assert "the name in the bucket" in one_line(capfd, "one.csv", "--as", "states")
    bucket.client("s3").put_object(Bucket=NAME, Key="data/x.csv/part.csv", Body=b"a\n1\n")
    assert "a folder lies there, which a file would not replace" in one_line(capfd, "one.csv", "--as", "x.csv")
    bucket.client("s3").put_object(Bucket=NAME, Key="data/y", Body=b"a\n1\n")
    assert "a file lies there, which a folder would not replace" in one_line(capfd, "states", "--as", "y")
    assert "the name lies below a file" in one_line(capfd, "one.csv", "--as", "y/z/one.csv")


def test_a_folder_that_is_cut_off_at_its_end(
    bucket: Bucket, ledger: DynamoDBLedger, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """No file can be read before all have arrived; what is half put together is said."""
    from dpcloud.aws import multipart

    Path("two").mkdir()
    for name in ("a", "b"):
        Path(f"two/{name}.csv").write_text("State\n1\n")
    whole, seen = multipart._complete, []

    def second_fails(s3: object, name: str, one: multipart.Sending, only: bool) -> None:
        seen.append(sorted(bucket.uploads()))
        if len(seen) == 2:
            raise KeyboardInterrupt
        whole(s3, name, one, only)

    monkeypatch.setattr(multipart, "_complete", second_fails)
    with pytest.raises(SystemExit) as left:
        main(["upload", "--stack", "dp", "two"])
    assert left.value.code == 130
    assert "1 of the folder's 2 files can be read, the others not; the same command with --replace" in (
        capfd.readouterr().err
    )
    assert seen[0] == ["data/two/a.csv", "data/two/b.csv"]
    monkeypatch.setattr(multipart, "_complete", whole)
    told(capfd, "two", "--replace")
    assert bucket.keys() == ["data/two/a.csv", "data/two/b.csv"]


@pytest.mark.parametrize(
    "name",
    [
        "",
        ".",
        "..",
        "../census.csv",
        "a//census.csv",
        "/census.csv",
        "a/",
        "_census.csv",
        ".census.csv",
        "a/./census.csv",
        "_a/census.csv",
        "census*.csv",
        "{census}.csv",
        "a:census.csv",
        "a\\census.csv",
        "cen\nsus.csv",
        "census.csv/",
        "census.parquet",
        "census",
        "census.csv.gz",
        "a" * 1001 + ".csv",
    ],
)
def test_names_that_no_job_reads(
    bucket: Bucket, ledger: DynamoDBLedger, small: Path, capfd: pytest.CaptureFixture[str], name: str
) -> None:
    assert re.search(
        "the name in the bucket: given|the address is too long", one_line(capfd, "census.csv", "--as", name)
    )
    assert bucket.keys() == bucket.uploads() == []


@pytest.mark.parametrize(
    ("name", "text", "said"),
    [
        ("empty.csv", "", "nothing to read, zero bytes"),
        ("_hidden.csv", "a\n1\n", "a hidden file, which Spark skips"),
        ("table.xlsx", "PK", "unknown format: given 'table.xlsx'; allowed: a name that ends in .csv or .parquet"),
        ("bad.csv", "a,a\n1,2\n", "allowed:"),
        ("broken.parquet", "PAR1", "allowed:"),
        ("s3://bucket/table.csv", None, "not a file of this machine"),
        ("nothing.csv", None, "no such file or folder"),
    ],
)
def test_files_that_no_job_reads(
    bucket: Bucket, ledger: DynamoDBLedger, capfd: pytest.CaptureFixture[str], name: str, text: str | None, said: str
) -> None:
    if text is not None:
        Path(name).write_text(text)
    line = one_line(capfd, name)
    assert said in line
    assert "dpcloud data import" in line or "xlsx" not in name
    assert bucket.keys() == bucket.uploads() == []


def test_addresses_of_other_budgets(
    bucket: Bucket, ledger: DynamoDBLedger, small: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """A name in or around a table with a budget, or one that has its budget under a free name."""
    ledger.set_total(f"s3://{NAME}/data/2024", Epsilon(1), Place(f"s3://{NAME}/data/2024"))
    line = one_line(capfd, "census.csv", "--as", "2024/census.csv")
    assert "the data set's name lies in one that has a budget" in line or "the table lies in one" in line
    assert "--as with a name apart from it" in line
    ledger.set_total(f"s3://{NAME}/data/a/x.csv", Epsilon(1), Place(f"s3://{NAME}/data/a/x.csv"))
    Path("a").mkdir()
    Path("a/y.csv").write_text("State\n1\n")
    assert "contains one that has a budget" in one_line(capfd, "a")
    ledger.set_total("free", Epsilon(1), Place(f"s3://{NAME}/data/census.csv"))
    from library.ledger.contract import reservation

    ledger.reserve([reservation("first", "0.5", "free", place=Place(CENSUS))])
    assert "the data set 'free'" in one_line(capfd, "census.csv")
    assert bucket.keys() == bucket.uploads() == []


@pytest.mark.parametrize("size", [1, PART, 8 * MEBIBYTE * MOST_PARTS, 8 * MEBIBYTE * MOST_PARTS + 1, 5 * 2**40])
def test_no_file_has_more_parts_than_s3_takes(size: int) -> None:
    part = part_size(size)
    assert part % MEBIBYTE == 0
    assert part >= PART
    assert -(-size // part) <= MOST_PARTS


@pytest.fixture
def owner(bucket: Bucket, ledger: DynamoDBLedger, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A user with the policy Owner alone, on a server that asks each call's policy, but not its conditions."""
    stack = json.loads((Path(__file__).parents[2] / "infra/snapshots/defaults/ask.json").read_text())
    [policy] = [body for name, body in stack["Resources"].items() if name.startswith("Owner")]
    arns = {"Bucket": f"arn:aws:s3:::{NAME}", "Ledger": ledger._table.name}

    def resolved(value: Any) -> Any:
        match value:
            case {"Fn::ImportValue": name}:
                return next(arn for kind, arn in arns.items() if f"GetAtt{kind}" in name)
            case {"Fn::Join": [between, parts]}:
                return between.join(map(resolved, parts))
            case {"Ref": name}:
                return {"AWS::Partition": "aws", "AWS::Region": "us-east-1", "AWS::AccountId": "123456789012"}[name]
            case dict():
                return {key: resolved(inner) for key, inner in value.items()}
            case list():
                return [resolved(inner) for inner in value]
        return value.replace("differential-privacy", "dp")

    iam = bucket.client("iam")
    granted = resolved(policy["Properties"]["PolicyDocument"])
    for statement in granted["Statement"]:
        if "s3:" not in json.dumps(statement["Action"]):  # of other services the server knows no resources
            statement["Resource"] = "*"
    document = json.dumps(granted)
    iam.create_user(UserName="owner")
    iam.put_user_policy(UserName="owner", PolicyName="Owner", PolicyDocument=document)
    key = iam.create_access_key(UserName="owner")["AccessKey"]
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", key["AccessKeyId"])
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", key["SecretAccessKey"])
    bucket.post("reset-auth", b"0")
    yield
    bucket.post("reset-auth", b"inf")
    iam.delete_access_key(UserName="owner", AccessKeyId=key["AccessKeyId"])
    iam.delete_user_policy(UserName="owner", PolicyName="Owner")
    iam.delete_user(UserName="owner")


def test_the_policy_owner_is_enough(
    bucket: Bucket, large: Path, owner: None, capfd: pytest.CaptureFixture[str]
) -> None:
    told(capfd, "large.csv")
    told(capfd, "large.csv", "--replace")
    with pytest.raises(ClientError) as refused:
        boto3.client("s3").get_object(Bucket=NAME, Key="data/large.csv")
    assert refused.value.response["Error"]["Code"] == "AccessDenied"
    with pytest.raises(ClientError):
        boto3.client("s3").put_object(Bucket=NAME, Key="releases/large.csv", Body=b"")
