"""Pages of large items: shorter than they were asked for, and nothing is left out."""

from itertools import chain
from typing import Any

import pytest

from signer.app import paging
from tests.fakes.signer_requests import binding, rule, store
from tests.fakes.signer_rig import Running


async def _pages(signer: Running, method: str, field: str) -> list[list[str]]:
    pages: list[list[str]] = []
    token = ""
    while token or not pages:
        answer: Any = await signer.acme.ok(
            method, parent="projects/acme", page_size=1000, page_token=token
        )
        pages.append([one.name.rsplit("/", 1)[1] for one in getattr(answer, field)])
        token = answer.next_page_token
    return pages


@pytest.mark.parametrize(("most", "expected"), [(1_500, 4), (10, 7), (1_000_000, 1)])
async def test_a_page_ends_where_it_would_be_too_long(
    signer: Running, monkeypatch: pytest.MonkeyPatch, most: int, expected: int
) -> None:
    monkeypatch.setattr(paging, "MAX_PAGE_BYTES", most)
    names = [f"c{number}" for number in range(7)]
    wide = [rule(), rule(prefix=f"{'p' * 400}/")]
    for name in names:
        await signer.acme.ok("StoreCredential", store("acme", name, rules=wide))
    pages = await _pages(signer, "ListCredentials", "credentials")
    assert [*chain(*pages)] == names
    assert len(pages) == expected, [len(page) for page in pages]
    for name in names:
        on = f"projects/acme/credentials/{name}"
        await signer.acme.ok("CreateBinding", binding("acme", name, credential=on))
    pages = await _pages(signer, "ListBindings", "bindings")
    assert [*chain(*pages)] == names
    assert (len(pages) > 1) is (expected > 1)
