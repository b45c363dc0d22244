"""Server certificates that are read again when their files change, without a restart.

gRPC asks :meth:`ReloadingCertificates.fetch` before every handshake, in the accept path, so that
one only stats the files. A new set is taken when it is complete and fits together; anything else
(half written, key of another certificate, no CA) leaves the old one in use and one line in the log.
"""

import logging
from dataclasses import dataclass
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from serving.scrub import type_name

_LOGGER = logging.getLogger("serving.tls")
_SPKI = Encoding.DER, PublicFormat.SubjectPublicKeyInfo


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """PEM files: the chain (leaf first), its key, and the CAs that the peer must come from."""

    certificate: Path
    key: Path
    ca: Path

    def stamp(self) -> tuple[tuple[int, int, int], ...]:
        """Changes when a file does. OSError when one isn't there."""
        stats = [path.stat() for path in (self.certificate, self.key, self.ca)]
        return tuple((s.st_mtime_ns, s.st_ino, s.st_size) for s in stats)

    def read(self) -> "TlsMaterial":
        """The files' content, checked. OSError, or ValueError when it can't be used together."""
        material = TlsMaterial(
            self.certificate.read_bytes(), self.key.read_bytes(), self.ca.read_bytes()
        )
        material.check()
        return material


@dataclass(frozen=True, slots=True, repr=False)
class TlsMaterial:
    """PEM bytes of :class:`TlsFiles`; without a ``repr``, since one of them is a private key."""

    certificate: bytes
    key: bytes
    ca: bytes

    def check(self) -> None:
        """ValueError unless the key is the certificate's and there is at least one CA."""
        leaf = x509.load_pem_x509_certificates(self.certificate)[0]
        key = load_pem_private_key(self.key, password=None)
        if key.public_key().public_bytes(*_SPKI) != leaf.public_key().public_bytes(*_SPKI):
            raise ValueError("the private key isn't the certificate's")
        if not x509.load_pem_x509_certificates(self.ca):
            raise ValueError("no CA certificate")

    def configuration(self) -> grpc.ServerCertificateConfiguration:
        return grpc.ssl_server_certificate_configuration([(self.key, self.certificate)], self.ca)


class ReloadingCertificates:
    """Raises OSError or ValueError when the files can't be used at the start."""

    def __init__(self, files: TlsFiles) -> None:
        self._files = files
        self._stamp = files.stamp()
        self._reported: object = None
        self._initial = files.read().configuration()

    def credentials(self) -> grpc.ServerCredentials:
        """For ``add_secure_port``: a client without a certificate of the CA is turned away."""
        # The stub wants a function that always answers; None is gRPC's word for "no change".
        return grpc.dynamic_ssl_server_credentials(
            self._initial,
            self.fetch,  # type: ignore[arg-type]
            require_client_authentication=True,
        )

    def fetch(self) -> grpc.ServerCertificateConfiguration | None:
        """The new configuration after a change, None to go on with the present one."""
        stamp = None
        try:
            stamp = self._files.stamp()
            if stamp == self._stamp:
                return None
            fresh = self._files.read().configuration()
        except Exception as error:  # noqa: BLE001  # an exception here would refuse the connection
            if self._reported != (stamp, type(error)):
                self._reported = stamp, type(error)
                fields = {"exception": type_name(error)}
                _LOGGER.error("new certificates are unusable, going on", extra={"fields": fields})  # noqa: TRY400
            return None
        self._stamp = stamp
        _LOGGER.info("certificates reloaded")
        return fresh
