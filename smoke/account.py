"""The AWS account and region that the session's credentials lead to, looked at before anything is made."""

import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import urlsplit

import boto3.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError, ProfileNotFound
from stacks.config.offers import REGIONS

from dpjobs.errors import InputError
from smoke.moto import CAN_BE_SERVED, LACKS

_CONFIG = Config(connect_timeout=10, read_timeout=60, retries={"mode": "standard", "total_max_attempts": 8})
_AWS = ("amazonaws.com", "amazonaws.com.cn", "api.aws", "aws.dev")
_BOOTSTRAP = "/cdk-bootstrap/hnb659fds/version"
_VCPUS = "L-1216C47A"
"""EC2's quota of on-demand vCPUs of the families A, C, D, H, I, M, R, T and Z."""


@dataclass
class Account:
    """One boto3 session, and who it is; `serves_runs` says that a test server was given what runs jobs and steps."""

    session: boto3.session.Session
    region: str
    serves_runs: bool = False
    _clients: dict[str, Any] = field(default_factory=dict)

    def client(self, service: str) -> Any:
        """The session's client of a service, made once."""
        if service not in self._clients:
            self._clients[service] = self.session.client(service, config=_CONFIG)
        return self._clients[service]

    @cached_property
    def id(self) -> str:
        """The account's twelve digits. Raises InputError when AWS does not take the credentials."""
        try:
            return str(self.client("sts").get_caller_identity()["Account"])
        except NoCredentialsError:
            raise InputError("no AWS credentials; allowed: AWS_PROFILE, or keys in the environment") from None
        except ClientError as error:
            raise InputError(f"AWS refuses the credentials ({code_of(error)}); allowed: valid ones") from None
        except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
            what = f"the credentials cannot be used, or AWS cannot be reached ({type(error).__name__})"
            raise InputError(f"{what}; allowed: valid credentials, and a network that leads to AWS") from None

    @cached_property
    def is_test_server(self) -> bool:
        """Whether the endpoint is not AWS's (AWS_ENDPOINT_URL)."""
        host = urlsplit(self.client("sts").meta.endpoint_url).hostname or ""
        return not host.endswith(_AWS)

    def lacks(self, facility: str) -> str | None:
        """Why this is not to be had here, None where it is: everything is on AWS."""
        if not self.is_test_server or (facility == CAN_BE_SERVED and self.serves_runs):
            return None
        return f"a test server: {LACKS[facility]}"

    @property
    def environment(self) -> dict[str, str]:
        """The process's environment for what is started: the same session, and the region under both its names."""
        return {**os.environ, "AWS_REGION": self.region, "AWS_DEFAULT_REGION": self.region}


def open_account(account: str | None, region: str | None, serves_runs: bool = False) -> Account:
    """Return the account of the environment's credentials.

    Raises InputError when there are none, no region, or other ones than `account` and `region`.
    """
    names = [os.environ.get(name) or None for name in ("AWS_REGION", "AWS_DEFAULT_REGION")]
    if all(names) and names[0] != names[1]:
        raise InputError.of("AWS_REGION and AWS_DEFAULT_REGION differ", " and ".join(map(str, names)), "one region")
    try:
        session = boto3.session.Session(region_name=names[0] or names[1])
    except ProfileNotFound:
        raise InputError.of("no such AWS profile", os.environ.get("AWS_PROFILE"), "one of ~/.aws/config") from None
    found = session.region_name
    if found is None:
        raise InputError("no AWS region is set; allowed: AWS_REGION, or a region in the AWS profile")
    if found not in REGIONS:
        raise InputError.of("not an AWS region", found, "one such as us-east-1")
    if region is not None and region != found:
        raise InputError.of("the session is in another region", found, f"{region}, which was asked for")
    try:
        opened = Account(session, found, serves_runs)
        if account is not None and account != opened.id:
            raise InputError.of("the credentials are of another account", opened.id, f"{account}, as asked for")
        assert opened.id  # noqa: S101 (asks AWS, whatever else was given)
    except NoRegionError:
        raise InputError("no AWS region is set; allowed: AWS_REGION, or a region in the AWS profile") from None
    return opened


def check_ready(account: Account, vcpus: int) -> None:
    """Raise InputError unless the CDK is bootstrapped there, and EC2 may start as many vCPUs at once.

    What the credentials may not look at is passed over: the deployment will tell.
    """
    try:
        account.client("ssm").get_parameter(Name=_BOOTSTRAP)
    except ClientError as error:
        if code_of(error) == "ParameterNotFound":
            where = f"aws://{account.id}/{account.region}"
            raise InputError.of("the CDK is not bootstrapped", where, f"`cdk bootstrap {where}` first") from None
    try:
        quota = account.client("service-quotas").get_service_quota(ServiceCode="ec2", QuotaCode=_VCPUS)
    except (ClientError, BotoCoreError):
        return
    if quota["Quota"]["Value"] < vcpus:
        given = f"{quota['Quota']['Value']:g} vCPUs"
        ask = f"aws service-quotas request-service-quota-increase --service-code ec2 --quota-code {_VCPUS}"
        raise InputError.of(
            "EC2's on-demand quota is too small", given, f"{vcpus} or more: `{ask} --desired-value N`"
        )


def code_of(error: ClientError) -> str:
    """AWS's code of an error, such as AccessDenied."""
    return str(error.response.get("Error", {}).get("Code", ""))
