"""A deployment in a folder: made once, kept, renewed in time, and readable by its owner only."""

from pathlib import Path

import pytest
from cryptography import x509
from sealmount import pki
from sealmount.commands import deployment as module
from sealmount.commands import hints
from sealmount.commands.deployment import ROLES, TRUST_DOMAIN, Deployment

from serving.policy import load
from signer.transport.access import ROLES as SIGNER_ROLES

ORIGIN = "http://127.0.0.1:9000"


@pytest.fixture
def deployment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Deployment:
    """Prepared, but for what the two services themselves make."""
    monkeypatch.setattr(module, "run", lambda *_: None)
    made = Deployment(tmp_path / "state", 17443, 17444, (ORIGIN,))
    made.prepare()
    return made


def serial(path: Path) -> int:
    return x509.load_pem_x509_certificate(path.read_bytes()).serial_number


def test_a_second_time_everything_is_kept(deployment: Deployment) -> None:
    files = {path: path.read_bytes() for path in deployment.folder.rglob("*") if path.is_file()}
    deployment.prepare()
    again = {path: path.read_bytes() for path in deployment.folder.rglob("*") if path.is_file()}
    assert again == files
    assert len(files) > 10


def test_a_certificate_that_runs_out_is_issued_anew(deployment: Deployment) -> None:
    old = pki.issue(deployment.pki, "viewer", days=29, force=True)
    before, others = serial(old.certificate), serial(deployment.pki / "operator.pem")
    deployment.prepare()
    assert serial(old.certificate) != before
    assert serial(deployment.pki / "operator.pem") == others


def test_the_signer_takes_its_policy(deployment: Deployment) -> None:
    policy = load(deployment.folder / "policy-signer.toml", SIGNER_ROLES)
    for name, roles in ROLES["signer"].items():
        assert policy.roles(f"spiffe://{TRUST_DOMAIN}/{name}", "acme") == set(roles)


def test_nobody_holds_every_role(deployment: Deployment) -> None:
    held = [set(roles) for roles in ROLES["signer"].values()]
    assert all("url.signer" not in roles for roles in held if "credential.writer" in roles)
    assert all(roles == {"catalog"} for roles in held if "catalog" in roles)


@pytest.mark.parametrize("service", ["signer", "catalog"])
def test_a_process_gets_its_own_settings_only(
    deployment: Deployment, service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SEALMOUNT_SIGNER_KEYRING", "from outside")
    monkeypatch.setenv("SEALMOUNT_CATALOG_DATABASE", "from outside")
    settings = deployment.environment(service)
    prefixes = {name.split("_")[1] for name in settings if name.startswith("SEALMOUNT_")}
    assert prefixes == {service.upper()}
    assert "from outside" not in settings.values()


def test_only_the_owner_can_read_it(deployment: Deployment) -> None:
    hints.write_template(deployment)
    assert deployment.folder.stat().st_mode & 0o777 == 0o700
    secret = [*deployment.folder.rglob("*.key"), deployment.folder / hints.TEMPLATE]
    assert len(secret) == 6
    assert all(path.stat().st_mode & 0o077 == 0 for path in secret)


def test_what_is_filled_into_the_template_is_kept(deployment: Deployment) -> None:
    path = hints.write_template(deployment)
    path.write_text("filled in")
    assert hints.write_template(deployment).read_text() == "filled in"


def test_the_printed_lines_hold_no_secret_and_read_it_from_standard_input(
    deployment: Deployment,
) -> None:
    storing = [text for text in hints.lines(deployment) if "StoreCredential" in text]
    assert len(storing) == 1
    assert "-d @ < " in storing[0]
    assert "secret_access_key" not in "".join(hints.lines(deployment))
