"""A Signer whose whole state is a small file, so that a test can change it under a worker."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from catalog.app.keys import is_signable
from catalog.domain.ports import BindingInfo, ObjectToSign, Terms, Url, ViewOptions
from catalog.domain.reasons import Reason
from serving.faults import Fault, ForeignFault

SIGNATURE = "5e1e57ca9a4c0ffee5e1e57ca9a4c0ffee"
"""Stands in every URL, and may stand nowhere else."""


class FileSigner:
    """Implements the port Signer. ``set_state`` takes ``origin``, ``epoch``, ``prefix``,
    ``away`` (can't be reached), ``refuses`` (a reason of the Signer's), ``lifetime`` (of a URL, in
    seconds) and ``origins`` (by project, where it isn't ``origin``)."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def set_state(self, **values: Any) -> None:
        state = json.loads(self._path.read_text()) if self._path.exists() else {}
        temporary = self._path.with_suffix(".new")
        temporary.write_text(json.dumps({**state, **values}))
        temporary.replace(self._path)

    def state(self) -> dict[str, Any]:
        """What was set."""
        return {"epoch": 1, "prefix": "", **json.loads(self._path.read_text())}

    def _state(self, binding: str = "") -> dict[str, Any]:
        state = self.state()
        project = binding.partition("/bindings/")[0].removeprefix("projects/")
        state["origin"] = state.get("origins", {}).get(project) or state.get("origin")
        if state.get("away"):
            raise Fault(Reason.SIGNER_UNAVAILABLE, "The Signer can't be reached.")
        if state.get("refuses"):
            raise ForeignFault("signer.sealmount.dev", 9, state["refuses"], "The Signer refuses.")
        return state

    async def binding(self, name: str) -> BindingInfo:
        return BindingInfo(name, "CUSTOMER", frozenset({"READ", "LIST"}), self._state()["epoch"])

    async def hold(self, binding: str, holder: str) -> BindingInfo:
        return await self.binding(binding)

    async def release(self, binding: str, holder: str) -> None:
        state = self._state()
        self.set_state(released=[*state.get("released", []), [binding, holder]])

    async def object_urls(
        self,
        binding: str,
        objects: Sequence[ObjectToSign],
        options: ViewOptions,
        on_behalf_of: str,
    ) -> tuple[Terms, list[Url]]:
        state = self._state(binding)
        assert options.audience == "INTERNAL"
        return _terms(state), [self._url(state, one.key) for one in objects]

    def _url(self, state: dict[str, Any], key: str) -> Url:
        if not is_signable(key, state["prefix"]):
            return Url(code=3, reason="KEY_UNSIGNABLE", message="The key can't be signed.")
        path = quote(state["prefix"] + key, safe="/-_.~")
        expires = _terms(state).not_after.timestamp()
        return Url(f"{state['origin']}/bkt/{path}?X-Amz-Signature={SIGNATURE}&not-after={expires}")

    async def listing_url(
        self,
        binding: str,
        prefix: str,
        start_after: str,
        continuation_token: str,
        on_behalf_of: str,
    ) -> tuple[Terms, str, str]:
        state = self._state(binding)
        query = {
            "list-type": "2",
            "encoding-type": "url",
            "max-keys": "1000",
            "prefix": state["prefix"] + prefix,
            "X-Amz-Signature": SIGNATURE,
        }
        if continuation_token:
            query["continuation-token"] = continuation_token
        elif start_after:
            query["start-after"] = state["prefix"] + start_after
        url = f"{state['origin']}/bkt/?{urlencode(query, quote_via=quote)}"
        return _terms(state), url, state["prefix"]


def _terms(state: dict[str, Any]) -> Terms:
    later = datetime.now(UTC) + timedelta(seconds=state.get("lifetime", 900))
    return Terms("GET", {}, later, later, "revisions/1", state["epoch"])
