"""Amazon S3 and the stores that speak its dialect, signed with an access key.

    signer = compile_signer(location, material, [today, tomorrow])
    make = signer.objects(ObjectIntent(Method.GET, Audience.PUBLIC, Instant(now, 900)))
    make("holiday/beach.jpg"), make("holiday/beach.jpg", "3sL4kqtJlcpXroDTDmJ.xUZ…")

Permissions that the key's principal needs, and no others (``Resource`` in brackets):

- GET, HEAD: ``s3:GetObject``, with a version ``s3:GetObjectVersion`` [``arn:…:bucket/prefix*``]
- PUT: ``s3:PutObject`` [``arn:…:bucket/prefix*``]
- DELETE: ``s3:DeleteObject``, with a version ``s3:DeleteObjectVersion`` [``arn:…:bucket/prefix*``]
- listing: ``s3:ListBucket`` [``arn:…:bucket``], with a condition on ``s3:prefix`` if there is one
- objects under a KMS key: ``kms:Decrypt``, for PUT ``kms:GenerateDataKey`` [the key's ARN]

Errors: ``LookupError`` for a day that no key was derived for; ``ValueError``, in static words, for
what the domain should have refused: an empty key, a lifetime outside 1..604,800 s, a time not in
UTC, a version on PUT, a page size outside 1..1,000, an endpoint that is no origin.

Sources:

- https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/VirtualHosting.html
- https://docs.aws.amazon.com/AmazonS3/latest/API/API_ListObjectsV2.html
- https://docs.aws.amazon.com/AmazonS3/latest/API/API_GetObject.html (``response-*``)
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/conditional-writes.html
- https://docs.aws.amazon.com/AmazonS3/latest/userguide/ObjectsinRequesterPaysBuckets.html
"""

import ipaddress
import re
from collections.abc import Mapping, Sequence
from datetime import date
from types import MappingProxyType

from signer.domain.location import Location
from signer.domain.ports import MaterialFields
from signer.domain.signing import (
    Audience,
    Instant,
    ListIntent,
    Material,
    Method,
    ObjectIntent,
    ObjectUrlMaker,
    ResponseOverrides,
)
from signer.providers.sigv4 import (
    MAX_EXPIRES,
    Presigner,
    Request,
    canonical_origin,
    derive_keys,
    encode_path,
)

FIELDS = frozenset({"access_key_id", "secret_access_key", "session_token"})
MAX_LIFETIME_SECONDS = MAX_EXPIRES
_MAX_PAGE_SIZE = 1000
_NO_HEADERS: Mapping[str, str] = MappingProxyType({})
# Without it a URL to write could replace what is already there.
_CREATE_ONLY: Mapping[str, str] = MappingProxyType({"If-None-Match": "*"})
_READS = (Method.GET, Method.HEAD)

# AWS ids have 16 to 128 characters; S3-compatible stores let people choose shorter ones.
# Amazon's are letters and digits; other stores let people name their own.
_ACCESS_KEY_ID = re.compile(rb"[A-Za-z0-9_.-]{3,128}")
_SECRET = re.compile(rb"[!-~]{8,256}")
_SESSION_TOKEN = re.compile(rb"[!-~]{1,4096}")


class S3Signer:
    """The ``UrlSigner`` of one access key on one location. Immutable; holds derived keys only."""

    __slots__ = ("_bases", "_payer", "_presigners")

    def __init__(self, location: Location, presigners: Mapping[date, Presigner]) -> None:
        self._presigners = dict(presigners)
        self._payer = {"x-amz-request-payer": "requester"} if location.requester_pays else {}
        internal = _base(location, location.endpoint)
        public = _base(location, location.public_endpoint) if location.public_endpoint else internal
        self._bases = {Audience.INTERNAL: internal, Audience.PUBLIC: public}

    @property
    def days(self) -> frozenset[date]:
        return frozenset(self._presigners)

    def objects(self, intent: ObjectIntent) -> ObjectUrlMaker:
        """See ``UrlSigner``. Overrides count on GET and HEAD; elsewhere S3 has no use for them."""
        params = self._payer
        if intent.method in _READS:
            params = params | _override_params(intent.overrides)
        presigner = self._presigner(intent.instant)
        make = presigner.objects(self._request(intent, params))
        return _refusing_versions(make) if intent.method is Method.PUT else make

    def listing(self, intent: ListIntent) -> str:
        """See ``UrlSigner``: ListObjectsV2 of exactly this page, its prefix under the signature.

        ``encoding-type=url`` always, since XML can't hold every key; never ``fetch-owner``.
        """
        if not 1 <= intent.page_size <= _MAX_PAGE_SIZE:
            raise ValueError("A page has between 1 and 1,000 objects.")
        optional = {
            "continuation-token": intent.continuation_token,
            "delimiter": intent.delimiter,
            "prefix": intent.prefix,
            "start-after": intent.start_after,
        }
        params = {
            "encoding-type": "url",
            "list-type": "2",
            "max-keys": str(intent.page_size),
            **{name: value for name, value in optional.items() if value},
            **self._payer,
        }
        origin, path = self._bases[intent.audience]
        # The bucket itself is "/" on its own host and "/bucket" (no slash behind) in path style.
        path = path.rstrip("/") or "/"
        return self._presigner(intent.instant).url(
            Request("GET", origin, path, params, _NO_HEADERS, intent.instant)
        )

    def required_headers(self, method: Method) -> Mapping[str, str]:
        return _CREATE_ONLY if method is Method.PUT else _NO_HEADERS

    def _request(self, intent: ObjectIntent, params: Mapping[str, str]) -> Request:
        origin, path = self._bases[intent.audience]
        headers = {k.lower(): v for k, v in self.required_headers(intent.method).items()}
        return Request(intent.method.value, origin, path, params, headers, intent.instant)

    def _presigner(self, instant: Instant) -> Presigner:
        presigner = self._presigners.get(instant.signed_at.date())
        if presigner is None:
            raise LookupError("No signing key was derived for that UTC day.")
        return presigner


def compile_signer(location: Location, material: Material, days: Sequence[date]) -> S3Signer:
    """The ``SignerFactory`` for access keys. The caller owns the material's ``with`` block.

    Raises ``ValueError`` when an endpoint is no origin or an id isn't ASCII.
    """
    access_key_id = _text(material.field("access_key_id"))
    session_token = _text(material.field("session_token"))
    keys = derive_keys(material.field("secret_access_key"), days, location.region)
    presigners = {
        day: Presigner(access_key_id, session_token, location.region, key)
        for day, key in keys.items()
    }
    return S3Signer(location, presigners)


def validate_access_key(fields: MaterialFields) -> list[tuple[str, str]]:
    """What is wrong with the shape of an access key: ``(field, problem)``, in static words."""
    shapes = (
        (
            "access_key_id",
            _ACCESS_KEY_ID,
            "An access key id has 3 to 128 letters, digits, underscores, hyphens and dots.",
        ),
        (
            "secret_access_key",
            _SECRET,
            "A secret access key has 8 to 256 printable ASCII characters and no spaces.",
        ),
        (
            "session_token",
            _SESSION_TOKEN,
            "A session token has at most 4,096 printable ASCII characters and no spaces.",
        ),
    )
    problems: list[tuple[str, str]] = []
    for name, shape, problem in shapes:
        value = fields.get(name, b"")
        if len(value) == 0 and name == "session_token":
            continue
        if not shape.fullmatch(value):
            problems.append((name, problem))
    return problems


def access_key_hint(fields: MaterialFields) -> str:
    """The access key id with its middle masked: ``AKIA…MPLE``; a short one is masked whole.

    At least half of what it is stays hidden, and its length doesn't show.
    """
    access_key_id = str(fields.get("access_key_id", b""), "ascii", "replace")
    if len(access_key_id) < 16:
        return "…"
    return f"{access_key_id[:4]}…{access_key_id[-4:]}"


def _refusing_versions(make: ObjectUrlMaker) -> ObjectUrlMaker:
    def make_unversioned(key: str, version: str = "", /) -> str:
        if version:
            raise ValueError("A version can't be written to.")
        return make(key)

    return make_unversioned


def _text(view: memoryview) -> str:
    try:
        return str(view, "ascii")
    except UnicodeDecodeError:  # it would carry the bytes
        raise ValueError("Access key ids and session tokens are ASCII.") from None


def _override_params(overrides: ResponseOverrides) -> dict[str, str]:
    params = {
        "response-cache-control": overrides.cache_control,
        "response-content-disposition": overrides.content_disposition,
        "response-content-type": overrides.content_type,
    }
    return {name: value for name, value in params.items() if value}


def _base(location: Location, endpoint: str) -> tuple[str, str]:
    """Origin and path that every key of the bucket is appended to."""
    region, bucket = location.region, location.bucket
    aws = f"https://s3.{region}.amazonaws.com" + (".cn" if region.startswith("cn-") else "")
    scheme, host, netloc = canonical_origin(endpoint or aws)
    # A wildcard certificate covers one label, and an address has no subdomains.
    dotted = "." in bucket and scheme == "https"
    if location.path_style or dotted or _is_address(host):
        return f"{scheme}://{netloc}", f"/{encode_path(bucket)}/"
    return f"{scheme}://{bucket}.{netloc}", "/"


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    return True
