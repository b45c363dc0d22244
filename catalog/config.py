"""The Catalog's settings: environment variables that begin with ``SEALMOUNT_CATALOG_``."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from serving.settings import Settings
from serving.tls import TlsFiles

PREFIX = "SEALMOUNT_CATALOG_"


@dataclass(frozen=True, slots=True)
class Config:
    """What server and worker need. ``tls`` is both the server's and the client's certificate.

    ``signer_name`` is the DNS name in the Signer's certificate, "" when it is the address's.
    ``allowed_origins`` are stores' exact origins (``http://127.0.0.1:9000``) that may be plain
    http and have private addresses. ``worker_id`` is "" for the worker's own choice. Imports bring
    no more than ``max_images_per_bucket``; operations that have ended are forgotten after
    ``operation_retention_days``.
    """

    listen: str
    tls: TlsFiles
    trust_domain: str
    policy: Path
    database: str
    signer_address: str
    signer_name: str
    signer_timeout: float
    allowed_origins: frozenset[str]
    worker_id: str
    max_images_per_bucket: int
    operation_retention_days: int
    reflection: bool
    log_level: str


def load(environment: Mapping[str, str]) -> Config:
    """ConfigError names every mistake at once."""
    settings = Settings(PREFIX, environment)
    config = Config(
        listen=settings.text("LISTEN", "127.0.0.1:7444"),
        tls=TlsFiles(settings.path("TLS_CERT"), settings.path("TLS_KEY"), settings.path("TLS_CA")),
        trust_domain=settings.text("TRUST_DOMAIN"),
        policy=settings.path("POLICY"),
        database=settings.text("DATABASE"),
        signer_address=settings.text("SIGNER_ADDRESS"),
        signer_name=settings.text("SIGNER_NAME", ""),
        signer_timeout=settings.seconds("SIGNER_TIMEOUT_SECONDS", 10.0, 0.1, 60.0),
        allowed_origins=settings.items("ALLOWED_ORIGINS"),
        worker_id=settings.text("WORKER_ID", ""),
        max_images_per_bucket=settings.number(
            "MAX_IMAGES_PER_BUCKET", 20_000_000, 1, 1_000_000_000
        ),
        operation_retention_days=settings.number("OPERATION_RETENTION_DAYS", 30, 1, 3650),
        reflection=settings.flag("REFLECTION", default=False),
        log_level=settings.choice("LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
    )
    settings.check()
    return config


def load_database(environment: Mapping[str, str]) -> str:
    """The database's URL alone: all that ``migrate`` needs. ConfigError when it is missing."""
    name = PREFIX + "DATABASE"
    settings = Settings(PREFIX, {name: environment.get(name, "")})
    url = settings.text("DATABASE")
    settings.check()
    return url
