"""Threats 1 to 4 and 32: marked secrets go in, and come out nowhere but in what URLs must show."""

import random
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

from tests.fakes.canary import Canary, shapes
from tests.fakes.signer_requests import material, named, store
from tests.fakes.signer_rig import METHODS, request_class
from tests.integration.canary.watched import Watched

# Fields whose value is the request's subject: it stands in the URL, the audit log or both.
SUBJECTS = frozenset(
    {"key", "version", "prefix", "start_after", "continuation_token", "on_behalf_of"}
)
# Refused for one object of a batch, so that the call itself is answered and logged at DEBUG.
OF_ONE_OBJECT = "BatchSignObjectUrls.objects.response_content_type"


async def test_good_requests_give_nothing_away(watched: Watched) -> None:
    await watched.settle()
    assert "OK" in await watched.every_rpc()
    for client in watched.running.clients.values():
        await watched.every_rpc(client)
    last = watched.canary()
    plain = material(last.access_key_id, last.secret_access_key)
    await watched.call("StoreCredential", store(credential_id="last", plain=plain))
    assert watched.found() == []
    assert len(watched.answers) > 150


async def test_what_is_stored_is_ciphertext_even_after_a_restart(watched: Watched) -> None:
    await watched.settle()
    await watched.running.signer.close()
    assert watched.found() == []
    watched.rig.clock.advance(hours=1)
    async with watched.rig.running() as again:
        watched.running = again
        await watched.every_rpc()
        assert watched.found() == []


def mutants(raw: bytes, source: random.Random, count: int) -> list[bytes]:
    """Bytes flipped, taken out, put in, cut off, doubled: mostly no message any more."""
    made = []
    for _ in range(count):
        at = source.randrange(len(raw) + 1)
        size = source.choice((1, 1, 2, 8))
        noise = source.randbytes(size)
        made.append(
            source.choice(
                (
                    raw[:at] + noise + raw[at + size :],
                    raw[:at] + noise + raw[at:],
                    raw[:at] + raw[at + size :],
                    raw[:at],
                    raw + raw[at:],
                )
            )
        )
    return made


async def test_malformed_requests_are_not_echoed(watched: Watched) -> None:
    await watched.settle()
    source = random.Random(20260203)
    canary = watched.canary()
    plain = material(canary.access_key_id, canary.secret_access_key, canary.session_token)
    good = store(credential_id="mutant", plain=plain).SerializeToString()
    for number, raw in enumerate(mutants(good, source, 250)):
        # The bytes of a secret at the wrong end of every other RPC, too.
        other = list(METHODS)[number % len(METHODS)]
        await watched.send("StoreCredential", raw)
        await watched.send(other, raw)
    reasons = {answer.reason for _, answer in watched.answers}
    assert {"MALFORMED_REQUEST", "INVALID_FIELD"} <= reasons
    assert "INTERNAL" not in reasons
    assert watched.found() == []


def misplaced(message: Message, secret: str) -> list[Message]:
    """Copies of the request, each with the secret in one more of its text fields."""
    made: list[Message] = []

    def walk(path: list[Any], kind: Any) -> None:
        for found in kind.fields:
            if found.name in SUBJECTS or (found.message_type is not None and len(path) > 3):
                continue
            if found.message_type is not None:
                if found.message_type.full_name.startswith("sealmount."):
                    walk([*path, found], found.message_type)
            elif found.type == FieldDescriptor.TYPE_STRING and not _of_one_object(path, found):
                made.append(_with(message, [*path, found], secret))

    walk([], message.DESCRIPTOR)
    return made


def _of_one_object(path: list[Any], found: Any) -> bool:
    where = [step.name for step in (*path, found)]
    return where == OF_ONE_OBJECT.split(".")[1:]


def _with(message: Message, path: list[Any], secret: str) -> Message:
    copy = type(message)()
    copy.CopyFrom(message)
    inner: Any = copy
    for step in path[:-1]:
        inner = getattr(inner, step.name)
        if step.is_repeated:
            inner = inner[0] if len(inner) else inner.add()
    last = path[-1]
    if last.is_repeated:
        getattr(inner, last.name).append(secret)
    else:
        setattr(inner, last.name, secret)
    return copy


async def test_secrets_in_the_wrong_field_are_not_echoed(watched: Watched) -> None:
    """An operator's slip: the key pasted where a name belongs."""
    await watched.settle()
    canary = watched.canary()
    tried = 0
    for method in METHODS:
        for secret in (canary.secret_access_key, f"projects/acme/{canary.session_token}"):
            for request in misplaced(named(method, "acme"), secret):
                if method == "StoreCredential":
                    request.ClearField("plain")
                answer = await watched.call(method, request)
                tried += 1
                assert answer.reason != "INTERNAL"
    assert tried > 60
    assert watched.found() == []


class TestControl:
    """The search finds what is planted: in each place, in each shape."""

    @pytest.mark.parametrize("place", ["answer", "log", "file", "output"])
    async def test_a_planted_secret_is_found(self, watched: Watched, place: str) -> None:
        canary = watched.canary()
        secret = canary.secret_access_key
        match place:
            case "answer":
                wanted = request_class("DescribeCredential")(name=f"projects/{secret}")
                answer = await watched.call("DescribeCredential", wanted)
                assert watched.found() == []
                changed = answer.__class__(None, answer.code, secret, answer.trailers)
                watched.answers.append(("DescribeCredential", changed))
            case "log":
                watched.log.write(secret[4:20])
            case "file":
                (watched.rig.folder / "note.txt").write_text(f"x {secret} x")
            case _:
                print(secret)
        assert watched.found() != []

    def test_every_shape_is_looked_for(self) -> None:
        canary = Canary.new(1)
        names = {name for name, _ in shapes(canary.secret_access_key)}
        assert {"itself", "a part of it", "hex", "base64 at 2", "plain sha256"} <= names

    async def test_a_planted_url_is_found(self, watched: Watched) -> None:
        watched.log.write("https://x.example.com/?X-Amz-Signature=00")
        assert watched.found() == ["log: X-Amz-Signature"]
