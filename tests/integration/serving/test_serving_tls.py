"""Certificates that change under a running server."""

import asyncio
import ssl
from typing import Any

import grpc
import pytest
from cryptography import x509

from serving.tls import ReloadingCertificates, TlsFiles
from tests.integration.serving.harness import Message, Pki, Running, call, running, unary

pytestmark = pytest.mark.timeout(60)
OURS = Message(name="projects/acme/things/t")


async def echo(request: Any, _context: Any) -> Any:
    return request


async def served_serial(server: Running) -> int:
    """The serial number of the certificate that a new handshake gets."""
    files = server.pki.client_files("client")
    context = ssl.create_default_context(cafile=str(files.ca))
    context.load_cert_chain(files.certificate, files.key)
    context.set_alpn_protocols(["h2"])
    _, writer = await asyncio.open_connection("localhost", server.server.port, ssl=context)
    try:
        der = writer.get_extra_info("ssl_object").getpeercert(binary_form=True)
        return x509.load_der_x509_certificate(der).serial_number
    finally:
        writer.close()


def serial(pki: Pki, name: str = "server") -> int:
    return x509.load_pem_x509_certificate((pki.folder / f"{name}.pem").read_bytes()).serial_number


def reissue(pki: Pki) -> None:
    pki.issue("server", dns=["localhost"], ips=["127.0.0.1"], force=True)


async def test_a_new_certificate_is_used_at_the_next_handshake(own_pki: Pki) -> None:
    async with running(own_pki, {"Echo": unary(echo)}) as server, server.channel() as channel:
        first = serial(own_pki)
        assert await served_serial(server) == first
        assert (await call(channel, "Echo", OURS)).code is grpc.StatusCode.OK
        reissue(own_pki)
        assert await served_serial(server) == serial(own_pki) != first
        assert (await call(channel, "Echo", OURS)).code is grpc.StatusCode.OK


@pytest.mark.parametrize("broken", ["garbage", "truncated", "missing", "other key", "no ca"])
async def test_a_broken_file_keeps_the_old_one(own_pki: Pki, broken: str) -> None:
    files = own_pki.files("server")
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        first = serial(own_pki)
        whole = files.certificate.read_bytes(), files.key.read_bytes(), files.ca.read_bytes()
        if broken == "garbage":
            files.certificate.write_bytes(b"nothing of the kind")
        elif broken == "truncated":
            files.certificate.write_bytes(whole[0][:200])
        elif broken == "missing":
            files.key.unlink()
        elif broken == "other key":
            files.key.write_bytes((own_pki.folder / "client.key").read_bytes())
        else:
            files.ca.write_bytes(b"")
        own_pki.client_ca = own_pki.folder / "client-ca.pem"
        own_pki.client_ca.write_bytes(whole[2])
        assert await served_serial(server) == first
        files.certificate.write_bytes(whole[0])
        files.key.write_bytes(whole[1])
        files.ca.write_bytes(whole[2])
        reissue(own_pki)
        assert await served_serial(server) == serial(own_pki) != first


async def test_a_new_ca_is_trusted_and_an_old_one_is_not(own_pki: Pki) -> None:
    other = Pki(own_pki.folder / "other")
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        assert (await server.call("Echo", OURS)).code is grpc.StatusCode.OK
        own_pki.client_ca = own_pki.folder / "old-ca.pem"
        own_pki.client_ca.write_bytes((own_pki.folder / "ca.pem").read_bytes())
        (own_pki.folder / "ca.pem").write_bytes((other.folder / "ca.pem").read_bytes())
        for suffix in ("pem", "key"):
            content = (other.folder / f"client.{suffix}").read_bytes()
            (own_pki.folder / f"new.{suffix}").write_bytes(content)
        old = await server.call("Echo", OURS, timeout=5)
        new = await server.call("Echo", OURS, client="new", timeout=5)
    assert old.code is grpc.StatusCode.UNAVAILABLE
    assert new.code is grpc.StatusCode.OK


def test_unusable_files_at_the_start(own_pki: Pki) -> None:
    files = own_pki.files("server")
    with pytest.raises(FileNotFoundError):
        ReloadingCertificates(own_pki.files("nobody"))
    mixed = TlsFiles(files.certificate, own_pki.folder / "client.key", files.ca)
    with pytest.raises(ValueError, match="isn't the certificate's"):
        ReloadingCertificates(mixed)
    assert "PRIVATE" not in repr(files.read())


def test_a_broken_file_is_reported_once(own_pki: Pki, caplog: pytest.LogCaptureFixture) -> None:
    certificates = ReloadingCertificates(own_pki.files("server"))
    assert certificates.fetch() is None
    (own_pki.folder / "server.pem").write_bytes(b"broken")
    for _ in range(3):
        assert certificates.fetch() is None
    reissue(own_pki)
    assert certificates.fetch() is not None
    assert certificates.fetch() is None
    unusable = [r for r in caplog.records if "unusable" in r.getMessage()]
    assert len(unusable) == 1


async def test_the_port_of_another_server_is_not_shared(own_pki: Pki) -> None:
    async with running(own_pki, {"Echo": unary(echo)}) as server:
        address = f"127.0.0.1:{server.server.port}"
        second = grpc.aio.server(options=server.server.config.options())
        credentials = ReloadingCertificates(own_pki.files("server")).credentials()
        with pytest.raises(RuntimeError):
            second.add_secure_port(address, credentials)
