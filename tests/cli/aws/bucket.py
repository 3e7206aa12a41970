"""A deployed bucket and ledger on a server with AWS's protocols (moto), and what it lacks of S3's checksums."""

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cache
from typing import Any
from urllib.request import Request, urlopen

import boto3
import pytest
from moto.core.responses import ActionResult
from moto.s3.exceptions import S3ClientError
from moto.s3.responses import S3Response

from cli.test_budget_stack import TEMPLATE

NAME = "dp-bucket"
_KEYS = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing", "region_name": "us-east-1"}


@cache
def _client(endpoint: str, service: str) -> Any:
    return boto3.session.Session().client(service, endpoint_url=endpoint, **_KEYS)


@dataclass
class Bucket:
    """The server's address; what arrived; and how many parts may arrive before the server waits for `go_on`."""

    endpoint: str = ""
    parts: list[tuple[str, int]] = field(default_factory=list)
    completed: list[tuple[str, dict[str, str], str]] = field(default_factory=list)
    most: int | None = None
    spoiled: bool = False
    tells: bool = True
    held: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def client(self, service: str) -> Any:
        return _client(self.endpoint, service)

    def keys(self) -> list[str]:
        """Of all that can be read."""
        return [told["Key"] for told in self.client("s3").list_objects_v2(Bucket=NAME).get("Contents", [])]

    def body(self, key: str) -> bytes:
        read: bytes = self.client("s3").get_object(Bucket=NAME, Key=key)["Body"].read()
        return read

    def uploads(self) -> list[str]:
        """The keys of the uploads that were begun and not ended."""
        told = self.client("s3").list_multipart_uploads(Bucket=NAME).get("Uploads", [])
        return [upload["Key"] for upload in told]

    def clear(self) -> None:
        s3 = self.client("s3")
        for key in self.keys():
            s3.delete_object(Bucket=NAME, Key=key)
        for upload in s3.list_multipart_uploads(Bucket=NAME).get("Uploads", []):
            s3.abort_multipart_upload(Bucket=NAME, Key=upload["Key"], UploadId=upload["UploadId"])
        self.parts.clear()
        self.completed.clear()
        self.most, self.spoiled, self.tells = None, False, True
        self.held.clear()
        self.go_on.clear()

    def post(self, path: str, body: bytes = b"") -> None:
        """Say something to the server itself."""
        headers = {"Content-Type": "text/plain"}
        urlopen(Request(f"{self.endpoint}/moto-api/{path}", body, headers, method="POST"), timeout=60).close()

    def arrive(self, key: str, number: int) -> None:
        with self.lock:
            waits = self.most is not None and len(self.parts) >= self.most
            if not waits:
                self.parts.append((key, number))
        if waits:
            self.held.set()
            self.go_on.wait(60)


def digest(body: bytes) -> str:
    return base64.b64encode(hashlib.sha256(body).digest()).decode()


@contextmanager
def deployed() -> Iterator[Bucket]:
    """Start the server, with a bucket and a ledger under the prefix dp."""
    from moto.server import ThreadedMotoServer

    bucket = Bucket()
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        checksums(patch, bucket)
        server.start()
        bucket.endpoint = "http://{}:{}".format(*server.get_host_and_port())
        bucket.post("reset")  # moto keeps what it holds beyond a server
        bucket.client("s3").create_bucket(Bucket=NAME)
        outputs = {**TEMPLATE["Outputs"], "BucketName": {"Value": NAME}}
        template = json.dumps({**TEMPLATE, "Outputs": outputs})
        bucket.client("cloudformation").create_stack(StackName="dp-storage", TemplateBody=template)
        yield bucket
        bucket.go_on.set()
        bucket.post("reset")
        server.stop()


def checksums(patch: pytest.MonkeyPatch, bucket: Bucket) -> None:
    """S3 refuses a part that is not what its SHA-256 says, and lists and gives back checksums; moto does not."""
    upload_part, serialized, post = S3Response.upload_part, S3Response.serialized, S3Response._key_response_post

    def checked_part(self: S3Response) -> Any:
        body = self.body[:-1] + b"?" if bucket.spoiled else self.body
        if self.headers.get("x-amz-checksum-sha256") != digest(body):
            raise S3ClientError("BadDigest", "The SHA256 you specified did not match the calculated checksum.")
        bucket.arrive(self.parse_key_name(), int(self._get_param("partNumber")))
        return upload_part(self)

    def listed(self: S3Response, result: Any) -> Any:
        told = result.result if isinstance(result, ActionResult) and bucket.tells else None
        if isinstance(told, dict) and self.data.get("Action") == "ListParts":
            of = self.backend.get_bucket(self.bucket_name).multiparts[told["UploadId"]].parts
            for part in told["Parts"]:
                part["ChecksumSHA256"] = digest(of[part["PartNumber"]].value)
        if isinstance(told, dict) and self.data.get("Action") == "CompleteMultipartUpload":
            key = self.backend.get_object(told["Bucket"], told["Key"])
            value = f"{key.checksum_value}-{key.checksum_parts}"
            told |= {"ChecksumSHA256": value, "ChecksumType": key.checksum_type}
        return serialized(self, result)

    def recorded(self: S3Response, request: Any, body: bytes, bucket_name: str, query: Any, key_name: str) -> Any:
        if query.get("uploadId"):
            bucket.completed.append((key_name, {k.lower(): v for k, v in request.headers.items()}, body.decode()))
        return post(self, request, body, bucket_name, query, key_name)

    patch.setattr(S3Response, "upload_part", checked_part)
    patch.setattr(S3Response, "serialized", listed)
    patch.setattr(S3Response, "_key_response_post", recorded)
