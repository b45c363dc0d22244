"""The small parts: names, the table of reasons, rules, identities and the channel's settings."""

import json
import time
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from pathlib import Path

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from sealmount import pki

from serving.channel import service_config
from serving.faults import Fault
from serving.gate import Access, FaultTable, GateReasons, Rule
from serving.identity import SpiffeIdentifier, parse_spiffe_id
from serving.names import not_found, project_of
from serving.scrub import describe


class Two(StrEnum):
    A = "A"
    B = "B"


def test_a_table_must_be_total() -> None:
    with pytest.raises(ValueError, match="without a status code: B"):
        FaultTable("d", {Two.A: grpc.StatusCode.INTERNAL})
    with pytest.raises(ValueError, match="OK is no code"):
        FaultTable("d", {Two.A: grpc.StatusCode.OK, Two.B: grpc.StatusCode.INTERNAL})
    with pytest.raises(ValueError, match="exactly one enum"):
        FaultTable("d", {})
    with pytest.raises(KeyError):
        GateReasons.of(Two)


def test_a_rule_names_roles_or_says_that_none_is_needed() -> None:
    with pytest.raises(ValueError, match="names roles"):
        Rule()
    with pytest.raises(ValueError, match="names roles"):
        Rule(frozenset({"r"}), access=Access.AUTHENTICATED)


@pytest.mark.parametrize(
    ("name", "project"),
    [
        ("projects/a", "a"),
        ("projects/acme-2/x/y", "acme-2"),
        ("projects/acme/", "acme"),
        ("projects/acme\n", None),
        ("projects/acme\n/x", None),
        ("projects/acme-/x", None),
        ("projects/2acme", None),
        ("projects/*", None),
        ("projects/" + "a" * 63, "a" * 63),
        ("projects/" + "a" * 64, None),
        ("projects/ａcme/x", None),
        ("xprojects/acme", None),
    ],
)
def test_the_project_of_a_name(name: str, project: str | None) -> None:
    assert project_of(name) == project


@pytest.mark.parametrize("name", ["projects/a/x/SECRET+/=", "projects/a/x/AKIAIOSFODNN7", "x\n"])
def test_odd_names_are_not_given_back(name: str) -> None:
    assert not_found(Two.A, name).metadata == {}
    assert not_found(Two.A, "projects/a/images/i-1").metadata == {
        "resource": "projects/a/images/i-1"
    }


@pytest.mark.parametrize(
    "text",
    ["", "spiffe://", "spiffe://d", "spiffe://d/", "spiffe://D/a", "spiffe://d/a//b", "spiffe://d/.",
     "spiffe://d/a b", "spiffe://u@d/a", "spiffe://d:1/a", "spiffe://d/a#f", "SPIFFE://d/a",
     "spiffe://d/a\n", "spiffe://d/" + "a" * 2048],
)  # fmt: skip
def test_what_is_no_spiffe_id(text: str) -> None:
    assert parse_spiffe_id(text) is None


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


def test_the_identity_follows_the_clock_and_the_cache_is_bounded(tmp_path: Path) -> None:
    pki.create_ca(tmp_path, "example.org")
    pem = pki.issue(tmp_path, "a", days=1).certificate.read_bytes()
    clock = Clock(time.time())
    identify = SpiffeIdentifier("example.org", Two.A, clock)
    context = {"peer_spiffe_id": [b"spiffe://example.org/a"], "x509_pem_cert": [pem]}
    assert identify(context) == "spiffe://example.org/a"
    for away in (2 * 86_400, -3600):  # after its end, before its beginning
        clock.now += away
        with pytest.raises(Fault):
            identify(context)
        clock.now -= away
    for wrong in (
        {},
        {"peer_spiffe_id": [b"spiffe://example.org/b"], "x509_pem_cert": [pem]},
        {"peer_spiffe_id": context["peer_spiffe_id"] * 2, "x509_pem_cert": [pem]},
        {"peer_spiffe_id": context["peer_spiffe_id"], "x509_pem_cert": [b"no certificate"]},
        {"peer_spiffe_id": context["peer_spiffe_id"]},
    ):
        with pytest.raises(Fault):
            identify(wrong)
    for n in range(3000):
        with pytest.raises(Fault):
            identify({"peer_spiffe_id": [b"x"], "x509_pem_cert": [b"%d" % n]})
    assert len(identify._seen) <= 1024
    assert identify(context) == "spiffe://example.org/a"


def self_signed(*uris: str) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(x509.Name([]))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(minutes=1))
    )
    names = [x509.UniformResourceIdentifier(uri) for uri in uris]
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=True)
    return builder.sign(key, hashes.SHA256()).public_bytes(Encoding.PEM)


def test_a_second_uri_is_seen_here_too() -> None:
    """Should gRPC one day pass on the first of two SPIFFE IDs, or one beside another URI."""
    ours = "spiffe://example.org/a"
    identify = SpiffeIdentifier("example.org", Two.A)
    context = {"peer_spiffe_id": [ours.encode()], "x509_pem_cert": [self_signed(ours)]}
    assert identify(context) == ours
    for uris in ((ours, "spiffe://example.org/b"), (ours, "https://example.org"), ()):
        with pytest.raises(Fault):
            identify({**context, "x509_pem_cert": [self_signed(*uris)]})


def test_an_authoritys_certificate_is_no_identity(tmp_path: Path) -> None:
    ca = pki.create_ca(tmp_path, "example.org").certificate.read_bytes()
    identify = SpiffeIdentifier("example.org", Two.A)
    with pytest.raises(Fault):
        identify({"peer_spiffe_id": [b"spiffe://example.org"], "x509_pem_cert": [ca]})


def test_an_exception_described_has_no_text() -> None:
    def fail() -> None:
        try:
            raise KeyError("kaNary")
        except KeyError as error:
            raise ExceptionGroup("kaNary", [ValueError("kaNary")]) from error

    with pytest.raises(ExceptionGroup) as raised:
        fail()
    described = describe(raised.value)
    assert "kaNary" not in json.dumps(described)
    assert described["exception"] == "ExceptionGroup"
    assert described["members"] == ["ValueError"]
    assert [cause["exception"] for cause in described["causes"]] == ["KeyError"]
    assert described["frames"][-1].endswith(":fail")


def test_only_what_is_listed_is_tried_again() -> None:
    config = json.loads(service_config(["/p.v1.S/Get"]))
    (method,) = config["methodConfig"]
    assert method["name"] == [{"service": "p.v1.S", "method": "Get"}]
    assert method["retryPolicy"]["retryableStatusCodes"] == ["UNAVAILABLE"]
    assert "methodConfig" not in json.loads(service_config([]))
    for wrong in ("p.v1.S/Get", "/p.v1.S", "//Get", "/p/S/Get"):
        with pytest.raises(ValueError, match="is no /package"):
            service_config([wrong])
