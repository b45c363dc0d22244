"""Resource names of the Signer (AIP-122), parsed strictly."""

import re
from dataclasses import dataclass

from serving.names import PROJECT_ID

_ID = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_PARENT = re.compile(rf"projects/({PROJECT_ID})")
_CREDENTIAL = re.compile(rf"projects/({PROJECT_ID})/credentials/({_ID})")
_BINDING = re.compile(rf"projects/({PROJECT_ID})/bindings/({_ID})")
_REVISION = re.compile(rf"projects/({PROJECT_ID})/bindings/({_ID})/revisions/([1-9][0-9]{{0,8}})")
_HOLDER = re.compile(rf"projects/({PROJECT_ID})/([a-z]{{1,32}})/({_ID})")
_RESOURCE_ID = re.compile(_ID)


@dataclass(frozen=True, slots=True)
class Ref:
    """A resource by project and id."""

    project: str
    id: str


def is_resource_id(text: str) -> bool:
    return _RESOURCE_ID.fullmatch(text) is not None


def is_project_id(text: str) -> bool:
    return re.fullmatch(PROJECT_ID, text) is not None


def parse_parent(name: str) -> str | None:
    found = _PARENT.fullmatch(name)
    return found.group(1) if found else None


def parse_credential(name: str) -> Ref | None:
    found = _CREDENTIAL.fullmatch(name)
    return Ref(*found.groups()) if found else None


def parse_binding(name: str) -> Ref | None:
    found = _BINDING.fullmatch(name)
    return Ref(*found.groups()) if found else None


def parse_revision(name: str) -> tuple[Ref, int] | None:
    found = _REVISION.fullmatch(name)
    return (Ref(found.group(1), found.group(2)), int(found.group(3))) if found else None


def holder_project(name: str) -> str | None:
    """The project of a holder's name, or None when it isn't a resource name."""
    found = _HOLDER.fullmatch(name)
    return found.group(1) if found else None
