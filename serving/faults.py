"""What goes wrong, said without gRPC: the one exception type that callers may see.

    raise Fault(Reason.BINDING_HELD, "Resources live on the binding.", {"holders": names})

Each service keeps an enum of its own reasons and one total table from reason to gRPC status
code (AIP-193). The message is static text written in this repository: never an exception's text,
a provider's words or a value that a caller sent. Values go into ``metadata``, and only names of
resources, limits and field paths belong there.

This module imports the standard library alone, so that ``domain`` and ``app`` can raise faults
without knowing what carries them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum


class Reasons(StrEnum):
    """What a service's own reasons derive from: the value of each is its name, UPPER_SNAKE_CASE as
    AIP-193 wants it."""

    @staticmethod
    def _generate_next_value_(name: str, _start: int, _count: int, _last: list[str]) -> str:
        return name


@dataclass(frozen=True, slots=True)
class FieldViolation:
    """One wrong field: ``field`` is its path in the request, ``description`` says what to do."""

    field: str
    description: str


class Fault(Exception):
    """A refusal with a reason that a program can branch on and a sentence for a person.

    ``reason`` is a member of the service's own ``StrEnum`` of reasons.
    """

    def __init__(
        self,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
        violations: Sequence[FieldViolation] = (),
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.message = message
        self.metadata = dict(metadata or {})
        self.violations = tuple(violations)


class ForeignFault(Fault):
    """Another service's refusal, passed on under that service's own domain and status code.

    ``code`` is the number of a gRPC status code. Whoever raises it has checked that ``reason`` is
    one that the other service documents, and ``message`` is static text all the same.
    """

    def __init__(
        self,
        domain: str,
        code: int,
        reason: str,
        message: str,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(reason, message, metadata)
        self.domain = domain
        self.code = code
