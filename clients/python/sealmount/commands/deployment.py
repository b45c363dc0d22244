"""A whole deployment in one folder: authority, certificates, policies, keyring, databases, logs.

    deployment = Deployment(Path(".sealmount"))
    deployment.prepare()                    # makes what is missing, keeps what is there
    with deployment.connect("operator", deployment.signer) as channel: ...

It is made of the same parts as a larger one, and only its size is a toy's: SQLite beneath each
service, one certificate authority, mutual TLS between all. ``pair.py`` runs it.
"""

import os
import secrets
import shlex
import stat
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path

import grpc
from cryptography import x509

from sealmount import pki
from sealmount.channels import Identity, connect
from sealmount.commands.processes import Child, python, run
from sealmount.files import write_atomically

TRUST_DOMAIN = "sealmount.internal"
_RENEW_BEFORE = timedelta(days=30)
# Who there is, and what the two policies grant them in every project.
_SERVERS = ("signer", "catalog")
ROLES: Mapping[str, Mapping[str, Sequence[str]]] = {
    "signer": {
        "catalog": ["catalog"],
        "operator": ["credential.writer", "binding.operator", "viewer"],
        "viewer": ["viewer", "url.signer"],
    },
    "catalog": {
        "operator": ["catalog.editor"],
        "viewer": ["catalog.viewer"],
    },
}
IDENTITIES = ("signer", "catalog", "operator", "viewer")


@dataclass(frozen=True)
class Deployment:
    """``store_origins`` are stores that plain http or a private address may lead to, exactly as
    they stand in a location: ``http://127.0.0.1:9000``."""

    folder: Path
    signer_port: int = 7443
    catalog_port: int = 7444
    store_origins: Sequence[str] = ()

    @property
    def signer(self) -> str:
        return f"127.0.0.1:{self.signer_port}"

    @property
    def catalog(self) -> str:
        return f"127.0.0.1:{self.catalog_port}"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    @property
    def audit(self) -> Path:
        return self.folder / "audit.jsonl"

    def identity(self, name: str) -> Identity:
        return Identity.of(self.pki, name)

    def connect(self, name: str, address: str) -> grpc.Channel:
        """A channel to one of the two servers, as ``operator``, ``viewer`` or ``catalog``."""
        return connect(address, self.identity(name), server_name="localhost")

    def prepare(self) -> None:
        """Makes what is missing. Certificates that soon run out are issued anew."""
        self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.folder.chmod(stat.S_IRWXU)
        self._certify()
        for service, roles in ROLES.items():
            text = "\n".join(_grant(name, granted) for name, granted in roles.items())
            self._keep(f"policy-{service}.toml", text)
        for service in ROLES:
            self._write_settings(service)
        with ThreadPoolExecutor() as pool:
            done = [pool.submit(self._found_signer), pool.submit(self._run, "catalog", "migrate")]
        for each in done:
            each.result()

    def _found_signer(self) -> None:
        if not self._keyring.exists():
            self._run("signer", "keyring", "init", "--path", str(self._keyring))
        self._run("signer", "migrate")

    def verify_audit(self) -> tuple[bool, str]:
        """Whether the audit log is whole, in order and unedited, and what the verifier says."""
        log = self.logs / "audit-verify.log"
        log.unlink(missing_ok=True)
        child = Child("audit verify", python("-m", "signer", "audit", "verify"),
                      self.environment("signer"), log)  # fmt: skip
        child.start()
        return child.wait(60.0) == 0, " ".join(child.tail())

    def environment(self, service: str) -> dict[str, str]:
        """The process environment of ``signer`` or ``catalog``: ours, and nothing else of it."""
        own = self._signer_settings if service == "signer" else self._catalog_settings
        prefix = f"SEALMOUNT_{service.upper()}_"
        inherited = {n: v for n, v in os.environ.items() if not n.startswith("SEALMOUNT_")}
        return {
            **inherited,
            "PYTHONUNBUFFERED": "1",
            # gRPC's core would write lines of its own, in its own form, beside our JSON.
            "GRPC_VERBOSITY": "NONE",
            **{prefix + name: value for name, value in {**self._common(service), **own}.items()},
        }

    def _write_settings(self, service: str) -> None:
        """The service's settings as a file to source in a shell, for its other commands."""
        prefix = f"SEALMOUNT_{service.upper()}_"
        settings = {n: v for n, v in self.environment(service).items() if n.startswith(prefix)}
        text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
        write_atomically(self.folder / f"{service}.env", text.encode(), mode=0o600, replace=True)

    @property
    def _keyring(self) -> Path:
        return self.folder / "keyring.json"

    def _common(self, service: str) -> dict[str, str]:
        files = self.identity(service)
        database = (self.folder / f"{service}.db").resolve()
        return {
            "LISTEN": self.signer if service == "signer" else self.catalog,
            "TLS_CERT": str(files.certificate),
            "TLS_KEY": str(files.key),
            "TLS_CA": str(files.ca),
            "TRUST_DOMAIN": TRUST_DOMAIN,
            "POLICY": str(self.folder / f"policy-{service}.toml"),
            "DATABASE": f"sqlite+aiosqlite:///{database}",
            "REFLECTION": "true",
            "LOG_LEVEL": "INFO",
        }

    @cached_property
    def _signer_settings(self) -> dict[str, str]:
        return {
            "KEYRING": str(self._keyring),
            "AUDIT_FILE": str(self.audit),
            "DEPLOYMENT": self._name(),
            "INSECURE_ORIGINS": ",".join(self.store_origins),
        }

    @cached_property
    def _catalog_settings(self) -> dict[str, str]:
        return {
            "SIGNER_ADDRESS": self.signer,
            "SIGNER_NAME": "localhost",
            "ALLOWED_ORIGINS": ",".join(self.store_origins),
        }

    def _name(self) -> str:
        """The deployment's own name, random and kept: rows of another one can't be brought in."""
        self._keep("deployment", f"local-{secrets.token_hex(8)}")
        return (self.folder / "deployment").read_text().strip()

    def _keep(self, name: str, text: str) -> None:
        if not (self.folder / name).exists():
            write_atomically(self.folder / name, f"{text}\n".encode(), mode=0o600, replace=False)

    def _run(self, service: str, *arguments: str) -> None:
        command = python("-m", service, *arguments)
        name = " ".join([service, *arguments[:2]])
        run(name, command, self.environment(service), self.logs / f"{service}-setup.log")

    def _certify(self) -> None:
        if not (self.pki / "ca.pem").exists():
            pki.create_ca(self.pki, TRUST_DOMAIN)
        for name in IDENTITIES:
            if _runs_out(self.pki / f"{name}.pem"):
                server = name in _SERVERS
                pki.issue(
                    self.pki,
                    name,
                    dns=["localhost"] if server else [],
                    ips=["127.0.0.1"] if server else [],
                    force=True,
                )


def _grant(name: str, roles: Sequence[str]) -> str:
    listed = ", ".join(f'"{role}"' for role in roles)
    return (
        f'[[grant]]\nidentity = "spiffe://{TRUST_DOMAIN}/{name}"\n'
        f'roles = [{listed}]\nprojects = ["*"]\n'
    )


def _runs_out(certificate: Path) -> bool:
    if not certificate.exists():
        return True
    leaf = x509.load_pem_x509_certificate(certificate.read_bytes())
    return leaf.not_valid_after_utc - datetime.now(UTC) < _RENEW_BEFORE
