"""A running Signer of which every answer, log line and file is searched."""

import io
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest

from tests.fakes.canary import Canary, bearers, files_below, findings
from tests.fakes.signer_requests import (
    at,
    binding,
    managed,
    material,
    named,
    place,
    rule,
    sign,
    store,
)
from tests.fakes.signer_rig import METHODS, Answer, Client, Rig, Running

SIGNING = frozenset({"SignObjectUrl", "BatchSignObjectUrls", "SignListUrl"})
PHOTOS = "projects/acme/bindings/photos"


@dataclass
class Watched:
    """``answers`` are all that any caller got to see, by RPC."""

    rig: Rig
    running: Running
    log: io.StringIO
    capfd: pytest.CaptureFixture[str]
    answers: list[tuple[str, Answer]] = field(default_factory=list)
    canaries: list[Canary] = field(default_factory=list)
    output: str = ""

    @property
    def acme(self) -> Client:
        return self.running.acme

    async def send(self, method: str, raw: bytes, client: Client | None = None) -> Answer:
        answer = await (client or self.acme).send(method, raw)
        self.answers.append((method, answer))
        return answer

    async def call(self, method: str, request: Any, client: Client | None = None) -> Answer:
        return await self.send(method, request.SerializeToString(), client)

    def canary(self) -> Canary:
        made = Canary.new(len(self.canaries) + 1)
        self.canaries.append(made)
        return made

    async def settle(self) -> None:
        """A permanent key under "main" and "photos", a temporary one, and managed storage."""
        one, session = self.canary(), self.canary()
        plain = material(one.access_key_id, one.secret_access_key)
        await self.call("StoreCredential", store(plain=plain))
        await self.call("CreateBinding", binding())
        plain = material(session.access_key_id, session.secret_access_key, session.session_token)
        end = at(self.rig.clock.now() + timedelta(hours=5))
        wanted = store(
            credential_id="session", plain=plain, expire_time=end, rules=[rule(prefix="s/")]
        )
        await self.call("StoreCredential", wanted)
        name = "projects/acme/credentials/session"
        await self.call(
            "CreateBinding",
            binding(binding_id="session", credential=name, location=place(prefix="s/")),
        )
        await managed(self.acme)
        assert {answer.reason for _, answer in self.answers} == {"OK"}

    async def every_rpc(self, client: Client | None = None) -> set[str]:
        """Each once, as good as it can be; what it changes is made good again."""
        reasons = set()
        for method in METHODS:
            reasons.add((await self.call(method, named(method, "acme"), client)).reason)
        await self.call("EnableCredential", named("EnableCredential", "acme"))
        await self.call("CreateBinding", binding())
        reasons.add(
            (await self.call("SignObjectUrl", sign("k", "projects/acme/bindings/session"))).reason
        )
        return reasons

    def found(self) -> list[str]:
        """Every canary and every bearer value that is where it shouldn't be."""
        captured = self.capfd.readouterr()
        self.output += captured.out + captured.err
        places = {
            "log": self.log.getvalue().encode(),
            "output": self.output.encode(),
            **files_below(self.rig.folder),
        }
        for number, (method, answer) in enumerate(self.answers):
            if answer.reason != "OK" or method not in SIGNING:
                places[f"{method} #{number} ({answer.reason})"] = answer.everything()
        signed = b"".join(
            a.everything() for m, a in self.answers if a.reason == "OK" and m in SIGNING
        )
        hits = []
        for canary in self.canaries:
            hits += findings("a signed URL", signed, canary.secrets())
            # One search over everything, and place by place only when it found something.
            if findings("everything", b"\0".join(places.values()), canary.everything()):
                for where, content in places.items():
                    hits += findings(where, content, canary.everything())
        for where, content in places.items():
            hits += bearers(where, content)
        return hits
