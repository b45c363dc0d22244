"""Malformed requests: a precise reason, the field that is to blame, and not a byte echoed."""

from collections.abc import Callable
from typing import Any

import pytest
from google.longrunning import operations_pb2
from google.protobuf.duration_pb2 import Duration
from google.protobuf.field_mask_pb2 import FieldMask
from sealmount.catalog.v1 import resources_pb2, service_pb2

from tests.fakes.catalog_fakes import BINDING
from tests.fakes.catalog_service import Service, refusal

Pb = service_pb2
# Stands in every bad value: nothing of it may come back.
CANARY = "zq-canary"
BUCKET = "projects/acme/buckets/photos"
IMAGE = f"{BUCKET}/images/{'a' * 26}"
OPERATION = "projects/acme/operations/op-1"
_CC = "options.response_cache_control"
BAD_IDS = [
    "", CANARY.upper(), f"1{CANARY}", f"{CANARY}_", f"{CANARY}-", "z" * 64, f"{CANARY}/x",
    f"{CANARY} ", f"{CANARY}\n", f"{CANARY}é", f"{CANARY}.", f"-{CANARY}", "..", f"{CANARY}%2F",
]  # fmt: skip


def bucket(**fields: Any) -> resources_pb2.Bucket:
    given: dict[str, Any] = {"binding": BINDING, "mode": resources_pb2.MODE_LINK} | fields
    return resources_pb2.Bucket(**given)


def create(bucket_id: str = "photos", **fields: Any) -> Any:
    return Pb.CreateBucketRequest(
        parent="projects/acme", bucket_id=bucket_id, bucket=bucket(**fields)
    )


def update(paths: list[str], **fields: Any) -> Any:
    given: dict[str, Any] = {"name": BUCKET} | fields
    changed = resources_pb2.Bucket(**given)
    return Pb.UpdateBucketRequest(bucket=changed, update_mask=FieldMask(paths=paths))


def imported(**fields: Any) -> Any:
    given: dict[str, Any] = {"bucket": BUCKET, "listing": Pb.ListingSource()} | fields
    return Pb.ImportImagesRequest(**given)


def url(**options: Any) -> Any:
    return Pb.GetImageUrlRequest(name=IMAGE, options=Pb.ViewOptions(**options))


def keys(*given: str) -> Any:
    return imported(listing=None, keys=Pb.KeysSource(keys=given))


NAMES: list[tuple[str, Callable[[str], Any], str, str]] = [
    ("GetBucket", lambda n: Pb.GetBucketRequest(name=n), "name", "buckets/"),
    ("DeleteBucket", lambda n: Pb.DeleteBucketRequest(name=n), "name", "buckets/"),
    ("UpdateBucket", lambda n: update([], name=n), "bucket.name", "buckets/"),
    ("ImportImages", lambda n: imported(bucket=n), "bucket", "buckets/"),
    ("ListImages", lambda n: Pb.ListImagesRequest(parent=n), "parent", "buckets/"),
    ("GetImage", lambda n: Pb.GetImageRequest(name=n), "name", "buckets/photos/images/"),
    ("DeleteImage", lambda n: Pb.DeleteImageRequest(name=n), "name", "buckets/photos/images/"),
    ("GetImageUrl", lambda n: Pb.GetImageUrlRequest(name=n), "name", "buckets/photos/images/"),
    (
        "ListOperationFailures",
        lambda n: Pb.ListOperationFailuresRequest(operation=n),
        "operation",
        "operations/",
    ),
]

REQUESTS: list[tuple[str, Any, str]] = [
    ("CreateBucket", create(binding=f"projects/beta/bindings/{CANARY}"), "bucket.binding"),
    ("CreateBucket", create(binding=CANARY), "bucket.binding"),
    ("CreateBucket", create(binding=""), "bucket.binding"),
    ("CreateBucket", create(mode=0), "bucket.mode"),
    ("CreateBucket", create(mode=77), "bucket.mode"),
    ("CreateBucket", create(probe_policy=77), "bucket.probe_policy"),
    ("CreateBucket", create(display_name=CANARY * 20), "bucket.display_name"),
    ("CreateBucket", create(display_name=f"{CANARY}\x1b[31m"), "bucket.display_name"),
    ("UpdateBucket", update([CANARY]), "update_mask"),
    ("UpdateBucket", update(["binding"]), "update_mask"),
    ("UpdateBucket", update(["*", "display_name"]), "update_mask"),
    ("UpdateBucket", update(["counts.images"]), "update_mask"),
    ("UpdateBucket", update(["probe_policy"], probe_policy=9), "bucket.probe_policy"),
    ("ListBuckets", Pb.ListBucketsRequest(parent="projects/acme", page_size=-1), "page_size"),
    ("ListBuckets", Pb.ListBucketsRequest(parent=BUCKET), "parent"),
    ("ImportImages", Pb.ImportImagesRequest(bucket=BUCKET), "source"),
    ("ImportImages", imported(request_id=CANARY), "request_id"),
    ("ImportImages", imported(on_behalf_of=CANARY * 40), "on_behalf_of"),
    ("ImportImages", imported(on_behalf_of=f"{CANARY}\r\n"), "on_behalf_of"),
    ("ImportImages", imported(listing=Pb.ListingSource(prefix=f"{CANARY}\0")), "listing.prefix"),
    ("ImportImages", imported(listing=Pb.ListingSource(prefix=CANARY * 200)), "listing.prefix"),
    ("ImportImages", keys(), "keys.keys"),
    ("ImportImages", keys("a", f"{CANARY}\0"), "keys.keys[1]"),
    ("ImportImages", keys(""), "keys.keys[0]"),
    ("ImportImages", keys("a", "b", CANARY * 200), "keys.keys[2]"),
    ("ImportImages", keys(*["a"] * 10_001), "keys.keys"),
    ("ListImages", Pb.ListImagesRequest(parent=BUCKET, key_prefix=f"{CANARY}\0"), "key_prefix"),
    ("ListImages", Pb.ListImagesRequest(parent=BUCKET, page_size=-5), "page_size"),
    ("BatchGetImages", Pb.BatchGetImagesRequest(parent=BUCKET), "names"),
    ("BatchGetImages", Pb.BatchGetImagesRequest(parent=BUCKET, names=[IMAGE, CANARY]), "names[1]"),
    (
        "BatchGetImageUrls",
        Pb.BatchGetImageUrlsRequest(parent="projects/acme/buckets/other", names=[IMAGE]),
        "names[0]",
    ),
    ("GetImageUrl", url(ttl=Duration(seconds=0)), "options.ttl"),
    ("GetImageUrl", url(ttl=Duration(seconds=-1)), "options.ttl"),
    ("GetImageUrl", url(ttl=Duration(seconds=604_801)), "options.ttl"),
    ("GetImageUrl", url(ttl=Duration(seconds=2**62)), "options.ttl"),
    ("GetImageUrl", url(ttl=Duration(seconds=1, nanos=5)), "options.ttl"),
    ("GetImageUrl", url(audience=9), "options.audience"),
    ("GetImageUrl", url(disposition=9), "options.disposition"),
    (
        "GetImageUrl",
        url(response_cache_control=f"{CANARY}\r\nx: y"),
        _CC,
    ),
    ("GetImageUrl", url(response_cache_control="a" * 129), _CC),
]

OPERATIONS: list[tuple[str, Any, str]] = [
    ("GetOperation", operations_pb2.GetOperationRequest(name=f"{OPERATION}/{CANARY}"), "name"),
    ("CancelOperation", operations_pb2.CancelOperationRequest(name=BUCKET), "name"),
    ("DeleteOperation", operations_pb2.DeleteOperationRequest(name="projects/acme"), "name"),
    ("ListOperations", operations_pb2.ListOperationsRequest(name=OPERATION), "name"),
    (
        "ListOperations",
        operations_pb2.ListOperationsRequest(name="projects/acme", filter=CANARY),
        "filter",
    ),
    (
        "ListOperations",
        operations_pb2.ListOperationsRequest(name="projects/acme", page_size=-1),
        "page_size",
    ),
    (
        "WaitOperation",
        operations_pb2.WaitOperationRequest(name=OPERATION, timeout=Duration(seconds=-1)),
        "timeout",
    ),
]


async def _refused(call: Any, request: Any, field: str) -> None:
    refused = await refusal(call(request))
    assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "INVALID_FIELD")
    assert refused.fields == (field,)
    assert CANARY.encode() not in refused.text.lower()


@pytest.mark.parametrize("bad", BAD_IDS)
@pytest.mark.parametrize(
    ("method", "make", "field", "before"), NAMES, ids=[method for method, *_ in NAMES]
)
async def test_names(
    service: Service, method: str, make: Callable[[str], Any], field: str, before: str, bad: str
) -> None:
    request = make(f"projects/acme/{before}{bad}")
    await _refused(getattr(service.catalog, method), request, field)


@pytest.mark.parametrize("bad", BAD_IDS)
async def test_bucket_ids(service: Service, bad: str) -> None:
    await _refused(service.catalog.CreateBucket, create(bucket_id=bad), "bucket_id")


@pytest.mark.parametrize(
    "bad", ["", "acme", "projects/", f"projects/{CANARY.upper()}", "Projects/a"]
)
async def test_names_of_no_project(service: Service, bad: str) -> None:
    await _refused(service.catalog.GetBucket, Pb.GetBucketRequest(name=bad), "name")


@pytest.mark.parametrize(
    ("method", "request_", "field"), REQUESTS, ids=[f"{m}-{f}" for m, _, f in REQUESTS]
)
async def test_fields(service: Service, method: str, request_: Any, field: str) -> None:
    await _refused(getattr(service.catalog, method), request_, field)


@pytest.mark.parametrize(
    ("method", "request_", "field"), OPERATIONS, ids=[f"{m}-{f}" for m, _, f in OPERATIONS]
)
async def test_operations(service: Service, method: str, request_: Any, field: str) -> None:
    await _refused(getattr(service.operations, method), request_, field)


@pytest.mark.parametrize(
    "token", [CANARY, "====", "AAAA", "A" * 5000, "é", "\0", "AAAAAAAAAAA", "eyJhIjoxfQ"]
)
async def test_page_tokens(service: Service, token: str) -> None:
    await service.catalog.CreateBucket(create())
    for call, request in (
        (service.catalog.ListBuckets, Pb.ListBucketsRequest(parent="projects/acme")),
        (service.catalog.ListImages, Pb.ListImagesRequest(parent=BUCKET)),
        (
            service.catalog.ListOperationFailures,
            Pb.ListOperationFailuresRequest(operation=OPERATION),
        ),
        (
            service.operations.ListOperations,
            operations_pb2.ListOperationsRequest(name="projects/acme"),
        ),
    ):
        request.page_token = token
        refused = await refusal(call(request))
        assert (refused.code, refused.reason) == ("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID")
        assert CANARY.encode() not in refused.text
