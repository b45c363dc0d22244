"""boto3 as the oracle for the tests' own S3 server: URLs that our signer has no part in."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from unittest.mock import patch
from xml.etree import ElementTree

import boto3
from botocore.config import Config

from tests.fakes.httpclients import by_aiohttp
from tests.fakes.s3server import S3Server

REGION = "eu-west-1"
KEY_ID, SECRET = "AKIDEXAMPLE", "secret/with+odd=characters"
BODY = bytes(range(256)) * 4


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


async def fetch(
    url: str, method: str = "GET", headers: dict[str, str] | None = None, data: bytes | None = None
) -> Answer:
    """The URL as it stands, no redirects."""
    status, body, answered = await by_aiohttp(url, method, headers, data or None)
    return Answer(status, answered, body)


def client(origin: str, key_id: str = KEY_ID, secret: str = SECRET, **options: Any) -> Any:
    return boto3.client(
        "s3",
        endpoint_url=origin,
        region_name=options.pop("region", REGION),
        aws_access_key_id=key_id,
        aws_secret_access_key=secret,
        aws_session_token=options.pop("token", None),
        config=Config(
            signature_version="s3v4",
            s3={"addressing_style": options.pop("style", "path")},
            retries={"max_attempts": 0},
        ),
    )


def presign(s3: S3Server, operation: str = "get_object", **options: Any) -> str:
    """A URL from boto3; what isn't an option of ``client`` is a parameter of the operation."""
    made_by = client(
        s3.origin,
        **{n: options.pop(n) for n in ("key_id", "secret", "region", "token") if n in options},
    )
    at = options.pop("at", None)
    expires = options.pop("expires", 600)
    params = {
        "Bucket": "bucket",
        **({} if operation.startswith("list") else {"Key": "a b/ü.jpg"}),
        **options,
    }
    with patch("botocore.auth.get_current_datetime", return_value=at or datetime.now(UTC)):
        url: str = made_by.generate_presigned_url(operation, params, ExpiresIn=expires)
    return url


def code_of(answer: Answer) -> str:
    return ElementTree.fromstring(answer.body).findtext("Code") or ""


def entries(xml: bytes) -> tuple[list[str], list[str]]:
    space = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    root = ElementTree.fromstring(xml)
    keys = [e.findtext(f"{space}Key") or "" for e in root.findall(f"{space}Contents")]
    commons = root.findall(f"{space}CommonPrefixes")
    return keys, [e.findtext(f"{space}Prefix") or "" for e in commons]


def server() -> S3Server:
    """Not yet started, with one key and one object."""
    s3 = S3Server(region=REGION)
    s3.add_key(KEY_ID, SECRET)
    s3.add_bucket("bucket").put("a b/ü.jpg", BODY, "image/jpeg")
    return s3
