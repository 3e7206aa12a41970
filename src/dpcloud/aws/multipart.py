"""Files into the bucket in parts, each checked by S3 itself, so that a second call goes on where the first one ended.

What belongs to a file is told by its content alone: a part that lies in S3 counts when its SHA-256 is the one of the
file's own. S3 checks each part when it arrives, and at the end that it puts those very parts together. So nothing has
to be read back, which whoever sends tables need not be allowed to. Until its end nothing of an upload can be read.
"""

import base64
import hashlib
import posixpath
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dpcloud.aws.errors import AwsError, explained
from dpcloud.aws.session import client
from dpjobs.errors import InputError, InterruptError

MEBIBYTE = 1 << 20
SMALLEST_PART = 8 * MEBIBYTE
MOST_PARTS = 10_000
"""Of one object; S3's own limit."""
_ALGORITHM = "SHA256"
_AT_ONCE = 4
_MEMORY = 512 * MEBIBYTE  # of all parts that are sent at once
_AGAIN = "the same command, which goes on where it was"
_CHANGED = "a file that rests; the same command sends what has changed"


@dataclass(frozen=True)
class Part:
    """A part that S3 has: its number from 1 on, its ETag, and its SHA-256 in Base64, "" where that is not told."""

    number: int
    etag: str
    digest: str

    def holds(self, body: bytes, digest: str) -> bool:
        """Whether it is these bytes, whose SHA-256 this is."""
        if self.digest:
            return self.digest == digest
        # what speaks S3's protocol elsewhere may list no checksums: there the ETag is the MD5, without encryption
        return self.etag.strip('"') == hashlib.md5(body, usedforsecurity=False).hexdigest()


@dataclass
class Sending:
    """One file on its way, as it was when its sending began."""

    key: str
    path: Path
    size: int
    changed_at: int
    upload_id: str
    parts: dict[int, Part] = field(default_factory=dict)

    @property
    def part_size(self) -> int:
        """In bytes; always the same for a size, so that another call finds the same parts."""
        return part_size(self.size)

    @property
    def numbers(self) -> range:
        """Of its parts."""
        return range(1, -(-self.size // self.part_size) + 1)


def part_size(size: int) -> int:
    """Return the bytes of each part but the last, whole mebibytes, for a file of `size` bytes."""
    least = -(-size // MOST_PARTS)
    return max(SMALLEST_PART, -(-least // MEBIBYTE) * MEBIBYTE)


def send(bucket: str, files: Mapping[str, Path], create_only: bool, say: Callable[[str], None]) -> None:
    """Send files by their keys; none can be read before all of them have arrived.

    `create_only` refuses a key that has an object by then. `say` is told how much has arrived. Raises AwsError, and
    InputError for a file that cannot be read or that changes meanwhile.
    """
    s3 = client("s3")
    there = _under_way(s3, bucket, posixpath.commonpath(list(files)))
    sending = [_begun(s3, bucket, key, path, there) for key, path in files.items()]
    meter = _Meter(sum(one.size for one in sending), say)
    for one in sending:
        _send_parts(s3, bucket, one, meter)
    for one in sending:
        if _state(one.path) != (one.size, one.changed_at):
            raise InputError.of("the file has changed while it was sent", one.path, _CHANGED)
    for number, one in enumerate(sending):
        try:
            _complete(s3, bucket, one, create_only)
        except (AwsError, KeyboardInterrupt) as error:
            if number == 0:
                raise
            again = "the same command with --replace sends all again: let nobody ask before it is done"
            some = f"{number} of the folder's {len(sending)} files can be read, the others not; {again}"
            if isinstance(error, AwsError):
                raise AwsError(f"{error}; {some}") from None
            raise InterruptError(f"was interrupted; {some}") from None


class _Meter:
    """Tells how much has arrived, whichever thread brought it."""

    def __init__(self, total: int, say: Callable[[str], None]) -> None:
        self._total, self._say, self._done, self._lock = total, say, 0, threading.Lock()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            share = self._done / self._total if self._total else 1
            self._say(f"{self._done / MEBIBYTE:,.0f} of {self._total / MEBIBYTE:,.0f} MiB ({share:.0%})")


def _under_way(s3: Any, bucket: str, prefix: str) -> dict[str, str]:
    """Return the newest upload of ours that was begun, by its key."""
    begun: dict[str, tuple[str, str]] = {}
    with explained("look for uploads that were begun", "the same command again"):
        pages = s3.get_paginator("list_multipart_uploads").paginate(Bucket=bucket, Prefix=prefix)
        for told in (told for page in pages for told in page.get("Uploads", [])):
            if told.get("ChecksumAlgorithm") == _ALGORITHM:
                mark = (str(told["Initiated"]), told["UploadId"])
                begun[told["Key"]] = max(mark, begun.get(told["Key"], mark))
    return {key: upload_id for key, (_, upload_id) in begun.items()}


def _begun(s3: Any, bucket: str, key: str, path: Path, there: Mapping[str, str]) -> Sending:
    size, changed_at = _state(path)
    if key in there:
        one = Sending(key, path, size, changed_at, there[key])
        with explained("look at the parts of an upload", _AGAIN):
            pages = s3.get_paginator("list_parts").paginate(Bucket=bucket, Key=key, UploadId=one.upload_id)
            for told in (told for page in pages for told in page.get("Parts", [])):
                part = Part(told["PartNumber"], told["ETag"], told.get("ChecksumSHA256", ""))
                one.parts[part.number] = part
        return one
    with explained("begin an upload into the bucket", _AGAIN):
        told = s3.create_multipart_upload(
            Bucket=bucket, Key=key, ChecksumAlgorithm=_ALGORITHM, ChecksumType="COMPOSITE"
        )
    return Sending(key, path, size, changed_at, told["UploadId"])


def _send_parts(s3: Any, bucket: str, one: Sending, meter: _Meter) -> None:
    """Send the parts that are not there, some at once."""
    there, one.parts = one.parts, {}

    def bring(number: int) -> Part:
        body = _read(one, number)
        digest = _base64(hashlib.sha256(body).digest())
        part = there.get(number)
        if part is None or not part.holds(body, digest):
            with explained("send a part of the file into the bucket", _AGAIN):
                told = s3.upload_part(
                    Bucket=bucket,
                    Key=one.key,
                    UploadId=one.upload_id,
                    PartNumber=number,
                    Body=body,
                    ChecksumSHA256=digest,
                )
            part = Part(number, told["ETag"], digest)
        meter.add(len(body))
        return Part(number, part.etag, digest)

    pool = ThreadPoolExecutor(max(1, min(_AT_ONCE, _MEMORY // one.part_size)))
    try:
        for task in as_completed([pool.submit(bring, number) for number in one.numbers]):
            part = task.result()
            one.parts[part.number] = part
    finally:
        pool.shutdown(wait=False, cancel_futures=True)


def _complete(s3: Any, bucket: str, one: Sending, create_only: bool) -> None:
    """Have S3 put the parts together, which it does only where their digests and the size in all are these."""
    parts = [one.parts[number] for number in one.numbers]
    listed = [{"PartNumber": p.number, "ETag": p.etag, "ChecksumSHA256": p.digest} for p in parts]
    only = {"IfNoneMatch": "*"} if create_only else {}
    try:
        with explained("put the parts of the file together", _AGAIN):
            told = s3.complete_multipart_upload(
                Bucket=bucket,
                Key=one.key,
                UploadId=one.upload_id,
                MultipartUpload={"Parts": listed},
                ChecksumType="COMPOSITE",
                MpuObjectSize=one.size,
                **only,
            )
    except AwsError as error:
        if error.code == "PreconditionFailed":
            address = f"s3://{bucket}/{one.key}"
            raise InputError.of("something was put there meanwhile", address, "the same command again") from None
        raise
    digests = b"".join(base64.b64decode(p.digest) for p in parts)
    whole = f"{_base64(hashlib.sha256(digests).digest())}-{len(parts)}"
    if told.get("ChecksumSHA256", whole) != whole:  # S3 tells it; what speaks its protocol elsewhere may not
        address = f"s3://{bucket}/{one.key}"
        raise AwsError(f"S3 does not confirm the file's checksum: given {address!r}; allowed: --replace, again")


def _read(one: Sending, number: int) -> bytes:
    start = (number - 1) * one.part_size
    wanted = min(one.part_size, one.size - start)
    try:
        with one.path.open("rb") as file:
            file.seek(start)
            body = file.read(wanted)
    except OSError:
        raise _unreadable(one.path) from None
    if len(body) != wanted:
        raise InputError.of("the file has changed while it was sent", one.path, _CHANGED)
    return body


def _state(path: Path) -> tuple[int, int]:
    """Size and time of change."""
    try:
        status = path.stat()
    except OSError:
        raise _unreadable(path) from None
    return status.st_size, status.st_mtime_ns


def _unreadable(path: Path) -> InputError:
    return InputError.of("a file that cannot be read", path, "a file that you may read")


def _base64(digest: bytes) -> str:
    return base64.b64encode(digest).decode()


def objects(bucket: str, prefix: str, most: int | None = None) -> Iterator[tuple[str, int]]:
    """Yield key and size of what lies below a prefix, in the order of the keys; raises AwsError."""
    with explained("look at what is in the bucket", "`dpcloud upload --help`"):
        pages = client("s3").get_paginator("list_objects_v2")
        for page in pages.paginate(
            Bucket=bucket, Prefix=prefix, PaginationConfig={"MaxItems": most, "PageSize": most}
        ):
            yield from ((told["Key"], told["Size"]) for told in page.get("Contents", []))
