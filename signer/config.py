"""The Signer's settings: environment variables that begin with ``SEALMOUNT_SIGNER_``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.settings import Settings
from serving.tls import TlsFiles

PREFIX = "SEALMOUNT_SIGNER_"


@dataclass(frozen=True, slots=True)
class Config:
    """Times in seconds. ``insecure_origins`` are origins taken literally in spite of the rules:
    plain http, addresses, names without a dot. For development and for private networks."""

    listen: str
    tls: TlsFiles
    trust_domain: str
    policy: Path
    database: str
    keyring: Path
    audit_file: Path
    audit_durable: bool
    audit_timeout: float
    deployment: str
    insecure_origins: frozenset[str]
    reflection: bool
    staleness: float
    log_level: str


def load(environment: Mapping[str, str]) -> Config:
    """ConfigError names every mistake at once."""
    settings = Settings(PREFIX, environment)
    config = Config(
        listen=settings.text("LISTEN", "127.0.0.1:7443"),
        tls=TlsFiles(settings.path("TLS_CERT"), settings.path("TLS_KEY"), settings.path("TLS_CA")),
        trust_domain=settings.text("TRUST_DOMAIN"),
        policy=settings.path("POLICY"),
        database=settings.text("DATABASE"),
        keyring=settings.path("KEYRING"),
        audit_file=settings.path("AUDIT_FILE"),
        audit_durable=settings.choice("AUDIT_MODE", "durable", ("durable", "buffered"))
        == "durable",
        audit_timeout=settings.seconds("AUDIT_TIMEOUT_SECONDS", 2.0, 0.05, 60.0),
        deployment=settings.text("DEPLOYMENT", "default"),
        insecure_origins=settings.items("INSECURE_ORIGINS"),
        reflection=settings.flag("REFLECTION", default=False),
        staleness=settings.seconds("STALENESS_SECONDS", 1.0, 0.5, 5.0),
        log_level=settings.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    )
    settings.check()
    return config


def load_offline(environment: Mapping[str, str]) -> tuple[str, Path, Path, str]:
    """Database, keyring, audit file and deployment: what commands without a server need."""
    settings = Settings(PREFIX, environment)
    found = (
        settings.text("DATABASE"),
        settings.path("KEYRING"),
        settings.path("AUDIT_FILE"),
        settings.text("DEPLOYMENT", "default"),
    )
    settings.check_asked()
    return found


def load_database(environment: Mapping[str, str]) -> str:
    """The database's URL: all that ``migrate`` needs."""
    settings = Settings(PREFIX, environment)
    url = settings.text("DATABASE")
    settings.check_asked()
    return url
