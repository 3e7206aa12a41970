"""One deployment of the stacks under a prefix of its own, by the CDK's command line, from a cdk.json of its own."""

import json
import subprocess
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from botocore.exceptions import ClientError

from dpcloud.cost import Cost, cost_of, read_config
from dpjobs.errors import DpError
from smoke.account import Account, code_of
from smoke.progress import Progress
from smoke.settings import (
    DEPLOY_SECONDS,
    DESTROY_SECONDS,
    FOLDER,
    PREFIX,
    ROOT,
    SETTINGS,
    STACKS,
    TEST_SERVER_SETTINGS,
)

_CDK = ROOT / ".venv" / "bin" / "cdk"
_TAIL = 12
_GONE = "DELETE_COMPLETE"


class CdkError(DpError):
    """The CDK's command line ended with an error."""


@dataclass
class Deployment:
    """The stacks PREFIX-network and so on. No user's cdk.json has a say in it, least of all what that adopts."""

    account: Account
    prefix: str
    isolated: bool = False
    daemon_logs: bool = False
    log_groups: set[str] = field(default_factory=set)
    """The names of those that its stacks had, once they are asked to go."""

    def __post_init__(self) -> None:
        if not self.prefix.startswith(PREFIX):
            raise ValueError(f"not a prefix of this script: {self.prefix}")

    @property
    def folder(self) -> Path:
        """Where its cdk.json, its log and its report are."""
        return FOLDER / self.prefix

    @property
    def stacks(self) -> dict[str, str]:
        """The names of the stacks by their endings; no other stack is ever touched."""
        return {ending: f"{self.prefix}-{ending}" for ending in STACKS}

    @property
    def settings(self) -> dict[str, Any]:
        """The block "dp"."""
        over = TEST_SERVER_SETTINGS if self.account.is_test_server else {}
        where = {"name_prefix": self.prefix, "account": self.account.id, "region": self.account.region}
        glue = {**SETTINGS["glue"], "daemon_logs": self.daemon_logs}
        return {**SETTINGS, **over, **where, "glue": glue, "network": "isolated" if self.isolated else "nat"}

    def write(self) -> None:
        """Write the deployment's cdk.json: the repository's, with this block "dp"."""
        whole = json.loads((ROOT / "cdk.json").read_text(encoding="utf-8"))
        whole["app"] = f"{ROOT / '.venv/cdk/bin/python'} {ROOT / 'app.py'}"
        whole["output"] = "cdk.out"
        whole["context"]["dp"] = self.settings
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "cdk.json").write_text(json.dumps(whole, indent=2) + "\n", encoding="utf-8")

    def cost(self) -> Cost:
        """What it costs, at the prices that are known (us-east-1's), wherever it is."""
        return cost_of(read_config(self.folder / "cdk.json", ["dp.region=null"]))

    def deploy(self, progress: Progress) -> None:
        """Deploy all stacks. Raises CdkError with the last lines of what the CDK said."""
        method = ["--method=direct"] if self.account.lacks("change sets") else []
        self._cdk(progress, DEPLOY_SECONDS, "deploy", "--all", "--require-approval=never", *method)

    def destroy(self, progress: Progress) -> None:
        """Destroy all stacks. Raises CdkError."""
        for name in self.standing():  # a stack that is protected from termination keeps the others, too
            if name.startswith(f"{self.prefix}-"):
                self._unprotect(name)
        self._cdk(progress, DESTROY_SECONDS, "destroy", "--all", "--force")

    def _unprotect(self, name: str) -> None:
        formation = self.account.client("cloudformation")
        if formation.describe_stacks(StackName=name)["Stacks"][0].get("EnableTerminationProtection"):
            formation.update_termination_protection(StackName=name, EnableTerminationProtection=False)

    def _cdk(self, progress: Progress, limit_seconds: float, *words: str) -> None:
        """Run one command of the CDK in the deployment's folder, and never leave it running behind."""
        environment = {**self.account.environment, "CI": "true"}
        with (self.folder / "cdk.log").open("a", encoding="utf-8") as log:
            process = subprocess.Popen(
                [str(_CDK), *words],
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            )
            limit = threading.Timer(limit_seconds, process.kill)
            limit.start()
            tail: list[str] = []
            try:
                for line in process.stdout or ():
                    log.write(line)
                    log.flush()
                    tail = [*tail, line.strip()][-_TAIL:]
                    if line.lstrip().startswith(("✅", "❌")):
                        progress.say(f"cdk {words[0]}: {line.strip()}")
                code = process.wait()
            finally:
                limit.cancel()
                if process.poll() is None:
                    process.terminate()
                    process.wait(timeout=60)
        if code:
            said = " / ".join(line for line in tail if line)
            raise CdkError(f"cdk {words[0]} ended with {code} (the whole is in {self.folder / 'cdk.log'}): {said}")

    def standing(self) -> dict[str, str]:
        """The stacks of this prefix that are there, with their status."""
        return dict(self._described())

    def _described(self) -> Iterator[tuple[str, str]]:
        for name in self.stacks.values():
            try:
                [stack] = self.account.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
            except ClientError as error:
                if code_of(error) != "ValidationError":  # all that CloudFormation says of a stack that is not there
                    raise
                continue
            if stack["StackStatus"] != _GONE:
                yield name, stack["StackStatus"]

    @cached_property
    def outputs(self) -> dict[str, str]:
        """The outputs of all stacks; looked up once, so only after the deployment."""
        found: dict[str, str] = {}
        for name in self.stacks.values():
            [stack] = self.account.client("cloudformation").describe_stacks(StackName=name)["Stacks"]
            found |= {output["OutputKey"]: output["OutputValue"] for output in stack.get("Outputs", [])}
        return found

    def resources(self, ending: str, kind: str) -> dict[str, str]:
        """The physical ids of a stack's resources of a type, by their logical ids."""
        pages = self.account.client("cloudformation").get_paginator("list_stack_resources")
        return {
            one["LogicalResourceId"]: one["PhysicalResourceId"]
            for page in pages.paginate(StackName=self.stacks[ending])
            for one in page["StackResourceSummaries"]
            if one["ResourceType"] == kind and one.get("PhysicalResourceId")
        }

    def template(self, ending: str, kind: str) -> list[dict[str, Any]]:
        """The properties of a deployed template's resources of a type, as they stand in the template."""
        body = self.account.client("cloudformation").get_template(StackName=self.stacks[ending])["TemplateBody"]
        whole = json.loads(body) if isinstance(body, str) else body
        return [r["Properties"] for r in whole["Resources"].values() if r["Type"] == kind]
