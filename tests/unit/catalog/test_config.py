"""The Catalog's settings: every mistake is named at once, and no value is repeated."""

import pytest

from catalog.config import load, load_database
from serving.settings import ConfigError

GOOD = {
    "TLS_CERT": "/tls/c.pem",
    "TLS_KEY": "/tls/c.key",
    "TLS_CA": "/tls/ca.pem",
    "TRUST_DOMAIN": "example.org",
    "POLICY": "/etc/policy.toml",
    "DATABASE": "sqlite+aiosqlite:////var/lib/catalog.db",
    "SIGNER_ADDRESS": "signer:7443",
}


def environment(**changes: str) -> dict[str, str]:
    given = {f"SEALMOUNT_CATALOG_{name}": value for name, value in (GOOD | changes).items()}
    return given | {"PATH": "/bin"}


def test_defaults() -> None:
    config = load(environment())
    assert config.listen == "127.0.0.1:7444"
    assert (config.signer_name, config.worker_id, config.signer_timeout) == ("", "", 10.0)
    assert config.allowed_origins == frozenset()
    assert not config.reflection
    assert config.max_images_per_bucket == 20_000_000
    assert config.operation_retention_days == 30


def test_values() -> None:
    origins = "http://127.0.0.1:9000, https://minio.internal:9000"
    config = load(environment(ALLOWED_ORIGINS=origins, REFLECTION="true", LOG_LEVEL="DEBUG"))
    assert config.allowed_origins == {"http://127.0.0.1:9000", "https://minio.internal:9000"}
    assert (config.reflection, config.log_level) == (True, "DEBUG")


def test_all_mistakes_at_once() -> None:
    broken = environment(
        TLS_KEY="",
        LOG_LEVEL="LOUD",
        SIGNER_TIMEOUT_SECONDS="0",
        REFLECTION="maybe",
        MAX_IMAGES_PER_BUCKET="0",
        OPERATION_RETENTION_DAYS="a week",
        LISTN="x:1",
    )
    with pytest.raises(ConfigError) as caught:
        load(broken)
    lines = str(caught.value).splitlines()
    for name in (
        "TLS_KEY",
        "LOG_LEVEL",
        "SIGNER_TIMEOUT_SECONDS",
        "REFLECTION",
        "MAX_IMAGES_PER_BUCKET",
        "OPERATION_RETENTION_DAYS",
        "LISTN",
    ):
        assert sum(f"SEALMOUNT_CATALOG_{name} " in line for line in lines) == 1
    assert "LOUD" not in str(caught.value)


def test_migrating_needs_the_database_alone() -> None:
    assert load_database({"SEALMOUNT_CATALOG_DATABASE": "x"}) == "x"
    with pytest.raises(ConfigError, match="SEALMOUNT_CATALOG_DATABASE is missing"):
        load_database({})
