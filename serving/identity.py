"""Who is calling: the one SPIFFE ID of the client's certificate.

    identify = SpiffeIdentifier("example.org", Reason.IDENTITY_MISSING)
    identify(context.auth_context())   # "spiffe://example.org/catalog"

gRPC verified the certificate against the CA when the connection was made. What it doesn't do is
checked here, on every call: exactly one URI SAN (it drops the SPIFFE ID without a word when there
are two), the trust domain, that the certificate is a leaf, and that it is valid *now*. Without the
last one, a certificate that ran out goes on working on a connection that is already open.

Source: SPIFFE X.509-SVID, sections 2 to 5.
"""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from hashlib import sha256

from cryptography import x509

from serving.faults import Fault

_SPIFFE_ID = re.compile(r"spiffe://([a-z0-9._-]{1,255})((?:/[A-Za-z0-9._-]+)+)")
_MAX_ID = 2048
_CACHED_CERTIFICATES = 1024


@dataclass(frozen=True, slots=True)
class Certificate:
    """What one client certificate says; the times are in seconds since the epoch."""

    identity: str
    not_before: float
    not_after: float


def parse_spiffe_id(text: str) -> tuple[str, str] | None:
    """Trust domain and path of a workload's SPIFFE ID, or None when it isn't one."""
    found = _SPIFFE_ID.fullmatch(text) if len(text) <= _MAX_ID else None
    if found is None or {".", ".."} & set(found.group(2).split("/")):
        return None
    return found.group(1), found.group(2)


def read_certificate(pem: bytes) -> Certificate | None:
    """The certificate as an identity, or None if it can't be one (no or several URI SANs, a CA).

    Raises ValueError for bytes that are no certificate, or one with broken extensions.
    """
    certificate = x509.load_pem_x509_certificate(pem)
    extensions = certificate.extensions
    try:
        names = extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or _is_authority(extensions):
        return None
    return Certificate(
        uris[0],
        certificate.not_valid_before_utc.timestamp(),
        certificate.not_valid_after_utc.timestamp(),
    )


def _is_authority(extensions: x509.Extensions) -> bool:
    try:
        return extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return False


class SpiffeIdentifier:
    """Callable: gRPC's auth context in, SPIFFE ID out, ``Fault(reason)`` when there isn't one.

    ``now`` gives seconds since the epoch. Parsed certificates are kept by the SHA-256 of their
    PEM, at most 1,024 of them, so that a call costs a hash and two comparisons.
    """

    def __init__(
        self, trust_domain: str, reason: str, now: Callable[[], float] = time.time
    ) -> None:
        self._trust_domain = trust_domain
        self._reason = reason
        self._now = now
        self._seen: OrderedDict[bytes, Certificate | None] = OrderedDict()

    def __call__(self, auth_context: Mapping[str, Iterable[bytes]]) -> str:
        ids = tuple(auth_context.get("peer_spiffe_id", ()))
        pems = tuple(auth_context.get("x509_pem_cert", ()))
        if len(ids) == 1 and len(pems) == 1:
            certificate = self._certificate(pems[0])
            if (
                certificate is not None
                and certificate.not_before <= self._now() < certificate.not_after
                and certificate.identity.encode() == ids[0]
            ):
                return certificate.identity
        raise Fault(
            self._reason,
            "The client certificate must be valid and carry exactly one SPIFFE ID of this domain.",
        )

    def _certificate(self, pem: bytes) -> Certificate | None:
        key = sha256(pem).digest()
        if key in self._seen:
            return self._seen[key]
        try:
            certificate = read_certificate(pem)
        except ValueError:
            certificate = None
        if certificate is not None:
            parts = parse_spiffe_id(certificate.identity)
            if parts is None or parts[0] != self._trust_domain:
                certificate = None
        self._seen[key] = certificate
        if len(self._seen) > _CACHED_CERTIFICATES:
            self._seen.popitem(last=False)
        return certificate
