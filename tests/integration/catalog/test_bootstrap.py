"""The Catalog as it is built for real: mTLS, DBOS's queue, both tables' migrations."""

from pathlib import Path
from typing import Any

import grpc
import pytest
import sqlalchemy as sa
from google.longrunning import operations_pb2, operations_pb2_grpc
from sealmount.catalog.v1 import resources_pb2, service_pb2, service_pb2_grpc

from catalog import bootstrap
from catalog.config import Config
from catalog.jobs.engine import SCHEMA
from serving.channel import secure_channel
from serving.tls import TlsFiles
from tests.fakes.catalog_fakes import BINDING, FakeSigner
from tests.fakes.catalog_service import refusal
from tests.integration.serving.harness import Pki

Pb = service_pb2
BUCKET = "projects/acme/buckets/photos"
POLICY = """
[[grant]]
identity = "spiffe://example.org/client"
roles = ["catalog.editor"]
projects = ["acme"]
"""


def config(folder: Path, pki: Pki, database: str) -> Config:
    policy = folder / "policy.toml"
    policy.write_text(POLICY)
    return Config(
        listen="127.0.0.1:0",
        tls=pki.files("server"),
        trust_domain="example.org",
        policy=policy,
        database=database,
        signer_address="127.0.0.1:1",
        signer_name="localhost",
        signer_timeout=1.0,
        allowed_origins=frozenset({"http://127.0.0.1:9000"}),
        worker_id="",
        max_images_per_bucket=1_000_000,
        operation_retention_days=30,
        reflection=False,
        log_level="INFO",
    )


@pytest.fixture
def pki(tmp_path_factory: pytest.TempPathFactory) -> Pki:
    return Pki(tmp_path_factory.mktemp("pki"))


def channel(pki: Pki, port: int, name: str = "client") -> grpc.aio.Channel:
    files: TlsFiles = pki.files(name)
    return secure_channel(f"127.0.0.1:{port}", files, server_name="localhost")


async def test_an_import_and_its_place_in_the_queue(
    tmp_path: Path, pki: Pki, database_url: str
) -> None:
    await bootstrap.migrate(database_url)
    settings = config(tmp_path, pki, database_url)
    async with (
        bootstrap.running(settings, signer=FakeSigner()) as server,
        channel(pki, server.port) as to_it,
    ):
        catalog: Any = service_pb2_grpc.CatalogServiceStub(to_it)
        made = await catalog.CreateBucket(
            Pb.CreateBucketRequest(
                parent="projects/acme",
                bucket_id="photos",
                bucket=resources_pb2.Bucket(binding=BINDING, mode=resources_pb2.MODE_LINK),
            )
        )
        request = Pb.ImportImagesRequest(bucket=BUCKET, keys=Pb.KeysSource(keys=["a", "b"]))
        begun = await catalog.ImportImages(request)
        operations = operations_pb2_grpc.OperationsStub(to_it)
        got = await operations.GetOperation(operations_pb2.GetOperationRequest(name=begun.name))
        assert got == begun
        await catalog.DeleteBucket(Pb.DeleteBucketRequest(name=BUCKET, etag=made.etag))
    queued = await _queued(settings.database)
    operation_id = begun.name.rsplit("/", 1)[1]
    expected = {f"acme/{operation_id}/1", f"purge/{made.uid}/1"}
    assert expected < set(queued)
    (intent,) = set(queued) - expected  # in five minutes it finds nothing left to do
    assert intent.startswith("purge/")


async def _queued(database_url: str) -> list[str]:
    database = bootstrap.database_of(database_url)
    async with database.read() as tx:
        table = "workflow_status" if tx.dialect.name == "sqlite" else f"{SCHEMA}.workflow_status"
        rows = await tx.execute(sa.text(f"SELECT workflow_uuid FROM {table}"))
        found = [row[0] for row in rows]
    await database.close()
    return found


async def test_a_signer_that_is_away(tmp_path: Path, pki: Pki, database_url: str) -> None:
    settings = config(tmp_path, pki, database_url)
    async with (
        bootstrap.running(settings) as server,
        channel(pki, server.port) as to_it,
    ):
        catalog: Any = service_pb2_grpc.CatalogServiceStub(to_it)
        refused = await refusal(
            catalog.CreateBucket(
                Pb.CreateBucketRequest(
                    parent="projects/acme",
                    bucket_id="photos",
                    bucket=resources_pb2.Bucket(binding=BINDING, mode=resources_pb2.MODE_LINK),
                )
            )
        )
        assert (refused.code, refused.reason, refused.domain) == (
            "UNAVAILABLE",
            "SIGNER_UNAVAILABLE",
            "catalog.sealmount.dev",
        )
        listed = await catalog.ListBuckets(Pb.ListBucketsRequest(parent="projects/acme"))
        assert not listed.buckets
