"""The contract over a real channel: every RPC, as editor, as viewer and as nobody."""

import asyncio
import time
from typing import Any

from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from sealmount.catalog.v1 import resources_pb2, service_pb2
from sealmount.type.v1 import signing_pb2

from catalog.domain.model import ImportCounts, ItemFailure, OperationFault, OperationState, image_id
from catalog.domain.ports import Url
from catalog.domain.reasons import Reason
from catalog.storage import jobs
from serving.faults import ForeignFault
from tests.fakes.catalog_fakes import BINDING, NOW, entry
from tests.fakes.catalog_service import Service, refusal, unpacked

Pb = service_pb2
BUCKET = "projects/acme/buckets/photos"


async def mount(service: Service, *keys: str) -> resources_pb2.Bucket:
    bucket: resources_pb2.Bucket = await service.catalog.CreateBucket(
        Pb.CreateBucketRequest(
            parent="projects/acme",
            bucket_id="photos",
            bucket=resources_pb2.Bucket(binding=BINDING, mode=resources_pb2.MODE_LINK),
        )
    )
    async with service.stage.database.write() as tx:
        await jobs.write_listing_page(tx, bucket.uid, [entry(key) for key in keys], 1, NOW)
    return bucket


def name(bucket: resources_pb2.Bucket, key: str) -> str:
    return f"{BUCKET}/images/{image_id(bucket.uid, key)}"


async def begin(service: Service) -> operations_pb2.Operation:
    request = Pb.ImportImagesRequest(bucket=BUCKET, listing=Pb.ListingSource(prefix="p/"))
    return await service.catalog.ImportImages(request)


class TestBuckets:
    async def test_life(self, service: Service) -> None:
        made = await mount(service)
        assert made.name == BUCKET
        assert made.state == resources_pb2.Bucket.STATE_ACTIVE
        assert made.probe_policy == resources_pb2.PROBE_POLICY_HEADERS
        assert not made.health.HasField("check_time")
        call = service.catalog
        changed = await call.UpdateBucket(
            Pb.UpdateBucketRequest(
                bucket=resources_pb2.Bucket(
                    name=BUCKET, etag=made.etag, probe_policy=resources_pb2.PROBE_POLICY_NONE
                ),
                update_mask=FieldMask(paths=["probe_policy"]),
            )
        )
        assert changed.probe_policy == resources_pb2.PROBE_POLICY_NONE
        assert await call.GetBucket(Pb.GetBucketRequest(name=BUCKET)) == changed
        stale = await refusal(call.DeleteBucket(Pb.DeleteBucketRequest(name=BUCKET, etag="x")))
        assert (stale.code, stale.reason) == ("ABORTED", "ETAG_MISMATCH")
        await call.DeleteBucket(Pb.DeleteBucketRequest(name=BUCKET, etag=changed.etag))
        gone = await refusal(call.GetBucket(Pb.GetBucketRequest(name=BUCKET)))
        assert (gone.code, gone.metadata) == ("NOT_FOUND", {"resource": BUCKET})

    async def test_masks(self, service: Service) -> None:
        await mount(service)

        async def update(paths: list[str] | None, **fields: Any) -> resources_pb2.Bucket:
            mask = None if paths is None else FieldMask(paths=paths)
            bucket = resources_pb2.Bucket(name=BUCKET, **fields)
            return await service.catalog.UpdateBucket(  # type: ignore[no-any-return]
                Pb.UpdateBucketRequest(bucket=bucket, update_mask=mask)
            )

        none = resources_pb2.PROBE_POLICY_NONE
        assert (await update(None, display_name="a")).display_name == "a"
        both = await update(["*"], probe_policy=none)
        assert (both.display_name, both.probe_policy) == ("", none)
        one = await update(["display_name"], display_name="b", probe_policy=0)
        assert (one.display_name, one.probe_policy) == ("b", none)
        other = "projects/acme/bindings/other"
        refused = await refusal(update(["*"], binding=other))
        assert refused.fields == ("bucket.binding",)

    async def test_list_pages(self, service: Service) -> None:
        for bucket_id in ("c", "a", "b"):
            await service.catalog.CreateBucket(
                Pb.CreateBucketRequest(
                    parent="projects/acme",
                    bucket_id=bucket_id,
                    bucket=resources_pb2.Bucket(binding=BINDING, mode=resources_pb2.MODE_LINK),
                )
            )
        listed = service.catalog.ListBuckets
        first = await listed(Pb.ListBucketsRequest(parent="projects/acme", page_size=2))
        token = first.next_page_token
        rest = await listed(Pb.ListBucketsRequest(parent="projects/acme", page_token=token))
        assert [b.name[-1] for b in (*first.buckets, *rest.buckets)] == ["a", "b", "c"]
        assert rest.next_page_token == ""
        other = await refusal(
            listed(Pb.ListBucketsRequest(parent="projects/beta", page_token=token))
        )
        assert (other.code, other.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")

    async def test_the_signers_refusal_keeps_its_domain(self, service: Service) -> None:
        service.stage.signer.fault = ForeignFault(
            "signer.sealmount.dev", 9, "SEALED", "The Signer is sealed."
        )
        refused = await refusal(mount(service))
        assert (refused.code, refused.reason, refused.domain) == (
            "FAILED_PRECONDITION",
            "SEALED",
            "signer.sealmount.dev",
        )


class TestImages:
    async def test_look_and_exclude(self, service: Service) -> None:
        bucket = await mount(service, "a", "b", "b/ü")
        call = service.catalog
        page = await call.ListImages(Pb.ListImagesRequest(parent=BUCKET))
        assert [image.key for image in page.images] == ["a", "b", "b/ü"]
        one = await call.GetImage(Pb.GetImageRequest(name=name(bucket, "b")))
        assert one == page.images[1]
        assert one.source.state == resources_pb2.SourceInfo.STATE_AVAILABLE
        await call.DeleteImage(Pb.DeleteImageRequest(name=name(bucket, "b")))
        await call.DeleteImage(Pb.DeleteImageRequest(name=name(bucket, "b")))
        left = await call.ListImages(Pb.ListImagesRequest(parent=BUCKET, key_prefix="b"))
        every = Pb.ListImagesRequest(parent=BUCKET, key_prefix="b", show_excluded=True)
        assert [image.key for image in left.images] == ["b/ü"]
        assert [i.excluded for i in (await call.ListImages(every)).images] == [True, False]
        counts = (await call.GetBucket(Pb.GetBucketRequest(name=BUCKET))).counts
        assert (counts.images, counts.excluded, counts.available) == (2, 1, 2)

    async def test_tokens_belong_to_the_parameters(self, service: Service) -> None:
        await mount(service, "a", "ab", "b")
        listed = service.catalog.ListImages
        token = (await listed(Pb.ListImagesRequest(parent=BUCKET, page_size=1))).next_page_token
        for other in ({"key_prefix": "a"}, {"show_excluded": True}):
            request = Pb.ListImagesRequest(parent=BUCKET, page_token=token, **other)
            assert (await refusal(listed(request))).reason == "PAGE_TOKEN_INVALID"
        rest = await listed(Pb.ListImagesRequest(parent=BUCKET, page_token=token, page_size=9999))
        assert [image.key for image in rest.images] == ["ab", "b"]

    async def test_batch_get_is_all_or_none(self, service: Service) -> None:
        bucket = await mount(service, "a", "b")
        names = [name(bucket, key) for key in ("b", "a", "b")]
        call = service.catalog.BatchGetImages
        found = await call(Pb.BatchGetImagesRequest(parent=BUCKET, names=names))
        assert [image.key for image in found.images] == ["b", "a", "b"]
        missing = name(bucket, "none")
        refused = await refusal(
            call(Pb.BatchGetImagesRequest(parent=BUCKET, names=[*names, missing, names[0]]))
        )
        assert (refused.code, refused.metadata) == ("NOT_FOUND", {"resource": missing})
        many = await refusal(call(Pb.BatchGetImagesRequest(parent=BUCKET, names=names * 400)))
        assert (many.reason, many.metadata) == ("BATCH_TOO_LARGE", {"limit": "1000"})

    async def test_urls(self, service: Service) -> None:
        bucket = await mount(service, "a", "b")
        options = Pb.ViewOptions(
            ttl=Duration(seconds=60),
            audience=signing_pb2.AUDIENCE_INTERNAL,
            disposition=signing_pb2.DISPOSITION_ATTACHMENT,
            response_cache_control="private, max-age=900",
        )
        one = await service.catalog.GetImageUrl(
            Pb.GetImageUrlRequest(name=name(bucket, "a"), options=options, on_behalf_of="user ü")
        )
        assert one.url == "https://store.test/INTERNAL/a"
        assert (one.terms.method, dict(one.terms.headers)) == ("GET", {"x-test": "1"})
        _, _, asked, who = service.stage.signer.asked[0]
        assert asked.ttl is not None
        assert (asked.ttl.total_seconds(), asked.disposition, who) == (60, "ATTACHMENT", "user ü")
        service.stage.signer.refused["b"] = Url(code=3, reason="LIFETIME_EXCEEDED", message="Long.")
        names = [name(bucket, key) for key in ("b", "none", "a")]
        batch = await service.catalog.BatchGetImageUrls(
            Pb.BatchGetImageUrlsRequest(parent=BUCKET, names=names)
        )
        assert [one.image for one in batch.outcomes] == names
        assert [(o.error.code, o.error.reason) for o in batch.outcomes] == [
            (3, "LIFETIME_EXCEEDED"),
            (5, "RESOURCE_NOT_FOUND"),
            (0, ""),
        ]
        assert batch.outcomes[2].url == "https://store.test/PUBLIC/a"


class TestOperations:
    async def test_from_queue_to_end(self, service: Service) -> None:
        await mount(service)
        made = await begin(service)
        assert not made.done
        assert service.stage.queue.imports[0][:2] == ("acme", made.name.rsplit("/", 1)[1])
        metadata = unpacked(made.metadata, Pb.ImportImagesMetadata())
        assert (metadata.bucket, metadata.phase) == (BUCKET, Pb.ImportImagesMetadata.PHASE_QUEUED)
        which = "acme", made.name.rsplit("/", 1)[1]
        async with service.stage.database.write() as tx:
            await jobs.add_progress(tx, *which, ImportCounts(listed=3, created=2, failed=1), NOW)
            failed = ItemFailure("k", "", Reason.OBJECT_MISSING, "Gone.", 404, "NoSuchKey", NOW)
            await jobs.add_failures(tx, *which, [failed] * 3)
            await jobs.finish(tx, *which, OperationState.SUCCEEDED, None, NOW)
        got = await service.operations.GetOperation(
            operations_pb2.GetOperationRequest(name=made.name)
        )
        assert got.done
        assert unpacked(got.response, Pb.ImportImagesResponse()).created == 2
        await self._failures(service, made.name)

    async def _failures(self, service: Service, operation: str) -> None:
        call = service.catalog.ListOperationFailures
        first = await call(Pb.ListOperationFailuresRequest(operation=operation, page_size=2))
        token = first.next_page_token
        rest = await call(Pb.ListOperationFailuresRequest(operation=operation, page_token=token))
        assert (len(first.failures), len(rest.failures), rest.next_page_token) == (2, 1, "")
        one = rest.failures[0]
        assert (one.key, one.image, one.error.code, one.http_status) == ("k", "", 9, 404)

    async def test_a_failed_one_says_why(self, service: Service) -> None:
        await mount(service)
        made = await begin(service)
        fault = OperationFault(
            "CREDENTIAL_DISABLED", "It is disabled.", "signer.sealmount.dev", {"a": "b"}
        )
        async with service.stage.database.write() as tx:
            which = "acme", made.name.rsplit("/", 1)[1]
            await jobs.finish(tx, *which, OperationState.FAILED, fault, NOW)
        got = await service.operations.GetOperation(
            operations_pb2.GetOperationRequest(name=made.name)
        )
        assert (got.done, got.error.code, got.error.message) == (True, 9, "It is disabled.")

    async def test_list_cancel_delete(self, service: Service) -> None:
        await mount(service)
        first, second = await begin(service), await begin(service)
        call = service.operations
        unfinished = await refusal(
            call.DeleteOperation(operations_pb2.DeleteOperationRequest(name=first.name))
        )
        assert unfinished.reason == "OPERATION_UNFINISHED"
        await call.CancelOperation(operations_pb2.CancelOperationRequest(name=first.name))
        await call.CancelOperation(operations_pb2.CancelOperationRequest(name=first.name))
        for text, wanted in (
            ("", {first.name, second.name}),
            ("done = true", {first.name}),
            ("done=false", {second.name}),
        ):
            request = operations_pb2.ListOperationsRequest(name="projects/acme", filter=text)
            answer = await call.ListOperations(request)
            assert {one.name for one in answer.operations} == wanted
        cancelled = await call.GetOperation(operations_pb2.GetOperationRequest(name=first.name))
        assert (cancelled.done, cancelled.error.code) == (True, 1)
        await call.DeleteOperation(operations_pb2.DeleteOperationRequest(name=first.name))
        gone = await refusal(call.GetOperation(operations_pb2.GetOperationRequest(name=first.name)))
        assert gone.reason == "RESOURCE_NOT_FOUND"

    async def test_wait_ends_with_the_operation_or_the_timeout(self, service: Service) -> None:
        await mount(service)
        made = await begin(service)
        wait = service.operations.WaitOperation
        began = time.monotonic()
        short = operations_pb2.WaitOperationRequest(name=made.name, timeout=Duration(nanos=10**8))
        assert not (await wait(short)).done
        request = operations_pb2.WaitOperationRequest(name=made.name)
        assert not (await wait(request, timeout=1.0)).done  # the call's own deadline
        assert time.monotonic() - began < 3.0
        waiting = asyncio.ensure_future(wait(request))
        await asyncio.sleep(0.1)
        await service.operations.CancelOperation(
            operations_pb2.CancelOperationRequest(name=made.name)
        )
        assert (await asyncio.wait_for(waiting, 5.0)).done
