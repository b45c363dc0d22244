"""Resource names: whose project a name speaks of, and the one answer for "there is no such thing".

    project_of("projects/acme/bindings/b")  # "acme"
    raise not_found(Reason.RESOURCE_NOT_FOUND, name)

The gate and every service raise the same :func:`not_found`, so that another tenant's resource and
a missing one can't be told apart. Imports no gRPC: ``domain`` and ``app`` may use it.
"""

import re

from serving.faults import Fault

# AIP-122: what may stand in one segment of a name.
PROJECT_ID = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
_OF_PROJECT = re.compile(rf"projects/({PROJECT_ID})(?:/|\Z)")
# What may be echoed. Lower-case ids only: a secret that strayed into a name field rarely is.
_ECHOABLE = re.compile(
    rf"projects/{PROJECT_ID}(?:/[a-zA-Z]{{1,32}}/[a-z0-9][a-z0-9._-]{{0,62}}){{0,3}}"
)


def project_of(name: str) -> str | None:
    """The project id in ``projects/{project}`` or ``projects/{project}/…``, else None."""
    found = _OF_PROJECT.match(name)
    return found.group(1) if found else None


def not_found(reason: str, resource: str) -> Fault:
    """The one refusal for what isn't there and for what isn't the caller's.

    ``resource`` is the name that the request carried, never one that the caller didn't write. It is
    given back as ``metadata["resource"]`` when it is a well-formed name, and left out otherwise.
    """
    metadata = {"resource": resource} if _ECHOABLE.fullmatch(resource) else {}
    return Fault(reason, "The resource doesn't exist, or the caller has no access to it.", metadata)
