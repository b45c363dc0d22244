"""The S3 operations on one bucket: a verified request in, a reply out.

https://docs.aws.amazon.com/AmazonS3/latest/API/API_Operations_Amazon_Simple_Storage_Service.html
"""

import base64
import hashlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from email.utils import format_datetime
from urllib.parse import quote_plus

from tests.fakes.s3.auth import KeyRecord, Wire
from tests.fakes.s3.errors import S3Error, access_denied, xml_document, xml_element
from tests.fakes.s3.faults import Reply
from tests.fakes.s3.store import UNVERSIONED, Bucket, Page, Version

NAMESPACE = "http://s3.amazonaws.com/doc/2006-03-01/"
MAX_PAGE = 1000
_OVERRIDES = ("content-type", "content-disposition", "cache-control", "content-language")
_SUBRESOURCES = frozenset({"acl", "cors", "delete", "location", "policy", "tagging", "torrent"}) | {
    "uploads",
    "uploadId",
    "versioning",
    "versions",
}


@dataclass(frozen=True)
class Call:
    """Who asks what of which bucket; ``key`` is decoded, ``""`` for the bucket itself."""

    wire: Wire
    who: KeyRecord
    bucket: Bucket
    key: str

    @property
    def version_id(self) -> str:
        return self.wire.params.get("versionId", "")

    def require(self, action: str) -> None:
        if action not in self.who.actions:
            raise access_denied()


def perform(call: Call) -> Reply:
    """Raises ``S3Error`` for what S3 refuses, and 501 for what this server doesn't know."""
    payer = call.wire.params.get("x-amz-request-payer") or call.wire.header("x-amz-request-payer")
    if call.bucket.requester_pays and payer != "requester":
        raise access_denied()
    operations = _OBJECT_OPERATIONS if call.key else _BUCKET_OPERATIONS
    operation = operations.get(call.wire.method)
    if operation is None or _SUBRESOURCES & set(call.wire.params):
        raise S3Error(501, "NotImplemented", "This server knows no such operation.")
    return operation(call)


def _get(call: Call) -> Reply:
    call.require("GetObjectVersion" if call.version_id else "GetObject")
    version = _find(call)
    _check_conditions(call, version)
    headers = {
        "Content-Type": version.content_type,
        "ETag": version.etag,
        "Last-Modified": format_datetime(version.modified, usegmt=True),
        "Accept-Ranges": "bytes",
        **_version_header(version),
    }
    for name in _OVERRIDES:
        value = call.wire.params.get(f"response-{name}")
        if value is not None:
            headers[name.title()] = value
    return _ranged(call, version.body or b"", headers)


def _find(call: Call) -> Version:
    if call.version_id:
        found = call.bucket.version(call.key, call.version_id)
        if found is not None and found.body is None:
            raise S3Error(405, "MethodNotAllowed", "A delete marker has no content.")
        if found is not None:
            return found
        raise S3Error(404, "NoSuchVersion", "The specified version does not exist.")
    found = call.bucket.current(call.key)
    if found is None:
        # Without the right to list, S3 doesn't say whether there is something.
        call.require("ListBucket")
        raise S3Error(404, "NoSuchKey", "The specified key does not exist.", {"Key": call.key})
    return found


def _check_conditions(call: Call, version: Version) -> None:
    if_match = call.wire.header("if-match")
    if if_match is not None and if_match not in ("*", version.etag):
        raise _precondition_failed("If-Match")
    if call.wire.header("if-none-match") in ("*", version.etag):
        raise S3Error(304, "NotModified", "")


def _precondition_failed(condition: str) -> S3Error:
    message = "At least one of the pre-conditions you specified did not hold"
    return S3Error(412, "PreconditionFailed", message, {"Condition": condition})


def _ranged(call: Call, body: bytes, headers: dict[str, str]) -> Reply:
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", call.wire.header("range") or "")
    if match is None or not (match[1] or match[2]):
        return Reply(200, headers, body)
    first = int(match[1]) if match[1] else max(0, len(body) - int(match[2]))
    last = min(int(match[2]), len(body) - 1) if match[1] and match[2] else len(body) - 1
    if first > last:
        raise S3Error(416, "InvalidRange", "The requested range is not satisfiable")
    headers["Content-Range"] = f"bytes {first}-{last}/{len(body)}"
    return Reply(206, headers, body[first : last + 1])


def _put(call: Call) -> Reply:
    call.require("PutObject")
    if call.wire.header("x-amz-copy-source") is not None:
        raise S3Error(501, "NotImplemented", "Copying isn't implemented.")
    if_none_match = call.wire.header("if-none-match")
    if if_none_match not in (None, "*"):
        raise S3Error(501, "NotImplemented", "If-None-Match takes * alone.")
    if if_none_match == "*" and call.bucket.current(call.key) is not None:
        raise _precondition_failed("If-None-Match")
    digest = call.wire.header("content-md5")
    if digest and base64.b64encode(hashlib.md5(call.wire.body).digest()).decode() != digest:
        raise S3Error(400, "BadDigest", "The Content-MD5 you specified did not match.")
    content_type = call.wire.header("content-type") or "binary/octet-stream"
    version = call.bucket.put(call.key, call.wire.body, content_type)
    return Reply(200, {"ETag": version.etag, **_version_header(version)})


def _delete(call: Call) -> Reply:
    call.require("DeleteObjectVersion" if call.version_id else "DeleteObject")
    marker = call.bucket.delete(call.key, call.version_id)
    if marker is not None:
        return Reply(204, {"x-amz-delete-marker": "true", **_version_header(marker)})
    return Reply(204, {"x-amz-version-id": call.version_id} if call.version_id else {})


def _version_header(version: Version) -> dict[str, str]:
    return {} if version.version_id == UNVERSIONED else {"x-amz-version-id": version.version_id}


def _head_bucket(call: Call) -> Reply:
    call.require("ListBucket")
    return Reply(200)


def _list(call: Call) -> Reply:
    call.require("ListBucket")
    params = call.wire.params
    if params.get("list-type") != "2":
        raise S3Error(501, "NotImplemented", "Only ListObjectsV2 is implemented.")
    encoding = params.get("encoding-type", "")
    if encoding not in ("", "url"):
        raise S3Error(400, "InvalidArgument", "Invalid Encoding Method specified in Request")
    size = params.get("max-keys", str(MAX_PAGE))
    if not re.fullmatch(r"\d{1,9}", size):
        raise S3Error(400, "InvalidArgument", "Provided max-keys not an integer")
    if params.get("continuation-token") == "":
        raise S3Error(400, "InvalidArgument", "The continuation token provided is incorrect")
    page = call.bucket.page(
        params.get("prefix", ""),
        params.get("delimiter", ""),
        params.get("start-after", ""),
        params.get("continuation-token", ""),
        min(int(size), MAX_PAGE),
    )
    body = _page_xml(call, page, int(size), encoding)
    return Reply(200, {"Content-Type": "application/xml"}, body)


def _page_xml(call: Call, page: Page, size: int, encoding: str) -> bytes:
    params = call.wire.params
    # S3 writes a space as "+" and leaves "/", as clients that decode with unquote_plus expect.
    encode = (lambda text: quote_plus(text, safe="/")) if encoding else (lambda text: text)
    parts = [xml_element("Name", call.bucket.name)]
    parts.append(xml_element("Prefix", encode(params.get("prefix", ""))))
    for name, element in (("delimiter", "Delimiter"), ("start-after", "StartAfter")):
        if params.get(name):
            parts.append(xml_element(element, encode(params[name])))
    if encoding:
        parts.append(xml_element("EncodingType", encoding))
    if "continuation-token" in params:
        parts.append(xml_element("ContinuationToken", params["continuation-token"]))
    parts.append(xml_element("KeyCount", str(len(page.entries))))
    parts.append(xml_element("MaxKeys", str(min(size, MAX_PAGE))))
    parts.append(xml_element("IsTruncated", str(page.truncated).lower()))
    if page.next_token:
        parts.append(xml_element("NextContinuationToken", page.next_token))
    for key, version in page.entries:
        if version is not None:
            parts.append(_contents(encode(key), version))
    for key, version in page.entries:
        if version is None:
            parts.append(f"<CommonPrefixes>{xml_element('Prefix', encode(key))}</CommonPrefixes>")
    return xml_document("ListBucketResult", "".join(parts), NAMESPACE)


def _contents(key: str, version: Version) -> str:
    fields = {
        "Key": key,
        "LastModified": version.modified.strftime("%Y-%m-%dT%H:%M:%S.000Z"),
        "ETag": version.etag,
        "Size": str(len(version.body or b"")),
        "StorageClass": "STANDARD",
    }
    return f"<Contents>{''.join(xml_element(*pair) for pair in fields.items())}</Contents>"


Operation = Callable[[Call], Reply]
# A HEAD is a GET whose body stays behind.
_OBJECT_OPERATIONS: dict[str, Operation] = {
    "GET": _get,
    "HEAD": _get,
    "PUT": _put,
    "DELETE": _delete,
}
_BUCKET_OPERATIONS: dict[str, Operation] = {"GET": _list, "HEAD": _head_bucket}
