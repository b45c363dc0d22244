"""A full disk: what was acknowledged stays, the rest is refused, and space brings it all back.

SQLite is told that the file may have no more pages than it has, which gives the very error that a
full disk does (SQLITE_FULL).
"""

from typing import Any

from sqlalchemy import event

from tests.fakes.signer_requests import mounted, sign, store
from tests.fakes.signer_rig import Running

_UNLIMITED = 1 << 30


class Disk:
    """Bounds the pages of the Signer's database, on each connection it takes from its pool."""

    def __init__(self, signer: Any) -> None:
        self.pages = _UNLIMITED
        event.listen(signer._database.engine.sync_engine, "checkout", self._limit)

    def _limit(self, connection: Any, *_: Any) -> None:
        cursor = connection.cursor()
        # A limit below the file's present size counts as that size.
        cursor.execute(f"PRAGMA max_page_count = {self.pages}")
        cursor.close()


async def test_a_full_disk_refuses_and_loses_nothing(signer: Running) -> None:
    await mounted(signer.acme)
    disk = Disk(signer.signer)
    disk.pages = 1
    stored, refused = ["main"], None
    for number in range(200):
        name = f"more-{number:03}"
        answer = await signer.acme.call("StoreCredential", store(credential_id=name))
        if answer.code.name != "OK":
            refused = answer
            break
        stored.append(name)
    assert refused is not None
    assert (refused.code.name, refused.reason) == ("UNAVAILABLE", "STORAGE_UNAVAILABLE")
    assert b"disk" not in refused.everything()
    listed = await signer.acme.ok("ListCredentials", parent="projects/acme", page_size=1000)
    assert [c.name.rpartition("/")[2] for c in listed.credentials] == sorted(stored)
    signed = await signer.acme.ok("SignObjectUrl", sign())
    assert "X-Amz-Signature" in signed.url
    disk.pages = _UNLIMITED
    await signer.acme.ok("StoreCredential", store(credential_id="after"))
