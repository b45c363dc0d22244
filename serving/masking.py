"""The last net under the log: what looks like a bearer URL or a private key is blotted out.

Nothing should come this far; the redactor and the scrubbed tracebacks keep it away. This catches
the line that somebody writes one day without thinking of them.
"""

import re
from typing import Any

MASK = "[MASKED]"

# What makes a signed URL a bearer token: S3 (SigV4 and SigV2), GCS and Azure SAS.
_PARAMETERS = (
    "X-Amz-Signature",
    "X-Amz-Credential",
    "X-Amz-Security-Token",
    "X-Goog-Signature",
    "X-Goog-Credential",
    "AWSAccessKeyId",
    "Signature",
    # Short enough to end other words: only after a separator, also one of a quoted URL.
    r"(?:(?<![A-Za-z0-9_-])|(?<=%3F)|(?<=%26)|(?<=\\u0026)|(?<=\\u003f))sig",
)
_PARAMETER = re.compile(
    rf"((?:{'|'.join(_PARAMETERS)})(?:=|%3D|%253D|\\u003d))[^\s&\"'<>\\,;)\]}}]*",
    re.IGNORECASE,
)
_PEM = re.compile(
    r"-----BEGIN [A-Z0-9 ]{0,40}PRIVATE KEY-----.*?(?:-----END [A-Z0-9 ]{0,40}PRIVATE KEY-----|\Z)",
    re.DOTALL,
)


def suspicious(text: str) -> bool:
    """A cheap first look, made for every line: False means that there is nothing to mask.

    Whatever is masked has an equals sign, plain or quoted, or a PEM header.
    """
    return "=" in text or "%" in text or "u003" in text or "-----BEGIN" in text


def mask(text: str) -> str:
    """``text`` with signatures, credentials and PEM private keys replaced by ``[MASKED]``."""
    return _PEM.sub(MASK, _PARAMETER.sub(rf"\g<1>{MASK}", text))


def mask_all(value: Any) -> Any:
    """:func:`mask` for every string within a structure of JSON types, keys included."""
    if isinstance(value, str):
        return mask(value)
    if isinstance(value, dict):
        return {mask(str(key)): mask_all(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [mask_all(item) for item in value]
    return value
