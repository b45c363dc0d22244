# ruff: noqa: N802 - the method names are the contract's
"""CatalogService: each method maps in, calls one use case and maps out."""

from dataclasses import dataclass
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.empty_pb2 import Empty
from sealmount.catalog.v1 import resources_pb2, service_pb2, service_pb2_grpc

from catalog.app.buckets import Buckets
from catalog.app.desk import Desk
from catalog.app.images import Images
from catalog.app.imports import Imports
from catalog.app.operations import Operations
from catalog.app.urls import Urls
from catalog.domain.names import ImageRef
from catalog.transport import reading as read
from catalog.transport import writing as write
from catalog.transport.cursors import failure_number
from serving.calls import caller

Pb = service_pb2


@dataclass(frozen=True, slots=True)
class UseCases:
    """What both servicers stand on."""

    buckets: Buckets
    images: Images
    urls: Urls
    imports: Imports
    operations: Operations

    @classmethod
    def of(cls, desk: Desk) -> "UseCases":
        return cls(Buckets(desk), Images(desk), Urls(desk), Imports(desk), Operations(desk))


class CatalogServicer(service_pb2_grpc.CatalogServiceServicer):
    """The gate has authorized the caller already."""

    def __init__(self, use_cases: UseCases) -> None:
        self._use = use_cases

    async def CreateBucket(
        self, request: Pb.CreateBucketRequest, context: Any
    ) -> resources_pb2.Bucket:
        return write.bucket(await self._use.buckets.create(read.new_bucket(request)))

    async def GetBucket(self, request: Pb.GetBucketRequest, context: Any) -> resources_pb2.Bucket:
        return write.bucket(await self._use.buckets.get(read.bucket_ref(request.name, "name")))

    async def ListBuckets(
        self, request: Pb.ListBucketsRequest, context: Any
    ) -> Pb.ListBucketsResponse:
        project = read.project(request.parent)
        page = read.page(["buckets", project], request.page_size, request.page_token)
        found = await self._use.buckets.list(project, page.cursor(), page.limit + 1)
        items, token = page.cut(found, lambda bucket: bucket.bucket_id)
        return Pb.ListBucketsResponse(buckets=map(write.bucket, items), next_page_token=token)

    async def UpdateBucket(
        self, request: Pb.UpdateBucketRequest, context: Any
    ) -> resources_pb2.Bucket:
        return write.bucket(await self._use.buckets.update(read.bucket_change(request)))

    async def DeleteBucket(self, request: Pb.DeleteBucketRequest, context: Any) -> Empty:
        ref = read.bucket_ref(request.name, "name")
        await self._use.buckets.delete(ref, request.etag, request.force)
        return Empty()

    async def ImportImages(
        self, request: Pb.ImportImagesRequest, context: Any
    ) -> operations_pb2.Operation:
        asked = read.import_request(request)
        return write.operation(await self._use.imports.start(caller().identity, asked))

    async def ListOperationFailures(
        self, request: Pb.ListOperationFailuresRequest, context: Any
    ) -> Pb.ListOperationFailuresResponse:
        ref = read.operation_ref(request.operation, "operation")
        page = read.page(["failures", ref.name], request.page_size, request.page_token)
        after = failure_number(page.cursor())
        operation, found = await self._use.operations.failures(ref, after, page.limit + 1)
        items, token = page.cut(found, lambda numbered: str(numbered[0]))
        return Pb.ListOperationFailuresResponse(
            failures=[write.failure(operation.bucket_name, one) for _, one in items],
            next_page_token=token,
        )

    async def GetImage(self, request: Pb.GetImageRequest, context: Any) -> resources_pb2.Image:
        ref = read.image_ref(request.name)
        return write.image(ref.bucket, await self._use.images.get(ref))

    async def BatchGetImages(
        self, request: Pb.BatchGetImagesRequest, context: Any
    ) -> Pb.BatchGetImagesResponse:
        bucket = read.bucket_ref(request.parent, "parent")
        ids = read.image_ids(bucket, request.names)
        found = await self._use.images.batch_get(bucket, ids)
        return Pb.BatchGetImagesResponse(images=[write.image(bucket, one) for one in found])

    async def ListImages(
        self, request: Pb.ListImagesRequest, context: Any
    ) -> Pb.ListImagesResponse:
        bucket = read.bucket_ref(request.parent, "parent")
        prefix = read.key_prefix(request.key_prefix)
        listed = ["images", bucket.name, prefix, str(request.show_excluded)]
        page = read.page(listed, request.page_size, request.page_token)
        found = await self._use.images.list(
            bucket, prefix, request.show_excluded, page.cursor(), page.limit + 1
        )
        items, token = page.cut(found, lambda image: image.key)
        images = [write.image(bucket, one) for one in items]
        return Pb.ListImagesResponse(images=images, next_page_token=token)

    async def DeleteImage(self, request: Pb.DeleteImageRequest, context: Any) -> Empty:
        await self._use.images.delete(read.image_ref(request.name))
        return Empty()

    async def GetImageUrl(
        self, request: Pb.GetImageUrlRequest, context: Any
    ) -> Pb.GetImageUrlResponse:
        terms, url = await self._use.urls.get(
            read.image_ref(request.name),
            read.view_options(request.options),
            read.on_behalf_of(request.on_behalf_of),
            request.check_object,
        )
        return Pb.GetImageUrlResponse(url=url, terms=write.terms(terms))

    async def BatchGetImageUrls(
        self, request: Pb.BatchGetImageUrlsRequest, context: Any
    ) -> Pb.BatchGetImageUrlsResponse:
        bucket = read.bucket_ref(request.parent, "parent")
        ids = read.image_ids(bucket, request.names)
        terms, urls = await self._use.urls.batch(
            bucket,
            ids,
            read.view_options(request.options),
            read.on_behalf_of(request.on_behalf_of),
        )
        return Pb.BatchGetImageUrlsResponse(
            terms=None if terms is None else write.terms(terms),
            outcomes=[
                write.url_outcome(ImageRef(bucket, one).name, url)
                for one, url in zip(ids, urls, strict=True)
            ],
        )
