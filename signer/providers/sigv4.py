"""AWS Signature Version 4 in the query string, reduced to what object URLs need.

    key = derive_keys(secret, [date(2026, 1, 31)], "eu-west-1")[date(2026, 1, 31)]
    presigner = Presigner("AKIA…", "", "eu-west-1", key)
    make = presigner.objects(Request("GET", "https://b.s3.eu-west-1.amazonaws.com", "/", …))
    make("plain.jpg"), make("plain.jpg", "a version id")  # whole URLs

Implements "Authenticating Requests: Using Query Parameters (AWS Signature Version 4)"
https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html and, for the key,
https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html.

Two choices make it fast and safe. The query of the URL *is* the canonical query (sorted by name,
the signature last), so one string serves both and nobody has to keep two in step. And whatever a
batch shares is joined and hashed once, so that a URL costs one quoting and three short SHA-256.
"""

import hashlib
import hmac
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import date, timedelta
from urllib.parse import urlsplit

from signer.domain.signing import Instant, ObjectUrlMaker

MAX_EXPIRES = 604_800
_BLOCK = 64  # bytes, SHA-256's
_SERVICE = "s3"
_TERMINATOR = "aws4_request"
_VERSION = "versionId"
_ALGORITHM = "AWS4-HMAC-SHA256"
_DEFAULT_PORTS = {"https": 443, "http": 80}
# Text made of these alone is its own encoding; asking first is 4 times faster than encoding.
_PLAIN = re.compile(r"[A-Za-z0-9_.~-]+").fullmatch
_PLAIN_PATH = re.compile(r"[A-Za-z0-9_.~/-]+").fullmatch
_UNRESERVED = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.~")
_ENCODED = [chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in range(256)]
_ENCODED_PATH = ["/" if byte == ord("/") else _ENCODED[byte] for byte in range(256)]


def encode(text: str) -> str:
    """AWS's ``UriEncode`` of a query name or value: all but ``A-Za-z0-9-_.~`` as ``%XX``.

    Raises ``ValueError`` for a lone surrogate, which has no UTF-8.
    """
    return text if _PLAIN(text) else "".join([_ENCODED[byte] for byte in _utf8(text)])


def encode_path(key: str) -> str:
    """An object key as a path: like ``encode``, but ``/`` stays. Nothing is normalised.

    Raises ``ValueError`` for the empty key too, since the bucket itself would answer.
    """
    if not key:
        raise ValueError("An empty key would name the bucket.")
    return "".join([_ENCODED_PATH[byte] for byte in _utf8(key)])


def _utf8(text: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError:  # it would carry the text
        raise ValueError("Keys, prefixes and versions are valid Unicode.") from None


def derive_keys(secret: memoryview, days: Iterable[date], region: str) -> dict[date, bytes]:
    """One signing key a UTC day, good for that day, this region and S3 only.

    The secret is copied into one buffer, which is wiped before this returns or raises. The keys
    in between (day, region) can't be: HMAC gives immutable bytes. They hold no secret either.
    """
    buffer = bytearray(4 + len(secret))
    try:
        # Through views: assigning to a slice of a bytearray would make a copy that nobody wipes.
        with memoryview(buffer) as view:
            view[:4] = b"AWS4"
            view[4:] = secret
        return {day: _derive(buffer, day, region) for day in days}
    finally:
        buffer[:] = bytes(len(buffer))


def _derive(key: bytes | bytearray, day: date, region: str) -> bytes:
    derived = hmac.digest(key, f"{day:%Y%m%d}".encode(), "sha256")
    for part in (region, _SERVICE, _TERMINATOR):
        derived = hmac.digest(derived, part.encode(), "sha256")
    return derived


def canonical_origin(origin: str) -> tuple[str, str, str]:
    """Scheme, host and host with port, as HTTP clients will send it in ``Host``.

    Clients lower the host and drop the scheme's own port, so a signature over anything else would
    never match. Raises ``ValueError`` when it is no bare ``http(s)://host[:port]``.
    """
    parts = urlsplit(origin)
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.username is not None:
        raise ValueError("An endpoint is http(s)://host[:port].")
    if parts.path or parts.query or parts.fragment or parts.password is not None:
        raise ValueError("An endpoint has no path, query or fragment.")
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    port = parts.port
    if port is None or port == _DEFAULT_PORTS[parts.scheme]:
        return parts.scheme, host, host
    return parts.scheme, host, f"{host}:{port}"


def check_instant(instant: Instant) -> None:
    """``ValueError`` unless the time is UTC and the lifetime is one that SigV4 allows."""
    if instant.signed_at.utcoffset() != timedelta(0):
        raise ValueError("The time of signing must be in UTC.")
    if not 1 <= instant.expires <= MAX_EXPIRES:
        raise ValueError("A lifetime is between 1 and 604,800 seconds.")


@dataclass(frozen=True, slots=True)
class Request:
    """What is signed, but for the last part of the path.

    ``headers`` are those besides ``host`` that the client must send, names in lower case.
    """

    method: str
    origin: str
    base_path: str
    params: Mapping[str, str]
    headers: Mapping[str, str]
    instant: Instant


@dataclass(frozen=True, slots=True)
class _Constants:
    """What the URLs of one request share, in parts.

    ``inner`` is HMAC's inner hash over the string to sign up to the hashed canonical request.

    A version id is the one parameter that differs from URL to URL, so the query (and with it the
    canonical request) is cut where ``versionId`` belongs in the order.
    """

    inner: "hashlib._Hash"  # typeshed's name, not there at run time
    head: str
    query: str
    query_end: str
    tail: str


class Presigner:
    """A derived key with its scope. Its repr shows nothing, and it never held the secret.

    ``key`` has at most 64 bytes (``derive_keys`` gives 32).
    """

    __slots__ = ("_access_key_id", "_inner", "_outer", "_region", "_session_token")

    def __init__(self, access_key_id: str, session_token: str, region: str, key: bytes) -> None:
        self._access_key_id = access_key_id
        self._session_token = session_token
        self._region = region
        # HMAC (RFC 2104) with its two keyed blocks hashed ahead: hmac.digest would hash them anew
        # and look the algorithm up for every URL, which makes the whole of signing half as fast.
        padded = key.ljust(_BLOCK, b"\0")
        self._inner = hashlib.sha256(bytes(byte ^ 0x36 for byte in padded))
        self._outer = hashlib.sha256(bytes(byte ^ 0x5C for byte in padded))

    def objects(self, request: Request) -> ObjectUrlMaker:
        """A function from an object key, and a version id where there is one, to the URL."""
        c = self._constants(request)
        head, tail = c.head, f"\n{c.query}{c.query_end}{c.tail}"
        url_head, url_tail = request.origin + request.base_path, f"?{c.query}{c.query_end}"
        plain, sha256 = _PLAIN_PATH, hashlib.sha256
        inner, outer = c.inner.copy, self._outer.copy

        def make(object_key: str, version: str = "", /) -> str:
            path = object_key if plain(object_key) else encode_path(object_key)
            if version:
                query = f"{c.query}&versionId={encode(version)}{c.query_end}"
                canonical, url = f"{head}{path}\n{query}{c.tail}", f"{url_head}{path}?{query}"
            else:
                canonical, url = f"{head}{path}{tail}", f"{url_head}{path}{url_tail}"
            message, signature = inner(), outer()
            message.update(sha256(canonical.encode()).hexdigest().encode())
            signature.update(message.digest())
            return f"{url}&X-Amz-Signature={signature.hexdigest()}"

        return make

    def url(self, request: Request) -> str:
        """The URL of ``base_path`` itself, such as a bucket's."""
        c = self._constants(request)
        query = f"{c.query}{c.query_end}"
        message, signature = c.inner, self._outer.copy()
        canonical = f"{c.head}\n{query}{c.tail}".encode()
        message.update(hashlib.sha256(canonical).hexdigest().encode())
        signature.update(message.digest())
        url = f"{request.origin}{request.base_path}?{query}"
        return f"{url}&X-Amz-Signature={signature.hexdigest()}"

    def _constants(self, request: Request) -> _Constants:
        check_instant(request.instant)
        signed_at = request.instant.signed_at
        day = f"{signed_at:%Y%m%d}"
        amz_date = f"{day}T{signed_at:%H%M%S}Z"
        scope = f"{day}/{self._region}/{_SERVICE}/{_TERMINATOR}"
        headers = {"host": request.origin.partition("://")[2], **request.headers}
        signed_headers = ";".join(sorted(headers))
        params = {
            "X-Amz-Algorithm": _ALGORITHM,
            "X-Amz-Credential": f"{self._access_key_id}/{scope}",
            "X-Amz-Date": amz_date,
            "X-Amz-Expires": str(request.instant.expires),
            "X-Amz-SignedHeaders": signed_headers,
            **request.params,
        }
        if self._session_token:
            params["X-Amz-Security-Token"] = self._session_token
        pairs = [(name, f"{encode(name)}={encode(params[name])}") for name in sorted(params)]
        canonical_headers = "".join(f"{name}:{headers[name]}\n" for name in sorted(headers))
        inner = self._inner.copy()
        inner.update(f"{_ALGORITHM}\n{amz_date}\n{scope}\n".encode())
        return _Constants(
            inner=inner,
            head=f"{request.method}\n{request.base_path}",
            query="&".join(pair for name, pair in pairs if name < _VERSION),
            query_end="".join(f"&{pair}" for name, pair in pairs if name > _VERSION),
            tail=f"\n{canonical_headers}\n{signed_headers}\nUNSIGNED-PAYLOAD",
        )
