"""Log lines: one JSON object each, ours in words, others' without, and masked where need be."""

import io
import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from serving.guarded import RpcRecord
from serving.masking import mask, mask_all, suspicious
from serving.telemetry import JsonFormatter, RpcLog

SIGNED = {
    "s3": "https://b.s3.amazonaws.com/k?X-Amz-Algorithm=A&X-Amz-Credential=AKIA%2F1"
    "&X-Amz-Security-Token=tOken&X-Amz-Signature=deadbeef",
    "gcs": "https://storage.googleapis.com/b/k?X-Goog-Credential=me&X-Goog-Signature=deadbeef",
    "azure": "https://a.blob.core.windows.net/c/k?sv=1&sig=deadbeef%3D&sp=r",
    "azure first": "k?sig=deadbeef",
    "sigv2": "https://b/k?AWSAccessKeyId=AKIA&Signature=deadbeef&Expires=1",
    "quoted": "next=https%3A%2F%2Fb%2Fk%3Fa%3D1%26X-Amz-Signature%3Ddeadbeef",
    "quoted sig": "next=https%3A%2F%2Fb%2Fk%3Fsig%3Ddeadbeef",
    "quoted twice": "n=k%253FX-Amz-Signature%253Ddeadbeef",
    "lower case": "x-amz-signature=deadbeef",
    "json": '{"url":"https://b/k?a=1\\u0026sig\\u003ddeadbeef"}',
    "pem": "x -----BEGIN PRIVATE KEY-----\ndeadbeef\n-----END PRIVATE KEY----- y",
    "rsa": "-----BEGIN RSA PRIVATE KEY-----deadbeef-----END RSA PRIVATE KEY-----",
    "cut": "-----BEGIN EC PRIVATE KEY-----\ndeadbeef",
}
PLAIN = ["design=5", "a=b&c=d", "-----BEGIN CERTIFICATE-----", "100% sure", "projects/acme"]


@pytest.mark.parametrize("text", SIGNED.values(), ids=SIGNED)
def test_what_gives_access_is_masked(text: str) -> None:
    masked = mask(text)
    assert suspicious(text)
    for secret in ("deadbeef", "AKIA", "tOken"):
        assert secret not in masked
    assert "[MASKED]" in masked


@pytest.mark.parametrize("text", PLAIN)
def test_what_does_not_is_left_alone(text: str) -> None:
    assert mask(text) == text


def test_masking_reaches_every_string() -> None:
    nested: Any = {"a": [{"sig=k": ("sig=v", 7, None)}]}
    assert mask_all(nested) == {"a": [{"sig=[MASKED]": ["sig=[MASKED]", 7, None]}]}


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JsonFormatter())
    for name in ("signer", "urllib3"):
        logging.getLogger(name).addHandler(handler)
    logging.getLogger("signer").setLevel("INFO")
    yield stream
    for name in ("signer", "urllib3"):
        logging.getLogger(name).removeHandler(handler)
    logging.getLogger("signer").setLevel(logging.NOTSET)


def test_our_lines_and_others(lines: io.StringIO) -> None:
    logging.getLogger("signer.x").info("hello\nworld", extra={"fields": {"n": 1}})
    logging.getLogger("signer.x").warning('%s "}', SIGNED["pem"])
    logging.getLogger("signer.x").info("odd", extra={"fields": {"o": object(), "b": b"deadbeef"}})
    logging.getLogger("urllib3.pool").warning("GET https://x/?token=deadbeef")
    text = lines.getvalue()
    ours, masked, odd, others = (json.loads(line) for line in text.splitlines())
    assert (ours["message"], ours["n"], ours["level"]) == ("hello\nworld", 1, "INFO")
    assert masked["message"] == 'x [MASKED] y "}'
    assert (odd["o"], odd["b"]) == ("<object>", "<bytes>")
    assert others.keys() == {"time", "level", "logger"}
    assert "deadbeef" not in text


def test_a_line_per_call(lines: io.StringIO) -> None:
    log = RpcLog("signer")
    record = RpcRecord(
        "/p.S/Get", False, "r-1", 0.0, "spiffe://example.org/c", "acme", "NOT_FOUND", "GONE", 0.0015
    )
    log(record)
    record.quiet = True
    log(record)
    (line,) = lines.getvalue().splitlines()
    told = json.loads(line)
    told.pop("time")
    assert told == {
        "level": "INFO",
        "logger": "signer.rpc",
        "message": "rpc",
        "rpc": "/p.S/Get",
        "caller": "spiffe://example.org/c",
        "project": "acme",
        "code": "NOT_FOUND",
        "reason": "GONE",
        "ms": 1.5,
        "request_id": "r-1",
    }
