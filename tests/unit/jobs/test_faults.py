"""Every way that a store fails has a meaning, and only reasons of the contract are given."""

import pytest

from catalog.domain.model import HealthState
from catalog.domain.reasons import Reason
from catalog.jobs.faults import MEANINGS, from_signer, from_store
from catalog.remote.errors import StoreError, StoreErrorKind
from serving.faults import Fault, ForeignFault


def test_the_table_is_total() -> None:
    assert set(MEANINGS) == set(StoreErrorKind)


@pytest.mark.parametrize("kind", list(StoreErrorKind))
def test_a_store_that_fails_is_never_called_healthy(kind: StoreErrorKind) -> None:
    stopped = from_store(StoreError(kind, 503, "SlowDown"))
    assert stopped.fault is not None
    assert stopped.fault.reason in set(Reason)
    assert stopped.health not in (None, HealthState.HEALTHY, HealthState.UNSPECIFIED)
    assert stopped.fault.metadata == {"http_status": "503", "provider_code": "SlowDown"}


def test_the_signers_reasons_keep_their_domain() -> None:
    theirs = from_signer(ForeignFault("signer.sealmount.dev", 9, "SEALED", "It is sealed."))
    ours = from_signer(Fault(Reason.SIGNER_UNAVAILABLE, "It is away."))
    assert theirs.fault is not None
    assert (theirs.fault.domain, theirs.fault.reason) == ("signer.sealmount.dev", "SEALED")
    assert ours.fault is not None
    assert (ours.fault.domain, ours.fault.reason) == ("", "SIGNER_UNAVAILABLE")
    assert theirs.health is None
