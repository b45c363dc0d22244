"""Objects in memory: versions, delete markers and the order in which S3 lists."""

import base64
import hashlib
from bisect import bisect_left, bisect_right
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from tests.fakes.s3.errors import S3Error

UNVERSIONED = "null"


@dataclass(frozen=True)
class Version:
    """``body`` is None in a delete marker."""

    version_id: str
    body: bytes | None
    content_type: str
    modified: datetime

    @property
    def etag(self) -> str:
        return f'"{hashlib.md5(self.body or b"").hexdigest()}"'


@dataclass(frozen=True)
class CorsRule:
    """One rule of a bucket's CORS configuration; ``*`` stands for everything."""

    origins: Sequence[str] = ("*",)
    methods: Sequence[str] = ("GET", "HEAD")
    headers: Sequence[str] = ("*",)
    expose: Sequence[str] = ()
    max_age: int = 0


@dataclass(frozen=True)
class Page:
    """One page of a listing; ``entries`` are keys with their version, or common prefixes."""

    entries: Sequence[tuple[str, Version | None]]
    truncated: bool
    next_token: str


@dataclass
class Bucket:
    name: str
    versioned: bool = False
    requester_pays: bool = False
    cors: list[CorsRule] = field(default_factory=list)
    _versions: dict[str, list[Version]] = field(default_factory=dict)
    _sorted: list[str] | None = None
    _counter: int = 0

    def put(self, key: str, body: bytes, content_type: str = "binary/octet-stream") -> Version:
        return self._append(key, body, content_type)

    def current(self, key: str) -> Version | None:
        """The newest version; None when there is none or it is a delete marker."""
        versions = self._versions.get(key)
        return versions[-1] if versions and versions[-1].body is not None else None

    def version(self, key: str, version_id: str) -> Version | None:
        return next((v for v in self._versions.get(key, ()) if v.version_id == version_id), None)

    def versions(self, key: str) -> Sequence[Version]:
        return tuple(self._versions.get(key, ()))

    def keys(self) -> list[str]:
        """Keys with a current version, in the order of their UTF-8 bytes."""
        if self._sorted is None:
            # Code points sort as their UTF-8 does.
            self._sorted = sorted(key for key in self._versions if self.current(key) is not None)
        return self._sorted

    def delete(self, key: str, version_id: str = "") -> Version | None:
        """Removes for good, or puts a delete marker, which it returns."""
        if version_id:
            left = [v for v in self._versions.get(key, ()) if v.version_id != version_id]
            self._versions[key] = left
            if not left:
                del self._versions[key]
        elif self.versioned:
            return self._append(key, None, "")
        else:
            self._versions.pop(key, None)
        self._sorted = None
        return None

    def page(self, prefix: str, delimiter: str, after: str, token: str, size: int) -> Page:
        """What ListObjectsV2 shows: at most ``size`` keys and common prefixes behind ``after``."""
        keys = self.keys()
        start = bisect_left(keys, prefix)
        if token:
            start = max(start, _behind(keys, decode_token(token)))
        elif after:
            start = max(start, bisect_right(keys, after))
        entries: list[tuple[str, Version | None]] = []
        while start < len(keys) and keys[start].startswith(prefix) and len(entries) < size:
            key = keys[start]
            cut = key.find(delimiter, len(prefix)) if delimiter else -1
            if cut < 0:
                entries.append((key, self.current(key)))
                start += 1
                continue
            common = key[: cut + len(delimiter)]
            start = _behind(keys, "p" + common)
            if token or not after or common > after:
                entries.append((common, None))
        truncated = size > 0 and start < len(keys) and keys[start].startswith(prefix)
        last, version = entries[-1] if entries else ("", None)
        mark = ("k" if version else "p") + last
        return Page(entries, truncated, encode_token(mark) if truncated else "")

    def _append(self, key: str, body: bytes | None, content_type: str) -> Version:
        self._counter += 1
        seed = f"{self.name}\0{key}\0{self._counter}".encode()
        version_id = UNVERSIONED
        if self.versioned:
            version_id = base64.urlsafe_b64encode(hashlib.sha256(seed).digest()[:24]).decode()
        version = Version(version_id, body, content_type, datetime.now(UTC))
        if self.versioned:
            self._versions.setdefault(key, []).append(version)
        else:
            self._versions[key] = [version]
        self._sorted = None
        return version


def _behind(keys: list[str], mark: str) -> int:
    """The place behind a key (``k…``) or behind every key with a common prefix (``p…``)."""
    kind, text = mark[:1], mark[1:]
    if kind == "p":
        return bisect_right(keys, text, key=lambda key: key[: len(text)])
    return bisect_right(keys, text)


def encode_token(mark: str) -> str:
    return base64.b64encode(mark.encode()).decode()


def decode_token(token: str) -> str:
    try:
        return base64.b64decode(token, validate=True).decode()
    except ValueError:
        message = "The continuation token provided is incorrect"
        raise S3Error(
            400, "InvalidArgument", message, {"ArgumentName": "continuation-token"}
        ) from None


def cors_headers(
    rules: Sequence[CorsRule], origin: str, method: str, wanted: Sequence[str] = ()
) -> Mapping[str, str] | None:
    """The headers of the first rule that fits, or None."""
    for rule in rules:
        allowed = [name.lower() for name in rule.headers]
        if not {"*", origin} & set(rule.origins) or method not in rule.methods:
            continue
        if "*" not in allowed and not all(name.lower() in allowed for name in wanted):
            continue
        headers = {
            "Access-Control-Allow-Origin": "*" if "*" in rule.origins else origin,
            "Access-Control-Allow-Methods": ", ".join(rule.methods),
            "Vary": "Origin, Access-Control-Request-Headers, Access-Control-Request-Method",
        }
        if wanted:
            headers["Access-Control-Allow-Headers"] = ", ".join(wanted)
        if rule.expose:
            headers["Access-Control-Expose-Headers"] = ", ".join(rule.expose)
        if rule.max_age:
            headers["Access-Control-Max-Age"] = str(rule.max_age)
        return headers
    return None
