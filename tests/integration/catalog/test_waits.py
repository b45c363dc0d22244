"""Waiting for operations costs the database something, so nobody waits in any number of calls."""

import asyncio
from typing import Any

from google.longrunning import operations_pb2
from sealmount.catalog.v1 import resources_pb2, service_pb2

from catalog.app.operations import MAX_WAITS
from tests.fakes.catalog_fakes import BINDING
from tests.fakes.catalog_service import EDITOR, VIEWER, Service, refusal

Pb = service_pb2
_PARENT = "projects/acme"


async def _begun(service: Service) -> str:
    bucket = await service.catalog.CreateBucket(
        Pb.CreateBucketRequest(
            parent=_PARENT,
            bucket_id="photos",
            bucket=resources_pb2.Bucket(binding=BINDING, mode=resources_pb2.MODE_LINK),
        )
    )
    request = Pb.ImportImagesRequest(bucket=bucket.name, listing=Pb.ListingSource())
    return str((await service.catalog.ImportImages(request)).name)


async def test_each_caller_waits_in_so_many_calls_at_a_time(service: Service) -> None:
    name = await _begun(service)
    request = operations_pb2.WaitOperationRequest(name=name)
    wait: Any = service.operations.WaitOperation
    waiting = [asyncio.ensure_future(wait(request)) for _ in range(MAX_WAITS)]
    # Later ones are refused once all of these are in.
    refused = await _soon_refused(wait, request)
    assert (refused.code, refused.reason, refused.metadata) == (
        "RESOURCE_EXHAUSTED",
        "WAITS_LIMIT_REACHED",
        {"limit": str(MAX_WAITS)},
    )
    service.identity = VIEWER
    assert not (await wait(request, timeout=1.0)).done  # somebody else's business
    service.identity = EDITOR
    waiting[0].cancel()  # who goes away makes room
    await asyncio.sleep(0.3)
    assert not (await wait(request, timeout=1.0)).done
    await service.operations.CancelOperation(operations_pb2.CancelOperationRequest(name=name))
    ended = await asyncio.wait_for(asyncio.gather(*waiting[1:]), 10.0)
    assert all(one.done for one in ended)
    assert (await wait(request)).done


async def _soon_refused(wait: Any, request: Any) -> Any:
    for _ in range(50):
        try:
            return await refusal(wait(request, timeout=0.6))
        except AssertionError:
            continue
    raise AssertionError("nobody is refused")
