"""A policy whose file changes while the server runs."""

import asyncio
import contextlib
import os
from pathlib import Path

from serving.policy import FollowedPolicy

ROLES = frozenset({"viewer", "operator"})
WHO = "spiffe://example.org/someone"


def write(path: Path, role: str) -> None:
    grant = f'[[grant]]\nidentity = "{WHO}"\nroles = ["{role}"]\nprojects = ["acme"]\n'
    scratch = path.with_suffix(".new")
    scratch.write_text(grant)
    scratch.replace(path)


def test_a_new_file_is_read_and_a_bad_one_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    write(path, "viewer")
    policy = FollowedPolicy(path, ROLES)
    assert policy.roles(WHO, "acme") == {"viewer"}
    write(path, "operator")
    policy.look()
    assert policy.roles(WHO, "acme") == {"operator"}
    write(path, "no-such-role")
    policy.look()
    assert policy.roles(WHO, "acme") == {"operator"}
    path.unlink()
    policy.look()
    assert policy.roles(WHO, "acme") == {"operator"}
    path.write_text("")
    policy.look()
    assert not policy.knows(WHO)


async def test_following_ends_when_it_is_cancelled(tmp_path: Path) -> None:
    path = tmp_path / "policy.toml"
    write(path, "viewer")
    policy = FollowedPolicy(path, ROLES)
    following = asyncio.create_task(policy.follow(0.01))
    write(path, "operator")
    os.utime(path, ns=(1, 1))
    async with asyncio.timeout(5):
        while policy.roles(WHO, "acme") != {"operator"}:  # noqa: ASYNC110  # nothing tells
            await asyncio.sleep(0.01)
    following.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await following
    assert following.cancelled()
