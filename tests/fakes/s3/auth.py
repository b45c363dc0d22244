"""Verifies SigV4 requests as they came over the wire. Written from AWS's pages, for tests only.

Shares no code with the signer, so that both can't be wrong in the same way:

- https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
- https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html

The path is verified exactly as received, so a client that rewrote it (``%7E`` to ``~``, ``a/../b``
to ``b``) is refused, where AWS might be milder.
"""

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from urllib.parse import quote, unquote_to_bytes

from tests.fakes.s3.errors import S3Error, access_denied

ACTIONS = frozenset(
    {"GetObject", "GetObjectVersion", "PutObject", "DeleteObject", "DeleteObjectVersion"}
    | {"ListBucket"}
)
MAX_SKEW = timedelta(minutes=15)
_DATE_FORMAT = "%Y%m%dT%H%M%SZ"
_QUERY_NAMES = ("Algorithm", "Credential", "Date", "Expires", "SignedHeaders", "Signature")
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256 Credential=([^,]+), ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})"
)


@dataclass(frozen=True)
class KeyRecord:
    """An access key as the server knows it; ``actions`` without ``ListBucket`` hide what is not
    there. ``session_expires`` ends a session token before the URLs signed with it."""

    access_key_id: str
    secret_access_key: str
    session_token: str = ""
    session_expires: datetime | None = None
    actions: frozenset[str] = ACTIONS


@dataclass(frozen=True)
class Wire:
    """A request as received: ``target`` is the raw request target, header names in lower case."""

    method: str
    target: str
    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    @property
    def path(self) -> str:
        return self.target.partition("?")[0]

    @property
    def raw_params(self) -> list[tuple[str, str]]:
        """Names and values of the query, still encoded."""
        query = self.target.partition("?")[2]
        pairs = (part.partition("=") for part in query.split("&") if part)
        return [(name, value) for name, _, value in pairs]

    @property
    def params(self) -> dict[str, str]:
        return {percent_decode(n): percent_decode(v) for n, v in self.raw_params}

    def header(self, name: str) -> str | None:
        values = [value for key, value in self.headers if key == name]
        return ",".join(values) if values else None


@dataclass(frozen=True)
class _Claim:
    """What a request says about its own signature, from the query or from the header."""

    access_key_id: str
    scope: tuple[str, ...]
    amz_date: str
    signed_headers: tuple[str, ...]
    signature: str
    payload_hash: str
    session_token: str
    expires: int | None = None
    ignored_params: frozenset[str] = field(default_factory=frozenset)


def percent_decode(text: str) -> str:
    """Strict UTF-8; ``+`` is a plus, as in paths and in SigV4 queries."""
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise S3Error(400, "InvalidURI", "Couldn't parse the specified URI.") from None


def verify(wire: Wire, keys: Mapping[str, KeyRecord], region: str, now: datetime) -> KeyRecord:
    """The key that signed this very request; raises ``S3Error`` when none did."""
    claim = _claim(wire)
    record = keys.get(claim.access_key_id)
    if record is None:
        message = "The AWS Access Key Id you provided does not exist in our records."
        raise S3Error(403, "InvalidAccessKeyId", message, {"AWSAccessKeyId": claim.access_key_id})
    signed_at = _signed_at(claim)
    _check_scope(claim, region)
    _check_time(claim, signed_at, now)
    _check_session(claim, record, now)
    _check_signature(wire, claim, record)
    return record


def _claim(wire: Wire) -> _Claim:
    authorization = wire.header("authorization")
    in_query = any(name.startswith("X-Amz-") for name in wire.params)
    if authorization is not None and in_query:
        raise S3Error(400, "InvalidArgument", "Only one auth mechanism allowed")
    if authorization is not None:
        return _header_claim(wire, authorization)
    if in_query:
        return _query_claim(wire)
    if "Signature" in wire.params:
        raise S3Error(400, "InvalidRequest", "Please use AWS4-HMAC-SHA256.")
    raise access_denied()


def _query_claim(wire: Wire) -> _Claim:
    params = wire.params
    if len(params) != len(wire.raw_params):
        raise _bad_query("Query-string parameters must not repeat")
    if any(f"X-Amz-{name}" not in params for name in _QUERY_NAMES):
        raise _bad_query("Query-string authentication version 4 requires further parameters")
    if params["X-Amz-Algorithm"] != "AWS4-HMAC-SHA256":
        raise _bad_query("X-Amz-Algorithm only supports AWS4-HMAC-SHA256")
    if not re.fullmatch(r"\d{1,9}", params["X-Amz-Expires"]):
        raise _bad_query("X-Amz-Expires should be a number")
    expires = int(params["X-Amz-Expires"])
    if not 0 < expires <= 604_800:
        raise _bad_query("X-Amz-Expires must be less than a week (in seconds); that is, 604800")
    access_key_id, *scope = params["X-Amz-Credential"].split("/")
    return _Claim(
        access_key_id=access_key_id,
        scope=tuple(scope),
        amz_date=params["X-Amz-Date"],
        signed_headers=tuple(params["X-Amz-SignedHeaders"].split(";")),
        signature=params["X-Amz-Signature"],
        payload_hash="UNSIGNED-PAYLOAD",
        session_token=params.get("X-Amz-Security-Token", ""),
        expires=expires,
        ignored_params=frozenset({"X-Amz-Signature"}),
    )


def _header_claim(wire: Wire, authorization: str) -> _Claim:
    match = _AUTHORIZATION.fullmatch(authorization)
    if match is None:
        raise S3Error(400, "AuthorizationHeaderMalformed", "The authorization header is malformed.")
    payload_hash = wire.header("x-amz-content-sha256") or ""
    if payload_hash != "UNSIGNED-PAYLOAD":
        if not re.fullmatch(r"[0-9a-f]{64}", payload_hash):
            raise S3Error(501, "NotImplemented", "Chunked signatures aren't implemented.")
        if payload_hash != hashlib.sha256(wire.body).hexdigest():
            raise S3Error(400, "XAmzContentSHA256Mismatch", "The payload isn't the signed one.")
    access_key_id, *scope = match[1].split("/")
    return _Claim(
        access_key_id=access_key_id,
        scope=tuple(scope),
        amz_date=wire.header("x-amz-date") or "",
        signed_headers=tuple(match[2].split(";")),
        signature=match[3],
        payload_hash=payload_hash,
        session_token=wire.header("x-amz-security-token") or "",
    )


def _bad_query(message: str) -> S3Error:
    return S3Error(400, "AuthorizationQueryParametersError", message)


def _signed_at(claim: _Claim) -> datetime:
    try:
        return datetime.strptime(claim.amz_date, _DATE_FORMAT).replace(tzinfo=UTC)
    except ValueError:
        message = "X-Amz-Date must be in the ISO8601 Long Format \"yyyyMMdd'T'HHmmss'Z'\""
        raise _bad_query(message) from None


def _check_scope(claim: _Claim, region: str) -> None:
    if len(claim.scope) != 4 or claim.scope[2:] != ("s3", "aws4_request"):
        raise _bad_query("Error parsing the X-Amz-Credential parameter; the scope is malformed")
    if claim.scope[0] != claim.amz_date[:8]:
        raise _bad_query("Invalid credential date. This date is not the same as X-Amz-Date")
    if claim.scope[1] != region:
        raise S3Error(
            400,
            "AuthorizationQueryParametersError",
            "Error parsing the X-Amz-Credential parameter; "
            f"the region '{claim.scope[1]}' is wrong; expecting '{region}'",
            {"Region": region},
        )


def _check_time(claim: _Claim, signed_at: datetime, now: datetime) -> None:
    if claim.expires is None:
        if abs(now - signed_at) > MAX_SKEW:
            message = "The difference between the request time and the current time is too large."
            raise S3Error(403, "RequestTimeTooSkewed", message)
        return
    if signed_at - now > MAX_SKEW:
        raise access_denied("Request is not valid yet")
    if now >= signed_at + timedelta(seconds=claim.expires):
        raise access_denied("Request has expired", ServerTime=now.isoformat())


def _check_session(claim: _Claim, record: KeyRecord, now: datetime) -> None:
    if not hmac.compare_digest(claim.session_token.encode(), record.session_token.encode()):
        message = "The provided token is malformed or otherwise invalid."
        raise S3Error(400, "InvalidToken", message, {"Token-0": claim.session_token})
    if record.session_expires is not None and now >= record.session_expires:
        raise S3Error(400, "ExpiredToken", "The provided token has expired.")


def _check_signature(wire: Wire, claim: _Claim, record: KeyRecord) -> None:
    if "host" not in claim.signed_headers:
        raise _bad_query("The host header must be signed")
    unsigned = {n for n, _ in wire.headers if n.startswith("x-amz-")} - set(claim.signed_headers)
    if unsigned:
        message = "There were headers present in the request which were not signed"
        raise access_denied(message, HeadersNotSigned=", ".join(sorted(unsigned)))
    canonical = _canonical_request(wire, claim)
    hashed = hashlib.sha256(canonical.encode()).hexdigest()
    scope = "/".join(claim.scope)
    string_to_sign = f"AWS4-HMAC-SHA256\n{claim.amz_date}\n{scope}\n{hashed}"
    key = b"AWS4" + record.secret_access_key.encode()
    for part in (*claim.scope, string_to_sign):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    if not hmac.compare_digest(key.hex().encode(), claim.signature.encode()):
        raise S3Error(
            403,
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. "
            "Check your key and signing method.",
            {
                "AWSAccessKeyId": claim.access_key_id,
                "StringToSign": string_to_sign,
                "SignatureProvided": claim.signature,
                "CanonicalRequest": canonical,
            },
        )


def _canonical_request(wire: Wire, claim: _Claim) -> str:
    pairs = [
        (quote(percent_decode(name), safe="-_.~"), quote(percent_decode(value), safe="-_.~"))
        for name, value in wire.raw_params
        if percent_decode(name) not in claim.ignored_params
    ]
    headers = [
        f"{name}:{' '.join((wire.header(name) or '').split())}\n" for name in claim.signed_headers
    ]
    return "\n".join(
        [
            wire.method,
            wire.path,
            "&".join(f"{name}={value}" for name, value in sorted(pairs)),
            "".join(headers),
            ";".join(claim.signed_headers),
            claim.payload_hash,
        ]
    )
