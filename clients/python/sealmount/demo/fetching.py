"""A plain HTTP client that knows nothing of clouds: what anybody does with a signed URL."""

import http.client
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import parse_qs, urlsplit

_MAX_BYTES = 256 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0 when there was no answer at all; ``why`` then says so, without the URL."""

    status: int
    body: bytes = b""
    content_type: str = ""
    why: str = ""

    @property
    def digest(self) -> str:
        return sha256(self.body).hexdigest()


def fetch(url: str, timeout: float = 10.0) -> Answer:
    """GETs the URL byte for byte as it is. Never raises for what a server does."""
    parts = urlsplit(url)
    path = url.split(parts.netloc, 1)[1] or "/"
    secure = parts.scheme == "https"
    kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=timeout)
    try:
        connection.request("GET", path)
        response = connection.getresponse()
        content_type = response.getheader("Content-Type", "")
        return Answer(response.status, response.read(_MAX_BYTES), content_type)
    except (OSError, http.client.HTTPException) as error:
        return Answer(0, why=type(error).__name__)
    finally:
        connection.close()


def access_key_of(url: str) -> str:
    """The id of the access key that the URL was signed with; ``""`` if it names none."""
    scope = parse_qs(urlsplit(url).query).get("X-Amz-Credential", [""])[0]
    return scope.partition("/")[0]


def origin_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc}"
