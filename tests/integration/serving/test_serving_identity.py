"""Who counts as somebody, over real handshakes: one SPIFFE ID, of this domain, valid now."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

from serving.identity import SpiffeIdentifier
from tests.integration.serving.harness import (
    DOMAIN,
    Message,
    Pki,
    Reason,
    call,
    running,
    unary,
)

pytestmark = pytest.mark.timeout(60)
OURS = Message(name="projects/acme/things/t")


async def echo(request: Any, _context: Any) -> Any:
    return request


def forge(
    pki: Pki, name: str, uris: list[str], *, seconds: float = 600, authority: bool = False
) -> None:
    """A client certificate of the CA with just these URI SANs, as `sealmount pki` makes none."""
    folder = pki.folder
    ca = x509.load_pem_x509_certificate((folder / "ca.pem").read_bytes())
    ca_key = load_pem_private_key((folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC)
    names: list[x509.GeneralName] = [x509.UniformResourceIdentifier(uri) for uri in uris]
    names = names or [x509.DNSName("client")]
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(minutes=1))
        .not_valid_after(now + timedelta(seconds=seconds))
        .add_extension(x509.SubjectAlternativeName(names), critical=True)
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        .sign(ca_key, hashes.SHA256())
    )
    (folder / f"{name}.pem").write_bytes(certificate.public_bytes(Encoding.PEM))
    (folder / f"{name}.key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )


CASES = {
    "two": [f"spiffe://{DOMAIN}/client", f"spiffe://{DOMAIN}/admin"],
    "same-twice": [f"spiffe://{DOMAIN}/client", f"spiffe://{DOMAIN}/client"],
    "with-a-page": [f"spiffe://{DOMAIN}/client", f"https://{DOMAIN}/client"],
    "none": [],
    "no-spiffe": [f"https://{DOMAIN}/client"],
    "domain-only": [f"spiffe://{DOMAIN}"],
    "slash": [f"spiffe://{DOMAIN}/client/"],
    "dots": [f"spiffe://{DOMAIN}/a/../client"],
    "query": [f"spiffe://{DOMAIN}/client?x=1"],
    "escaped": [f"spiffe://{DOMAIN}/%63lient"],
}


@pytest.mark.parametrize("case", CASES)
async def test_no_or_an_ambiguous_identity(own_pki: Pki, case: str) -> None:
    forge(own_pki, case, CASES[case])
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        answer = await server.call("Echo", OURS, client=case, timeout=10)
        health = await server.call("/grpc.health.v1.Health/Check", client=case, timeout=10)
        good = await server.call("Echo", OURS)
    assert answer.code is grpc.StatusCode.UNAUTHENTICATED
    assert answer.info.reason == "IDENTITY_MISSING"
    assert health.info.reason == "IDENTITY_MISSING"
    assert good.code is grpc.StatusCode.OK


async def test_an_authority_is_nobody(own_pki: Pki) -> None:
    """A certificate that may sign others isn't one to work with; TLS may let it through."""
    forge(own_pki, "signing", [f"spiffe://{DOMAIN}/client"], authority=True)
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        answer = await server.call("Echo", OURS, client="signing", timeout=10)
    assert answer.code in {grpc.StatusCode.UNAUTHENTICATED, grpc.StatusCode.UNAVAILABLE}


async def test_another_trust_domain_of_the_same_ca(own_pki: Pki) -> None:
    """The server asks for its own domain, whatever the CA may sign."""
    identify = SpiffeIdentifier("other.org", Reason.IDENTITY_MISSING)
    async with running(own_pki, {"Echo": unary(echo)}, identify=identify) as server:
        answer = await server.call("Echo", OURS)
    assert answer.info.reason == "IDENTITY_MISSING"


async def test_the_ca_cannot_sign_for_another_domain(own_pki: Pki) -> None:
    forge(own_pki, "foreign", ["spiffe://other.org/client"])
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        answer = await server.call("Echo", OURS, client="foreign", timeout=5)
    assert answer.code is grpc.StatusCode.UNAVAILABLE  # the name constraint ends the handshake


async def test_another_ca_gets_no_connection(
    own_pki: Pki, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = Pki(tmp_path_factory.mktemp("other"))
    for suffix in ("pem", "key"):
        (own_pki.folder / f"other.{suffix}").write_bytes(
            (other.folder / f"client.{suffix}").read_bytes()
        )
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        answer = await server.call("Echo", OURS, client="other", timeout=5)
        root = grpc.ssl_channel_credentials((own_pki.folder / "ca.pem").read_bytes())
        async with grpc.aio.secure_channel(f"localhost:{server.server.port}", root) as channel:
            anonymous = await call(channel, "Echo", OURS, timeout=5)
    assert answer.code is grpc.StatusCode.UNAVAILABLE
    assert anonymous.code is grpc.StatusCode.UNAVAILABLE
    assert server.records == []


async def test_a_certificate_that_runs_out_on_an_open_channel(own_pki: Pki) -> None:
    forge(own_pki, "brief", [f"spiffe://{DOMAIN}/client"], seconds=2)
    async with (
        running(own_pki, {"Echo": unary(echo)}) as server,
        server.channel("brief") as channel,
    ):
        before = await call(channel, "Echo", OURS)
        expires = time.monotonic() + 2.2
        await asyncio.sleep(expires - time.monotonic())
        after = await call(channel, "Echo", OURS, timeout=5)
        health = await call(channel, "/grpc.health.v1.Health/Check", timeout=5)
    assert before.code is grpc.StatusCode.OK
    assert after.code is grpc.StatusCode.UNAUTHENTICATED
    assert after.info.reason == "IDENTITY_MISSING"
    assert health.code is grpc.StatusCode.UNAUTHENTICATED


async def test_connections_end_of_old_age(own_pki: Pki) -> None:
    """What a change of CAs relies on: a connection made under the old ones doesn't live on."""
    config = {"max_connection_age": 0.5, "max_connection_age_grace": 0.5}
    peers: set[str] = set()

    async def look(request: Any, context: Any) -> Any:
        peers.add(context.peer())
        return request

    async with (
        running(own_pki, {"Look": unary(look)}, config=config) as server,
        server.channel() as channel,
    ):
        for _ in range(12):
            assert (await call(channel, "Look", OURS)).code is grpc.StatusCode.OK
            await asyncio.sleep(0.2)
    assert len(peers) >= 2
