"""A certificate authority in a folder, for one machine or a small deployment.

    sealmount pki init  --dir certs --trust-domain example.org
    sealmount pki issue --dir certs signer --dns localhost --ip 127.0.0.1
    sealmount pki issue --dir certs catalog

    create_ca(Path("certs"), "example.org")
    issue(Path("certs"), "signer", dns=["localhost"], ips=["127.0.0.1"])

The folder then holds ``ca.pem`` and ``ca.key``, and ``NAME.pem`` (leaf, then CA) and ``NAME.key``
for each name. Each leaf carries exactly one URI SAN, ``spiffe://TRUST-DOMAIN/NAME``; the CA may
sign for its own trust domain only (a name constraint), and no CA below itself. Keys are EC P-256,
mode 0600. A file that exists is never overwritten unless asked; no reader ever sees half a file.

Give DNS names and addresses to servers only: a client certificate without them can't stand in for
a server. Larger deployments have their own CA (SPIRE, Vault, cert-manager); Sealmount needs nothing
but certificates of this form. Source: SPIFFE X.509-SVID, RFC 5280.
"""

import argparse
import ipaddress
import re
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from sealmount.files import write_atomically

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

CA_DAYS = 3650
LEAF_DAYS = 90
_CLOCK_SKEW = timedelta(minutes=5)
# DNS form, because the trust domain is also the CA's name constraint.
_LABEL = r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?"
_TRUST_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_SPIFFE_PATH = re.compile(r"(?:/[A-Za-z0-9._-]+)+")


class PkiError(ValueError):
    """What was asked for can't be done; the message says why."""


@dataclass(frozen=True, slots=True)
class Issued:
    """Where a certificate and its key are. ``spiffe_id`` is ``""`` for the CA."""

    certificate: Path
    key: Path
    spiffe_id: str = ""


def create_ca(
    directory: Path, trust_domain: str, *, days: int = CA_DAYS, force: bool = False
) -> Issued:
    """Makes ``ca.pem`` and ``ca.key`` in ``directory``, which is made with mode 0700 if need be.

    PkiError for a trust domain that isn't in DNS form or files that exist.
    """
    if len(trust_domain) > 253 or not _TRUST_DOMAIN.fullmatch(trust_domain):
        raise PkiError(f"{trust_domain!r} is no trust domain: use a lower-case DNS name")
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, f"{trust_domain} CA"[:64])])
    builder = _base(name, name, key.public_key(), days)
    constraints = x509.NameConstraints([x509.UniformResourceIdentifier(trust_domain)], None)
    san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")])
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(authority=True), critical=True)
        .add_extension(constraints, critical=True)
        .add_extension(san, critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    issued = Issued(directory / "ca.pem", directory / "ca.key")
    _write_pair(issued, key, certificate.public_bytes(Encoding.PEM), force=force)
    return issued


def issue(
    directory: Path,
    name: str,
    *,
    dns: Sequence[str] = (),
    ips: Sequence[str] = (),
    spiffe_path: str | None = None,
    days: float = LEAF_DAYS,
    force: bool = False,
) -> Issued:
    """Makes ``NAME.pem`` and ``NAME.key``, good for server and client alike.

    ``spiffe_path`` is ``/NAME`` unless given. The certificate never outlives its CA. PkiError for
    malformed names and files that exist, OSError when the CA isn't in ``directory``.
    """
    authority, authority_key = _load_ca(directory)
    path = f"/{name}" if spiffe_path is None else spiffe_path
    _check_names(name, path)
    spiffe_id = f"{_trust_domain(authority)}{path}"
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    names = [x509.UniformResourceIdentifier(spiffe_id), *_dns_names(dns), *_addresses(ips)]
    builder = _base(
        subject, authority.subject, key.public_key(), days, authority.not_valid_after_utc
    ).add_extension(x509.SubjectAlternativeName(names), critical=False)
    certificate = _as_leaf(builder, key.public_key(), authority).sign(
        authority_key, hashes.SHA256()
    )
    chain = certificate.public_bytes(Encoding.PEM) + authority.public_bytes(Encoding.PEM)
    issued = Issued(directory / f"{name}.pem", directory / f"{name}.key", spiffe_id)
    _write_pair(issued, key, chain, force=force)
    return issued


def _as_leaf(
    builder: x509.CertificateBuilder,
    public_key: ec.EllipticCurvePublicKey,
    authority: x509.Certificate,
) -> x509.CertificateBuilder:
    """RFC 5280's extensions for a certificate that is both a server's and a client's."""
    purposes = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    issuer = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    own_id = x509.SubjectKeyIdentifier.from_public_key(public_key)
    issuer_id = x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer)
    return (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(authority=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
        .add_extension(own_id, critical=False)
        .add_extension(issuer_id, critical=False)
    )


def _check_names(name: str, path: str) -> None:
    if not _NAME.fullmatch(name) or name == "ca":
        raise PkiError(f"{name!r} can't be a certificate's name")
    if not _SPIFFE_PATH.fullmatch(path) or {".", ".."} & set(path.split("/")):
        raise PkiError(f"{path!r} is no SPIFFE path: use /segment/segment")


def _dns_names(names: Sequence[str]) -> list[x509.DNSName]:
    for name in names:
        if not _TRUST_DOMAIN.fullmatch(name.removeprefix("*.")):
            raise PkiError(f"{name!r} is no DNS name")
    return [x509.DNSName(name) for name in names]


def _addresses(addresses: Sequence[str]) -> list[x509.IPAddress]:
    return [x509.IPAddress(ipaddress.ip_address(address)) for address in addresses]


def _base(
    subject: x509.Name,
    issuer: x509.Name,
    public_key: ec.EllipticCurvePublicKey,
    days: float,
    latest: datetime | None = None,
) -> x509.CertificateBuilder:
    if days <= 0:
        raise PkiError("a certificate must be valid for some time")
    now = datetime.now(UTC).replace(microsecond=0)
    end = now + timedelta(days=days)
    if latest is not None and now >= latest:
        raise PkiError("the CA has expired")
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(public_key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _CLOCK_SKEW)
        .not_valid_after(min(end, latest) if latest is not None else end)
    )


def _usage(*, authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=authority,
        crl_sign=authority,
        encipher_only=False,
        decipher_only=False,
    )


def _load_ca(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    certificate = x509.load_pem_x509_certificate((directory / "ca.pem").read_bytes())
    key = load_pem_private_key((directory / "ca.key").read_bytes(), password=None)
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PkiError("ca.key is no EC key of this command")
    return certificate, key


def _trust_domain(authority: x509.Certificate) -> str:
    """``spiffe://trust-domain``, as the CA itself carries it."""
    names = authority.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1 or not uris[0].startswith("spiffe://"):
        raise PkiError("ca.pem names no trust domain; make a CA with `sealmount pki init`")
    return uris[0]


def _write_pair(
    issued: Issued, key: ec.EllipticCurvePrivateKey, certificates: bytes, *, force: bool
) -> None:
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    contents = {issued.key: (pem, 0o600), issued.certificate: (certificates, 0o644)}
    if not force:
        for path in contents:
            if path.exists():
                raise PkiError(f"{path} exists; use --force to replace it")
    for path, (content, mode) in contents.items():
        write_atomically(path, content, mode=mode, replace=force)


def add_arguments(subparsers: "Subparsers") -> None:
    """Adds ``pki init`` and ``pki issue`` to the command line."""
    pki = subparsers.add_parser("pki", help="make a local certificate authority and certificates")
    actions = pki.add_subparsers(title="actions", metavar="ACTION", required=True)

    init = actions.add_parser("init", help="make a certificate authority")
    init.add_argument("--dir", type=Path, required=True, help="folder of the authority")
    init.add_argument("--trust-domain", required=True, help="such as example.org")
    init.add_argument("--days", type=int, default=CA_DAYS, help="validity (%(default)s)")
    init.add_argument("--force", action="store_true", help="replace what is there")
    init.set_defaults(run=_run_init)

    leaf = actions.add_parser("issue", help="issue a certificate")
    leaf.add_argument("name", help="file name, and SPIFFE path unless --spiffe-path is given")
    leaf.add_argument("--dir", type=Path, required=True, help="folder of the authority")
    leaf.add_argument("--spiffe-path", help="such as /catalog")
    leaf.add_argument("--dns", action="append", default=[], help="DNS name of a server; repeatable")
    leaf.add_argument("--ip", action="append", default=[], help="address of a server; repeatable")
    leaf.add_argument("--days", type=float, default=LEAF_DAYS, help="validity (%(default)s)")
    leaf.add_argument("--force", action="store_true", help="replace what is there")
    leaf.set_defaults(run=_run_issue)


def _run_init(arguments: argparse.Namespace) -> int:
    issued = create_ca(
        arguments.dir, arguments.trust_domain, days=arguments.days, force=arguments.force
    )
    sys.stdout.write(f"{issued.certificate}\n")
    return 0


def _run_issue(arguments: argparse.Namespace) -> int:
    issued = issue(
        arguments.dir,
        arguments.name,
        dns=arguments.dns,
        ips=arguments.ip,
        spiffe_path=arguments.spiffe_path,
        days=arguments.days,
        force=arguments.force,
    )
    sys.stdout.write(f"{issued.certificate} {issued.spiffe_id}\n")
    return 0
