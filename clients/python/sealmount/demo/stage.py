"""What the scenes of the demo share: the servers, the stores, the keys and what was seen so far."""

import shutil
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path

import grpc
from rich.console import Console

from sealmount.catalog.v1 import resources_pb2 as catalog
from sealmount.channels import Refusal, refusal_of
from sealmount.commands.deployment import Deployment
from sealmount.commands.pair import Pair, free_port
from sealmount.demo import pictures
from sealmount.demo.desk import BATCH, Desk
from sealmount.demo.evidence import Evidence
from sealmount.demo.fetching import Answer, fetch
from sealmount.demo.stores import Key, Store

MOUNT = "photos"
PROJECT = "acme"
_PARALLEL = 8


@dataclass(slots=True)
class Stage:
    """``keys`` are the files' keys in the stores; ``digests`` maps image names to the SHA-256 of
    the files themselves, so that what URLs give is held against what was put there."""

    evidence: Evidence
    pair: Pair
    desk: Desk
    first: Store
    second: Store
    old: Key
    new: Key
    other: Key
    keys: list[str]
    digests: dict[str, str] = field(default_factory=dict)
    pictures: dict[str, bytes] = field(default_factory=dict)

    @property
    def console(self) -> Console:
        return self.evidence.console

    def say(self, text: str) -> None:
        """What comes next, for the one who watches."""
        self.pair.check()
        self.console.print(f"\n[bold]{text}[/]", soft_wrap=True)

    def expect(self, images: list[catalog.Image]) -> None:
        """Notes for each image what its bytes are, as the first store's folder has them."""
        for image in images:
            content = (self.first.objects / image.key).read_bytes()
            self.digests[image.name] = sha256(content).hexdigest()

    def fetch_all(self) -> dict[str, Answer]:
        """Each image's answer, by name, through URLs asked for now. An image without one has
        status 0."""
        names = list(self.digests)
        answers: dict[str, Answer] = {}
        with ThreadPoolExecutor(_PARALLEL) as pool:
            for start in range(0, len(names), BATCH):
                outcomes = self.desk.urls(MOUNT, names[start : start + BATCH])
                fetched = pool.map(fetch, [outcome.url for outcome in outcomes])
                answers.update(zip((o.image for o in outcomes), fetched, strict=True))
        return answers

    def intact(self, answers: dict[str, Answer]) -> int:
        """How many answers are the very bytes that were put there."""
        return sum(
            answer.status == 200 and answer.digest == self.digests.get(name)
            for name, answer in answers.items()
        )


def set_up(evidence: Evidence, folder: Path, images: Path | None, stack: ExitStack) -> Stage:
    """Starts two stores, a Signer, a Catalog and its worker; ``stack`` ends them all.

    ``images`` is a folder of images, or None for drawn ones. Nothing is mounted yet.
    """
    console = evidence.console
    console.print("[bold]Two stores that verify signatures, a Signer, a Catalog and its worker[/]")
    old, new, other = Key.random(), Key.random(), Key.random()
    first = Store("first store", folder / "first", [old, new])
    second = Store("second store", folder / "second", [other])
    first.objects.mkdir(parents=True)
    keys = pictures.copy(images, first.objects) if images else pictures.draw(first.objects)
    shutil.copytree(first.objects, second.objects)
    stack.enter_context(first)
    stack.enter_context(second)
    said = f"  {first.origin} has {len(keys)} images and two keys, {second.origin} a copy"
    console.print(said, soft_wrap=True)
    deployment = Deployment(
        folder / "sealmount", free_port(), free_port(), (first.origin, second.origin)
    )
    deployment.prepare()
    pair = stack.enter_context(Pair(deployment))
    console.print(f"  Signer {deployment.signer} and Catalog {deployment.catalog}, mutual TLS")
    desk = stack.enter_context(Desk(deployment, PROJECT))
    return Stage(evidence, pair, desk, first, second, old, new, other, keys)


def refusal(call: Callable[[], object]) -> Refusal | None:
    """Why the call was refused; None when it wasn't."""
    try:
        call()
    except grpc.RpcError as error:
        return refusal_of(error)
    return None


def reason(found: Refusal | None) -> str:
    """For a line of text."""
    return "nothing" if found is None else found.reason or found.code.name
