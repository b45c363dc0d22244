"""``sealmount pki``: what it makes, what it refuses, and what OpenSSL says to it."""

import stat
import subprocess
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from sealmount import cli, pki

DOMAIN = "example.org"


def certificates(path: Path) -> list[x509.Certificate]:
    return x509.load_pem_x509_certificates(path.read_bytes())


def test_what_is_issued(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.create_ca(folder, DOMAIN)
    issued = pki.issue(folder, "signer", dns=["localhost"], ips=["127.0.0.1", "::1"], days=2)
    assert issued.spiffe_id == "spiffe://example.org/signer"
    leaf, ca = certificates(issued.certificate)
    leaf.verify_directly_issued_by(ca)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == [issued.spiffe_id]
    assert names.get_values_for_type(x509.DNSName) == ["localhost"]
    assert [str(ip) for ip in names.get_values_for_type(x509.IPAddress)] == ["127.0.0.1", "::1"]
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert set(usage) == {ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH}
    assert not leaf.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    limits = ca.extensions.get_extension_for_class(x509.BasicConstraints).value
    assert (limits.ca, limits.path_length) == (True, 0)
    assert 1.9 < (leaf.not_valid_after_utc - leaf.not_valid_before_utc).days + 1 < 4


def test_modes(tmp_path: Path) -> None:
    folder = tmp_path / "pki"
    pki.create_ca(folder, DOMAIN)
    pki.issue(folder, "a")
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "a.pem": 0o644, "a.key": 0o600}
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700


def test_nothing_is_overwritten_unless_asked(tmp_path: Path) -> None:
    pki.create_ca(tmp_path, DOMAIN)
    first = pki.issue(tmp_path, "a").certificate.read_bytes()
    with pytest.raises(pki.PkiError, match="--force"):
        pki.create_ca(tmp_path, DOMAIN)
    with pytest.raises(pki.PkiError, match="--force"):
        pki.issue(tmp_path, "a")
    assert (tmp_path / "a.pem").read_bytes() == first
    assert pki.issue(tmp_path, "a", force=True).certificate.read_bytes() != first
    assert len(list(tmp_path.iterdir())) == 4  # no temporary file is left


@pytest.mark.parametrize("name", ["ca", "", "../a", "a/b", ".hidden", "a\n", "ä"])
def test_names_that_are_refused(tmp_path: Path, name: str) -> None:
    pki.create_ca(tmp_path, DOMAIN)
    with pytest.raises(pki.PkiError):
        pki.issue(tmp_path, name)


@pytest.mark.parametrize("path", ["", "/", "a", "/a/", "/a/../b", "/a?b", "/a b"])
def test_spiffe_paths_that_are_refused(tmp_path: Path, path: str) -> None:
    pki.create_ca(tmp_path, DOMAIN)
    with pytest.raises(pki.PkiError, match="SPIFFE path"):
        pki.issue(tmp_path, "a", spiffe_path=path)


@pytest.mark.parametrize("domain", ["", "Example.org", "spiffe://a", "a_b", "a..b", "-a", "a/b"])
def test_trust_domains_that_are_refused(tmp_path: Path, domain: str) -> None:
    with pytest.raises(pki.PkiError, match="trust domain"):
        pki.create_ca(tmp_path, domain)


def test_a_leaf_does_not_outlive_its_ca(tmp_path: Path) -> None:
    pki.create_ca(tmp_path, DOMAIN, days=1)
    leaf, ca = certificates(pki.issue(tmp_path, "a", days=400).certificate)
    assert leaf.not_valid_after_utc == ca.not_valid_after_utc


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(tmp_path / "pki")
    assert cli.main(["pki", "init", "--dir", folder, "--trust-domain", DOMAIN]) == 0
    issue = ["pki", "issue", "--dir", folder, "--spiffe-path", "/catalog", "--dns", "localhost"]
    assert cli.main([*issue, "cat"]) == 0
    assert capsys.readouterr().out.endswith("cat.pem spiffe://example.org/catalog\n")
    assert cli.main([*issue, "cat"]) == 1
    assert "--force" in capsys.readouterr().err
    assert cli.main([*issue, "cat", "--force"]) == 0
    assert cli.main(["pki", "issue", "--dir", str(tmp_path / "none"), "x"]) == 1
    with pytest.raises(SystemExit) as usage:
        cli.main(["pki", "nonsense"])
    assert usage.value.code == 2


@pytest.mark.needs("openssl")
@pytest.mark.parametrize("purpose", ["sslserver", "sslclient"])
def test_openssl_agrees(tmp_path: Path, purpose: str) -> None:
    ca = pki.create_ca(tmp_path, DOMAIN)
    issued = pki.issue(tmp_path, "a", dns=["localhost"])
    verify = ["openssl", "verify", "-x509_strict", "-purpose", purpose, "-CAfile"]
    done = subprocess.run(
        [*verify, ca.certificate, issued.certificate], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip().endswith("OK")
