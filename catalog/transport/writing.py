"""From the use cases' results to the contract's messages."""

from datetime import datetime

from google.longrunning import operations_pb2
from google.protobuf.timestamp_pb2 import Timestamp
from sealmount.catalog.v1 import resources_pb2, service_pb2
from sealmount.type.v1 import signing_pb2

from catalog.domain.model import (
    Bucket,
    Image,
    ImportCounts,
    ItemFailure,
    Operation,
    OperationState,
)
from catalog.domain.names import BucketRef, ImageRef
from catalog.domain.ports import Terms, Url
from catalog.transport.errors import item_error, operation_error, url_error


def time(value: datetime | None) -> Timestamp | None:
    if value is None:
        return None
    stamp = Timestamp()
    stamp.FromDatetime(value)
    return stamp


def bucket(value: Bucket) -> resources_pb2.Bucket:
    counts, health = value.counts, value.health
    return resources_pb2.Bucket(
        name=value.name,
        uid=value.uid,
        binding=value.binding,
        mode=resources_pb2.Mode.Value(f"MODE_{value.mode}"),
        probe_policy=resources_pb2.ProbePolicy.Value(f"PROBE_POLICY_{value.probe_policy}"),
        state=resources_pb2.Bucket.STATE_ACTIVE,
        health=resources_pb2.Health(
            state=resources_pb2.Health.State.Value(f"STATE_{health.state}"),
            reason=health.reason,
            check_time=time(health.check_time),
        ),
        counts=resources_pb2.Counts(
            images=counts.images,
            excluded=counts.excluded,
            available=counts.available,
            unavailable=counts.unavailable,
            unsignable=counts.unsignable,
            probed=counts.probed,
        ),
        etag=value.etag,
        display_name=value.display_name,
        create_time=time(value.create_time),
        update_time=time(value.update_time),
    )


def image(of: BucketRef, value: Image) -> resources_pb2.Image:
    source, info = value.source, value.info
    return resources_pb2.Image(
        name=ImageRef(of, value.image_id).name,
        key=value.key,
        source=resources_pb2.SourceInfo(
            state=resources_pb2.SourceInfo.State.Value(f"STATE_{source.state}"),
            size=source.size,
            etag=source.etag,
            version=source.version,
            version_epoch=source.version_epoch,
            last_modified_time=time(source.last_modified_time),
            check_time=time(source.check_time),
        ),
        info=resources_pb2.ImageInfo(
            state=resources_pb2.ImageInfo.State.Value(f"STATE_{info.state}"),
            reason=info.reason,
            media_type=info.media_type,
            width=info.width,
            height=info.height,
            orientation=info.orientation,
        ),
        excluded=value.excluded,
        create_time=time(value.create_time),
        update_time=time(value.update_time),
    )


def _import_counts(value: ImportCounts) -> service_pb2.ImportImagesResponse:
    return service_pb2.ImportImagesResponse(
        listed=value.listed,
        created=value.created,
        existing=value.existing,
        excluded=value.excluded,
        unsignable=value.unsignable,
        probed=value.probed,
        failed=value.failed,
    )


def operation(value: Operation) -> operations_pb2.Operation:
    made = operations_pb2.Operation(name=value.name, done=value.done)
    made.metadata.Pack(
        service_pb2.ImportImagesMetadata(
            bucket=value.bucket_name,
            phase=service_pb2.ImportImagesMetadata.Phase.Value(f"PHASE_{value.phase}"),
            progress=_import_counts(value.progress),
            probe_total=value.probe_total,
            cancel_requested=value.cancel_requested,
            create_time=time(value.create_time),
            update_time=time(value.update_time),
            end_time=time(value.end_time),
        )
    )
    if value.state is OperationState.SUCCEEDED:
        made.response.Pack(_import_counts(value.progress))
    elif value.fault is not None:
        made.error.CopyFrom(operation_error(value.fault))
    return made


def failure(bucket_name: str, value: ItemFailure) -> service_pb2.OperationFailure:
    named = f"{bucket_name}/images/{value.image_id}" if value.image_id else ""
    return service_pb2.OperationFailure(
        key=value.key,
        image=named,
        error=item_error(value.reason, value.message),
        http_status=value.http_status,
        provider_code=value.provider_code,
        time=time(value.time),
    )


def terms(value: Terms) -> signing_pb2.UrlTerms:
    return signing_pb2.UrlTerms(
        method=value.method,
        headers=dict(value.headers),
        not_after=time(value.not_after),
        refresh_after=time(value.refresh_after),
        revision=value.revision,
        location_epoch=value.location_epoch,
    )


def url_outcome(name: str, value: Url) -> service_pb2.ImageUrlOutcome:
    if value.url:
        return service_pb2.ImageUrlOutcome(url=value.url, image=name)
    return service_pb2.ImageUrlOutcome(error=url_error(value), image=name)
