"""What can go wrong between the Catalog and a store, without a word that the store said.

A signed URL is a bearer token, and stores echo key ids and strings to sign in their error bodies.
So an error carries a kind, the HTTP status and the provider's error code, and nothing else: no
URL, no body, no cause.
"""

import re
import ssl
from enum import StrEnum

import aiohttp


class StoreErrorKind(StrEnum):
    """Why a request to a store came to nothing."""

    REFUSED_ADDRESS = "REFUSED_ADDRESS"
    """The host resolves to an address that the rules forbid; nothing was sent."""
    REFUSED_URL = "REFUSED_URL"
    """The URL, the method or a header isn't one that this client sends; nothing was sent."""
    UNREACHABLE = "UNREACHABLE"
    """No such name, no connection, or the connection broke."""
    TLS = "TLS"
    """The handshake failed or the certificate isn't the host's."""
    TIMEOUT = "TIMEOUT"
    """The connection, a read or the whole transfer took too long."""
    TOO_LARGE = "TOO_LARGE"
    """More bytes than the caller allowed."""
    REDIRECTED = "REDIRECTED"
    """A 3xx answer: never followed. On S3 usually the wrong region (PermanentRedirect)."""
    THROTTLED = "THROTTLED"
    """The store asks for the same request again later."""
    SERVER = "SERVER"
    """A 5xx answer."""
    FORBIDDEN = "FORBIDDEN"
    """The store refuses the signature, the credential or its permissions."""
    NOT_FOUND = "NOT_FOUND"
    """A 404 answer; ``provider_code`` tells an object (NoSuchKey) from a bucket (NoSuchBucket)."""
    CLOCK_SKEW = "CLOCK_SKEW"
    """The store calls the URL expired or the clocks too far apart."""
    BAD_RESPONSE = "BAD_RESPONSE"
    """The answer isn't what the protocol promises, endless or oversized headers included."""
    PRECONDITION_FAILED = "PRECONDITION_FAILED"
    """A 412 answer: for a create-only write, that the object is already there."""
    OTHER = "OTHER"
    """Any other answer that isn't a success."""

    @property
    def retryable(self) -> bool:
        """Whether the same request, signed anew, may succeed a little later."""
        return self in _RETRYABLE


_RETRYABLE = frozenset(
    {
        StoreErrorKind.UNREACHABLE,
        StoreErrorKind.TIMEOUT,
        StoreErrorKind.THROTTLED,
        StoreErrorKind.SERVER,
        StoreErrorKind.CLOCK_SKEW,
    }
)

_PROVIDER_CODE = re.compile(r"[A-Za-z0-9.]{1,64}")


class StoreError(Exception):
    """A request to a store that failed.

    ``status`` is the HTTP status, None when there was no answer. ``provider_code`` is the
    ``<Code>`` of an S3 error document, None when there was none or it doesn't look like a code.
    """

    def __init__(
        self, kind: StoreErrorKind, status: int | None = None, provider_code: str | None = None
    ) -> None:
        if provider_code is not None and not _PROVIDER_CODE.fullmatch(provider_code):
            provider_code = None
        # The arguments are those of the constructor, so that copying and pickling work.
        super().__init__(kind, status, provider_code)
        self.kind = kind
        self.status = status
        self.provider_code = provider_code

    def __str__(self) -> str:
        known = (str(self.kind), self.status and str(self.status), self.provider_code)
        return " ".join(word for word in known if word)


class AddressRefusedError(Exception):
    """Raised at the gate before connecting.

    Neither an OSError nor a RuntimeError: aiohttp and aiohappyeyeballs take those for a failed
    attempt and go on to the next address.
    """


_BY_STATUS = {
    403: StoreErrorKind.FORBIDDEN,
    401: StoreErrorKind.FORBIDDEN,
    404: StoreErrorKind.NOT_FOUND,
    408: StoreErrorKind.TIMEOUT,
    412: StoreErrorKind.PRECONDITION_FAILED,
    429: StoreErrorKind.THROTTLED,
}

# Codes that say more than the status beside them: S3 answers 400 to an expired session token and
# to a slow upload, rclone 400 to every refusal. Source: Amazon S3 API reference, error responses.
_BY_CODE = {
    "AccessDenied": StoreErrorKind.FORBIDDEN,
    "ExpiredToken": StoreErrorKind.FORBIDDEN,
    "InvalidAccessKeyId": StoreErrorKind.FORBIDDEN,
    "InvalidToken": StoreErrorKind.FORBIDDEN,
    "SignatureDoesNotMatch": StoreErrorKind.FORBIDDEN,
    "RequestTimeTooSkewed": StoreErrorKind.CLOCK_SKEW,
    "RequestTimeout": StoreErrorKind.TIMEOUT,
    "ConditionalRequestConflict": StoreErrorKind.THROTTLED,
    "OperationAborted": StoreErrorKind.THROTTLED,
    "RequestLimitExceeded": StoreErrorKind.THROTTLED,
    "ServerBusy": StoreErrorKind.THROTTLED,
    "ServiceUnavailable": StoreErrorKind.THROTTLED,
    "SlowDown": StoreErrorKind.THROTTLED,
    "TooManyRequests": StoreErrorKind.THROTTLED,
}

_CODE_ELEMENT = re.compile(rb"<Code>([A-Za-z0-9.]{1,64})</Code>")
# S3 tells an expired URL from other refusals in the message alone; rclone likewise.
_STALE_MESSAGES = (
    b"<Message>Request has expired",
    b"<Message>Request is not yet valid",
    b"<Message>The difference between the request time and the ",
)


def error_from_answer(status: int, body: bytes) -> StoreError:
    """The error for an answer that isn't a success; ``body`` is what was read of it."""
    found = _CODE_ELEMENT.search(body)
    code = found[1].decode("ascii") if found else None
    return StoreError(_kind_of_answer(status, code, body), status, code)


def _kind_of_answer(status: int, code: str | None, body: bytes) -> StoreErrorKind:
    if 300 <= status < 400 and status != 304:
        return StoreErrorKind.REDIRECTED
    if any(message in body for message in _STALE_MESSAGES):
        return StoreErrorKind.CLOCK_SKEW
    if status >= 400 and code in _BY_CODE:
        return _BY_CODE[code]
    if status >= 500:
        return StoreErrorKind.SERVER
    return _BY_STATUS.get(status, StoreErrorKind.OTHER)


def error_from_exception(problem: Exception) -> StoreError:
    """The error for what the HTTP client raised.

    The caller must raise it outside its ``except`` block: inside, Python would hang ``problem``,
    whose text may hold the URL, on the new error's ``__context__``.
    """
    if isinstance(problem, StoreError):
        return problem
    return StoreError(_kind_of_exception(problem))


def _kind_of_exception(problem: Exception) -> StoreErrorKind:
    # The order matters: aiohttp's classes inherit from several of these.
    table: tuple[tuple[type[Exception] | tuple[type[Exception], ...], StoreErrorKind], ...] = (
        (AddressRefusedError, StoreErrorKind.REFUSED_ADDRESS),
        (TimeoutError, StoreErrorKind.TIMEOUT),
        ((aiohttp.ClientSSLError, ssl.SSLError, ssl.CertificateError), StoreErrorKind.TLS),
        (aiohttp.InvalidURL, StoreErrorKind.REFUSED_URL),
        (aiohttp.ClientResponseError, StoreErrorKind.BAD_RESPONSE),
        ((aiohttp.ClientError, OSError), StoreErrorKind.UNREACHABLE),
    )
    for classes, kind in table:
        if isinstance(problem, classes):
            return kind
    return StoreErrorKind.OTHER
