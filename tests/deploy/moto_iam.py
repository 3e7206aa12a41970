"""Identity policies on the moto server, as AWS reads them: moto itself knows neither conditions nor most resources.

A request that is signed with a user's key is judged by that user's policies; any other is the account's own, which
may everything. The judge is the tests' own evaluator (infra.statements); what a request is about is told here.
"""

import json
from collections.abc import Iterator
from typing import Any

import pytest
from moto.core.authorization import ActionAuthenticatorMixin
from moto.iam.access_control import CreateAccessKeyFailure, IAMPolicy, create_access_key

from deploy.runner import ACCOUNT, REGION
from infra.statements import applies, statements_of

Asked = tuple[str, str, dict[str, list[str]]]
PREFIXES = {"elasticmapreduce": "elasticmapreduce", "monitoring": "cloudwatch"}
"""The prefix of a service's actions by its name in a signature, where the two differ."""
OBJECTS = {  # the action by the operation, where S3's names differ
    "HeadObject": "GetObject", "ListObjects": "ListBucket", "ListObjectsV2": "ListBucket", "HeadBucket": "ListBucket",
    "CreateMultipartUpload": "PutObject", "UploadPart": "PutObject", "CompleteMultipartUpload": "PutObject",
    "ListParts": "ListMultipartUploadParts", "ListMultipartUploads": "ListBucketMultipartUploads",
    "ListObjectVersions": "ListBucketVersions", "CopyObject": "PutObject", "DeleteObjects": "DeleteObject",
}  # fmt: skip
WRITES = {"Put": "PutItem", "Update": "UpdateItem", "Delete": "DeleteItem", "ConditionCheck": "ConditionCheckItem"}


def enforced(patch: pytest.MonkeyPatch) -> None:
    """Judge every request of a user's key until the patch is undone."""

    def authorize(self: Any, iam_request_cls: type, resource: str = "*") -> None:
        key, _, _, service, _ = self.headers.get("Authorization", "=////").split("Credential=")[-1].split("/", 4)
        try:
            user = create_access_key(ACCOUNT, "aws", key, self.headers)
        except CreateAccessKeyFailure:
            return
        operation = self._get_action()
        path = self.raw_path + ("?" + self.uri.partition("?")[2] if "?" in self.uri else "")
        about = {"account_id": ACCOUNT, "method": self.method, "path": path, "data": self.data}
        request: Any = iam_request_cls(**about, body=self.raw_body, headers=self.headers, action=operation)
        told = [s for policy in user.collect_policies() for s in statements_of(IAMPolicy(policy)._policy_json)]
        for action, thing, context in asked(service, operation, resource, self):
            effects = {s["Effect"] for s in told if applies(s, action, thing, context)}
            if effects != {"Allow"}:
                request._raise_access_denied()

    patch.setattr(ActionAuthenticatorMixin, "_authenticate_and_authorize_action", authorize)


def asked(service: str, operation: str, resource: str, request: Any) -> Iterator[Asked]:
    """What AWS would ask of the policies for this request: action, resource and what it knows besides."""
    here = f"{REGION}:{ACCOUNT}"
    prefix = PREFIXES.get(service, service)
    body = json.loads(request.raw_body) if request.raw_body[:1] == b"{" else {}
    match service:
        case "s3":
            words = {key: value[-1] for key, value in request.querystring.items()}
            context = {"s3:prefix": [words["prefix"]]} if "prefix" in words else {}
            yield f"s3:{OBJECTS.get(operation, operation)}", resource, context
            if source := request.headers.get("x-amz-copy-source"):
                yield "s3:GetObject", f"arn:aws:s3:::{source.lstrip('/')}", {}
        case "dynamodb":
            yield from _of_tables(operation, body)
        case "states":
            arn = body.get("stateMachineArn") or body.get("executionArn") or "*"
            yield f"states:{operation}", arn, {}
        case "glue":
            name = body.get("JobName") or body.get("Name")
            yield f"glue:{operation}", f"arn:aws:glue:{here}:job/{name}" if name else "*", {}
        case "logs":
            name = body.get("logGroupName", "*")
            yield f"logs:{operation}", f"arn:aws:logs:{here}:log-group:{name}:log-stream:any", {}
        case "cloudformation":
            name = request.querystring.get("StackName", ["*"])[0]
            yield f"cloudformation:{operation}", f"arn:aws:cloudformation:{here}:stack/{name}/any", {}
        case _:
            yield f"{prefix}:{operation}", "*", {}


def _of_tables(operation: str, body: dict[str, Any]) -> Iterator[Asked]:
    """Each item of a transaction is asked for by itself, under the name of the plain operation."""

    def ask(action: str, table: str, keys: list[str]) -> Asked:
        arn = table if table.startswith("arn:") else f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/{table}"
        return f"dynamodb:{action}", arn, {"dynamodb:leadingkeys": keys} if keys else {}

    if operation == "TransactWriteItems":
        for item in body["TransactItems"]:
            [(kind, part)] = item.items()
            yield ask(WRITES[kind], part["TableName"], [part.get("Item", part.get("Key"))["pk"]["S"]])
    elif operation == "BatchGetItem":
        for table, wanted in body["RequestItems"].items():
            yield ask(operation, table, [key["pk"]["S"] for key in wanted["Keys"]])
    elif operation == "Query":
        yield ask(operation, body["TableName"], [body["ExpressionAttributeValues"][":pk"]["S"]])
    else:
        item = body.get("Item") or body.get("Key")
        yield ask(operation, body.get("TableName", "*"), [item["pk"]["S"]] if item else [])
