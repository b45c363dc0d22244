"""Compiled signers: one per revision, made when first needed and anew each day."""

import asyncio
from collections import OrderedDict
from collections.abc import Mapping
from datetime import date, timedelta

from serving.faults import Fault
from signer.app.state import BindingView
from signer.domain.bindings import MANAGED_ID, BindingClass
from signer.domain.ports import Kind, Vault
from signer.domain.reasons import Reason
from signer.domain.signing import UrlSigner

MAX_SIGNERS = 20_000
Key = tuple[str, int, str]


class Compiler:
    """Gives the signer of a view. Holds derived keys of at most ``MAX_SIGNERS`` revisions."""

    def __init__(self, vault: Vault, kinds: Mapping[str, Kind], capacity: int = MAX_SIGNERS):
        self._vault = vault
        self._kinds = kinds
        self._capacity = capacity
        self._signers: OrderedDict[Key, UrlSigner] = OrderedDict()
        self._making: dict[Key, asyncio.Future[UrlSigner]] = {}

    async def signer(self, view: BindingView, day: date) -> UrlSigner:
        """A signer that has a key for ``day`` (UTC). SCOPE_EXCEEDED, CREDENTIAL_UNREADABLE."""
        key = (view.binding.uid, view.revision.number, view.credential.uid)
        found = self._signers.get(key)
        if found is not None and day in found.days:
            self._signers.move_to_end(key)
            return found
        making = self._making.get(key)
        if making is None:
            making = asyncio.ensure_future(self._make(view, day))
            self._making[key] = making
            making.add_done_callback(lambda _: self._making.pop(key, None))
        signer = await asyncio.shield(making)
        self._signers[key] = signer
        while len(self._signers) > self._capacity:
            self._signers.popitem(last=False)
        return signer

    async def _make(self, view: BindingView, day: date) -> UrlSigner:
        check_scope(view)
        kind = self._kinds.get(view.credential.kind)
        if kind is None:
            raise Fault(Reason.CREDENTIAL_UNREADABLE, "The credential's kind isn't known here.")
        days = [day - timedelta(days=1), day, day + timedelta(days=1)]
        with await self._vault.open(view.credential) as material:
            return kind.factory(view.revision.location, material, days)


def check_scope(view: BindingView) -> None:
    """The scope once more, when a signer is made: SCOPE_EXCEEDED if it doesn't cover the binding.

    CreateBinding and RotateBinding checked it before. What is checked here was authenticated by
    the row's MAC and by the ciphertext's associated data, so no edit of the database gets by.
    """
    binding, credential = view.binding, view.credential
    missing = credential.scope.missing(view.revision.location, binding.permissions)
    if missing is not None or not may_use(
        credential.project,
        credential.scope.consumer_projects,
        binding.project,
        binding.binding_class,
        binding.binding_id,
        view.revision.location.prefix,
    ):
        raise Fault(
            Reason.SCOPE_EXCEEDED,
            "The binding lies outside what its credential was stored for.",
            {"credential": credential.name, "permission": str(missing or "")},
        )


def may_use(
    owner: str,
    consumers: frozenset[str],
    project: str,
    binding_class: BindingClass,
    binding_id: str,
    prefix: str,
) -> bool:
    """Whether a binding of ``project`` may use a credential that ``owner`` stored.

    Its own project's, always; another's for managed storage alone, below the project's own
    prefix, and only if the scope names the project as a consumer.
    """
    if binding_class is BindingClass.MANAGED and not (
        binding_id == MANAGED_ID and prefix == f"{project}/"
    ):
        return False
    if owner == project:
        return True
    return binding_class is BindingClass.MANAGED and project in consumers
