"""What the live S3 tests share: two access keys, a location, and URLs for it."""

from datetime import timedelta

from signer.domain.location import Location, Provider
from signer.domain.signing import (
    Audience,
    Instant,
    Method,
    ObjectIntent,
    ResponseOverrides,
    UrlSigner,
)
from tests.fakes.s3signing import AccessKey, utc_now

REGION = "eu-west-1"
KEY = AccessKey("AKIDEXAMPLE", "secret/with+odd=characters")
OTHER = AccessKey("AKIDOTHER", "another/secret+altogether")
BODY = b"an image, so to say"
XML = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def location(endpoint: str, *, path_style: bool = True) -> Location:
    return Location(Provider.S3, "bucket", REGION, endpoint, path_style=path_style)


def url_of(
    signer: UrlSigner,
    key: str = "a b/ü.jpg",
    method: Method = Method.GET,
    *,
    version: str = "",
    expires: int = 600,
    age: int = 0,
    overrides: ResponseOverrides | None = None,
) -> str:
    instant = Instant(utc_now() - timedelta(seconds=age), expires)
    intent = ObjectIntent(method, Audience.INTERNAL, instant, overrides or ResponseOverrides())
    return signer.objects(intent)(key, version)
