"""One moto server in this process, one bootstrap, one deployment by the real CDK command line."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.runner import ACCOUNT, REGION, ROOT, Runner, environment_of

DEPLOYED = (
    "app.py",
    "cdk.json",
    "stacks",
    "glue_scripts",
    "emr_assets",
    "tools",
    "smoke",
    "requirements",
)


@dataclass(frozen=True)
class Deployment:
    """A checkout of its own, and the environment of a user whose AWS is the moto server."""

    project: Path
    environment: dict[str, str]

    def cdk(self, *words: str, code: int = 0) -> str:
        """Run the environment's `cdk` and return what it said, both streams together."""
        done = subprocess.run(
            [self.project / ".venv/bin/cdk", *words],
            cwd=self.project,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=900,
            check=False,
        )
        assert done.returncode == code, done.stdout[-3000:]
        return done.stdout

    def deploy(self, *words: str) -> str:
        """Deploy all stacks. Directly: moto's change sets register no exports."""
        return self.cdk("deploy", "--all", "--method=direct", "--require-approval=never", *words)

    def client(self, service: str) -> Any:
        """A boto3 client of the server."""
        import boto3

        keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": REGION}
        return boto3.client(service, endpoint_url=self.environment["AWS_ENDPOINT_URL"], **keys)

    def outputs(self, stack: str) -> dict[str, str]:
        """A stack's outputs by key."""
        described = self.client("cloudformation").describe_stacks(StackName=f"differential-privacy-{stack}")
        return {o["OutputKey"]: o["OutputValue"] for o in described["Stacks"][0].get("Outputs", [])}

    def resources(self, stack: str, type_: str) -> list[dict[str, Any]]:
        """The properties of a deployed template's resources of a type, their references resolved."""
        return resolved_resources(self.client("cloudformation"), f"differential-privacy-{stack}", type_)


def resolved_resources(formation: Any, stack: str, type_: str) -> list[dict[str, Any]]:
    """The properties of a deployed template's resources of a type, their references resolved."""
    template = formation.get_template(StackName=stack)["TemplateBody"]
    template = json.loads(template) if isinstance(template, str) else template
    found = [r["Properties"] for r in template["Resources"].values() if r["Type"] == type_]
    exports = {e["Name"]: e["Value"] for e in formation.list_exports()["Exports"]}
    return [_resolved(properties, exports) for properties in found]


def _resolved(value: Any, exports: dict[str, str]) -> Any:
    """Resolve what these templates use; a reference to a resource of the stack itself stays as it is."""
    pseudo = {
        "AWS::AccountId": ACCOUNT,
        "AWS::Region": REGION,
        "AWS::Partition": "aws",
        "AWS::URLSuffix": "amazonaws.com",
    }
    if isinstance(value, list):
        return [_resolved(part, exports) for part in value]
    if not isinstance(value, dict):
        return value
    match value:
        case {"Fn::ImportValue": name}:
            return exports[name]
        case {"Fn::Join": [glue, parts]}:
            return glue.join(_resolved(parts, exports))
        case {"Fn::Sub": str(text)}:
            return re.sub(r"\$\{([^}]+)\}", lambda m: pseudo[m[1]], text)
        case {"Ref": str(name)} if name in pseudo:
            return pseudo[name]
    return {key: _resolved(part, exports) for key, part in value.items()}


@contextmanager
def moto_server(patch: pytest.MonkeyPatch) -> Iterator[str]:
    """A server in this process; its address has `localhost` by name, from which moto reads a template's bucket."""
    from moto.server import ThreadedMotoServer

    from deploy import moto_patches

    moto_patches.apply(patch)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        _, port = server.get_host_and_port()
        patch.setenv("MOTO_PORT", str(port))  # where a state machine's tasks find the other services
        yield f"http://localhost:{port}"
    finally:
        server.stop()


@pytest.fixture(scope="session")
def endpoint() -> Iterator[str]:
    """The server's address."""
    with pytest.MonkeyPatch.context() as patch, moto_server(patch) as address:
        yield address


def deployed(endpoint: str, packed_environment: Path, folder: Path) -> Deployment:
    """All stacks, deployed as the README says, from a copy of the files that can be changed."""
    project = folder / "project"
    project.mkdir()
    for name in DEPLOYED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, project / name)
    shutil.copytree(ROOT / "src/dpjobs", project / "src/dpjobs", ignore=shutil.ignore_patterns("__pycache__"))
    (project / ".venv").symlink_to(ROOT / ".venv")
    (project / "build").mkdir()
    (project / "build" / "environment").symlink_to(packed_environment.parent)
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("AWS_", "CDK_"))}
    made = Deployment(project, {**kept, **environment_of(endpoint, folder / "home")})
    (folder / "home").mkdir()
    made.cdk("bootstrap", f"aws://{ACCOUNT}/{REGION}")
    made.deploy()
    return made


@pytest.fixture(scope="session")
def deployment(endpoint: str, packed_environment: Path, tmp_path_factory: pytest.TempPathFactory) -> Deployment:
    """The deployment of all tests of this folder."""
    return deployed(endpoint, packed_environment, tmp_path_factory.mktemp("deployment"))


@pytest.fixture(scope="session")
def runner(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Runner]:
    """What runs the jobs and steps that are started on the server."""
    from dpcloud.java import use_java

    use_java()
    with Runner(endpoint, tmp_path_factory.mktemp("nodes")).running() as started:
        yield started
