"""Short ways to an S3 signer for tests: material that isn't sealed, keys for the day at hand.

signer = s3_signer(Location(Provider.S3, "bucket", "eu-west-1"), AccessKey("id", "secret"), now)
signer.objects(ObjectIntent(Method.GET, Audience.PUBLIC, Instant(now, 900)))("a.jpg")
"""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Self

from signer.domain.location import Location
from signer.domain.signing import Material, UrlSigner
from signer.providers.registry import KINDS


@dataclass(frozen=True)
class AccessKey:
    access_key_id: str = "AKIAIOSFODNN7EXAMPLE"
    secret_access_key: str = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
    session_token: str = ""


class PlainMaterial(Material):
    """The ``Material`` port over text in the clear; the views are wiped when the block ends."""

    def __init__(self, **fields: str) -> None:
        self._buffers = {name: bytearray(value.encode()) for name, value in fields.items()}

    def field(self, name: str) -> memoryview:
        return memoryview(self._buffers.get(name, bytearray()))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for buffer in self._buffers.values():
            buffer[:] = bytes(len(buffer))


def utc_now() -> datetime:
    """The time in whole seconds, as ``Instant`` wants it."""
    return datetime.now(UTC).replace(microsecond=0)


def s3_signer(location: Location, key: AccessKey, now: datetime | None = None) -> UrlSigner:
    """A signer for the days around ``now``, made through the registry as bootstrap does."""
    today = (now or utc_now()).date()
    days = [today + timedelta(days=offset) for offset in (-1, 0, 1)]
    with PlainMaterial(
        access_key_id=key.access_key_id,
        secret_access_key=key.secret_access_key,
        session_token=key.session_token,
    ) as material:
        return KINDS["aws_access_key"].factory(location, material, days)
