"""Who may do what, tried on every RPC."""

from typing import Any

import pytest
from google.longrunning import operations_pb2
from sealmount.catalog.v1 import service_pb2

from catalog.transport.access import RULES
from tests.fakes.catalog_service import NOBODY, VIEWER, Service, refusal


@pytest.mark.parametrize("method", sorted(RULES))
async def test_nobody_sees_nothing_and_a_viewer_changes_nothing(
    service: Service, method: str
) -> None:
    stub = service.operations if "Operations" in method else service.catalog
    call = getattr(stub, method.rsplit("/", 1)[1])
    request = _anything(method)
    service.identity = NOBODY
    assert (await refusal(call(request))).reason == "RESOURCE_NOT_FOUND"
    if "catalog.viewer" not in RULES[method].roles:
        service.identity = VIEWER
        refused = await refusal(call(request))
        assert (refused.code, refused.reason) == ("PERMISSION_DENIED", "ROLE_MISSING")


def _anything(method: str) -> Any:
    """A request that names the project in the rule's field, and nothing else that is right."""
    operation = "Operations" in method
    module: Any = operations_pb2 if operation else service_pb2
    request = getattr(module, method.rsplit("/", 1)[1] + "Request")()
    *parents, last = str(RULES[method].resource).split(".")
    target = request
    for part in parents:
        target = getattr(target, part)
    setattr(target, last, "projects/acme" + ("/operations/op-1" if operation else ""))
    return request
