"""What `cdk deploy` left behind: which table is a stack's ledger."""

import os
import re

from dpjobs.errors import InputError

_OUTPUT = "LedgerTableArn"
_STACK = re.compile(r"[A-Za-z][A-Za-z0-9-]{0,127}", re.ASCII)
_ALLOWED = f"a stack with the output {_OUTPUT}, such as differential-privacy-storage, or its name without -storage"


def ledger_table(stack: str) -> str:
    """Return the ARN of the ledger table of a deployed stack, of STACK-storage or STACK-ask; raises InputError."""
    if not _STACK.fullmatch(stack):
        raise InputError.of("malformed stack name", stack, "a letter, then letters, digits and '-', 128 at most")
    refused: InputError | None = None
    known = False
    for name in (stack, f"{stack}-storage", f"{stack}-ask"):  # who asks may look at the last one alone
        try:
            outputs = _outputs(name)
        except _RefusedError as error:
            refused = refused or error
            continue
        if outputs and _OUTPUT in outputs:
            return outputs[_OUTPUT]
        known = known or outputs is not None
    if refused:
        raise refused
    if known:
        raise InputError.of("the stack has no ledger", stack, _ALLOWED)
    raise InputError.of("no such stack in this account and region", stack, _ALLOWED)


class _RefusedError(InputError):
    """AWS does not let these credentials describe a stack."""


def _outputs(stack: str) -> dict[str, str] | None:
    """Return a stack's outputs, None when there is no such stack."""
    import boto3.session
    from botocore.config import Config
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError, NoRegionError

    config = Config(connect_timeout=5, read_timeout=20, retries={"mode": "standard", "total_max_attempts": 3})
    try:
        # boto3 itself does not read AWS_REGION, which the CDK and most other tools do
        session = boto3.session.Session(region_name=os.environ.get("AWS_REGION") or None)
        client = session.client("cloudformation", config=config)
        [described] = client.describe_stacks(StackName=stack)["Stacks"]
    except NoRegionError:
        raise InputError("no AWS region is set; allowed: AWS_REGION, or a region in the AWS profile") from None
    except NoCredentialsError:
        raise InputError("no AWS credentials; allowed: those of one who may read the stack and table") from None
    except ClientError as error:
        code = str(error.response.get("Error", {}).get("Code", ""))
        if code == "ValidationError":  # what CloudFormation says when there is no such stack
            return None
        named = f" ({code})" if re.fullmatch(r"[A-Za-z0-9.]{1,80}", code) else ""
        raise _RefusedError.of(f"AWS refuses to describe the stack{named}", stack, "a user who may") from None
    except (BotoCoreError, ValueError) as error:  # ValueError: an endpoint that is no address
        what = f"AWS CloudFormation cannot be reached ({type(error).__name__})"
        raise InputError.of(what, stack, "a network and an endpoint that lead there") from None
    return {output["OutputKey"]: output["OutputValue"] for output in described.get("Outputs", [])}
