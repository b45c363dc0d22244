"""What a servicer may ask about the call that it is answering.

    from serving.calls import caller, deadline
    caller().identity            # "spiffe://example.org/catalog"
    deadline() - time.monotonic()  # seconds left, when there is a deadline

The gate sets it once per call, in the task of that call. Imports no gRPC.
"""

from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks: the SPIFFE ID, the project the request names, and the roles held in that project.

    ``project`` is ``""`` for the RPCs whose rule names no resource.
    """

    identity: str
    project: str
    roles: frozenset[str]


@dataclass(slots=True)
class Call:
    """One RPC in progress; ``deadline`` is on the clock of ``time.monotonic``, in seconds."""

    caller: Caller
    deadline: float | None
    request_id: str


_CURRENT: ContextVar[Call] = ContextVar("serving_call")


def enter(call: Call) -> None:
    """For the gate (and for tests of servicers): makes ``call`` the current one of this task."""
    _CURRENT.set(call)


def caller() -> Caller:
    """The authenticated and authorized caller. LookupError outside of an RPC."""
    return _CURRENT.get().caller


def deadline() -> float | None:
    """When the answer is due (``time.monotonic`` seconds); None if there is no deadline."""
    return _CURRENT.get().deadline


def request_id() -> str:
    """The id that the log line of this call carries."""
    return _CURRENT.get().request_id
