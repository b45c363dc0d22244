"""What S3 answers when it refuses: status, code, message, and more than one should pass on.

https://docs.aws.amazon.com/AmazonS3/latest/API/ErrorResponses.html
"""

from collections.abc import Mapping
from xml.sax.saxutils import escape


class S3Error(Exception):
    """``extra`` are further elements of the XML: AWS echoes the key id and the string to sign."""

    def __init__(
        self, status: int, code: str, message: str, extra: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(code)
        self.status = status
        self.code = code
        self.message = message
        self.extra = dict(extra or {})

    def xml(self, resource: str) -> bytes:
        elements = {
            "Code": self.code,
            "Message": self.message,
            **self.extra,
            "Resource": resource,
            "RequestId": "4442587FB7D0A2F9",
        }
        return xml_document("Error", "".join(xml_element(*pair) for pair in elements.items()))


def access_denied(message: str = "Access Denied", **extra: str) -> S3Error:
    return S3Error(403, "AccessDenied", message, extra)


def xml_element(name: str, value: str) -> str:
    return f"<{name}>{xml_text(value)}</{name}>"


def xml_text(value: str) -> str:
    """Escaped as S3 does it, control characters as references that XML 1.0 parsers refuse."""
    return "".join(f"&#x{ord(c):X};" if c < " " else c for c in escape(value, {'"': "&quot;"}))


def xml_document(root: str, inner: str, namespace: str = "") -> bytes:
    attribute = f' xmlns="{namespace}"' if namespace else ""
    return f'<?xml version="1.0" encoding="UTF-8"?>\n<{root}{attribute}>{inner}</{root}>'.encode()
