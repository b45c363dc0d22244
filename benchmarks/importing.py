"""The listing phase of an import beside boto3's list paginator, on the same store."""

import time

import boto3
from botocore.config import Config
from sealmount.catalog.v1 import service_pb2 as mounting
from sealmount.commands.deployment import Deployment
from sealmount.commands.processes import within
from sealmount.demo.desk import Desk, s3
from sealmount.demo.stores import BUCKET, REGION, Key

from benchmarks.rows import Row, rate, side_by_side

OBJECTS = 100_000
_ROUNDS = 3


def measure(deployment: Deployment, origin: str, key: Key) -> Row:
    with Desk(deployment, "bench") as desk:
        desk.store("listed", key, [origin])
        desk.bind("listed", "listed", s3(origin))
        numbers = iter(range(_ROUNDS))
        ours, peer = side_by_side(
            lambda: rate(lambda: _import(desk, f"listed-{next(numbers)}")),
            lambda: rate(lambda: _list_with_boto3(origin, key)),
            _ROUNDS,
        )
    note = f"{OBJECTS:,} objects into SQLite, from the request to the operation's end"
    return Row("import, listing phase", "objects/s", ours, "boto3 paginator", peer, 2.0, note)


def _import(desk: Desk, bucket_id: str) -> int:
    """Each round into a bucket of its own, so that every row is new."""
    desk.mount(bucket_id, "listed", probe=False)
    name = desk.start_import(bucket_id)
    for _ in within(300.0, "the import"):
        operation = desk.operation(name)
        if operation.done:
            break
        time.sleep(0.05)
    result = mounting.ImportImagesResponse()
    operation.response.Unpack(result)
    if result.created != OBJECTS:
        raise RuntimeError(f"{result.created} images were made of {OBJECTS} objects")
    return OBJECTS


def _list_with_boto3(origin: str, key: Key) -> int:
    client = boto3.client(
        "s3",
        endpoint_url=origin,
        region_name=REGION,
        aws_access_key_id=key.access_key_id,
        aws_secret_access_key=key.secret_access_key,
        config=Config(signature_version="s3v4", s3={"addressing_style": "path"}),
    )
    pages = client.get_paginator("list_objects_v2").paginate(Bucket=BUCKET)
    seen = sum(len(page.get("Contents", ())) for page in pages)
    if seen != OBJECTS:
        raise RuntimeError(f"the paginator saw {seen} of {OBJECTS} objects")
    return seen
