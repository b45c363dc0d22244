# ruff: noqa: N802 - the method names are the contract's
"""google.longrunning.Operations over the Catalog's own operations."""

import time
from typing import Any

from google.longrunning import operations_pb2, operations_pb2_grpc
from google.protobuf.empty_pb2 import Empty

from catalog.app.operations import Operations
from catalog.transport import reading as read
from catalog.transport import writing as write
from catalog.transport.access import LONGEST_WAIT
from serving.calls import caller, deadline

# What is left of the call's deadline when WaitOperation answers with an unfinished operation.
_MARGIN = 0.5


class OperationsServicer(operations_pb2_grpc.OperationsServicer):  # type: ignore[misc]
    """Names are "projects/{project}/operations/{operation}"; lists are of "projects/{project}"."""

    def __init__(self, operations: Operations) -> None:
        self._operations = operations

    async def GetOperation(
        self, request: operations_pb2.GetOperationRequest, context: Any
    ) -> operations_pb2.Operation:
        return write.operation(await self._operations.get(read.operation_ref(request.name)))

    async def ListOperations(
        self, request: operations_pb2.ListOperationsRequest, context: Any
    ) -> operations_pb2.ListOperationsResponse:
        project = read.project(request.name, "name")
        done = read.operation_filter(request.filter)
        listed = ["operations", project, str(done)]
        page = read.page(listed, request.page_size, request.page_token)
        found = await self._operations.list(project, done, page.cursor(), page.limit + 1)
        items, token = page.cut(found, lambda operation: operation.operation_id)
        return operations_pb2.ListOperationsResponse(
            operations=[write.operation(one) for one in items], next_page_token=token
        )

    async def WaitOperation(
        self, request: operations_pb2.WaitOperationRequest, context: Any
    ) -> operations_pb2.Operation:
        ref = read.operation_ref(request.name)
        due = deadline()
        longest = LONGEST_WAIT if due is None else due - time.monotonic() - _MARGIN
        asked = read.wait_seconds(request.timeout, request.HasField("timeout"), max(longest, 0.0))
        return write.operation(await self._operations.wait(caller().identity, ref, asked))

    async def CancelOperation(
        self, request: operations_pb2.CancelOperationRequest, context: Any
    ) -> Empty:
        await self._operations.cancel(read.operation_ref(request.name))
        return Empty()

    async def DeleteOperation(
        self, request: operations_pb2.DeleteOperationRequest, context: Any
    ) -> Empty:
        await self._operations.delete(read.operation_ref(request.name))
        return Empty()
