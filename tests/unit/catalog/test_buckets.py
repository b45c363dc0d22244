"""Mounting and unmounting: what is held, what is refused, and what happens in between."""

import asyncio
import dataclasses
from typing import Any

import pytest

from catalog.app.buckets import BucketChange, Buckets, NewBucket
from catalog.app.imports import ImportRequest, Imports
from catalog.app.operations import Operations
from catalog.domain.model import Bucket, Mode, OperationState, ProbePolicy
from catalog.domain.names import BucketRef, OperationRef
from catalog.domain.ports import BindingInfo, SourceKind
from catalog.domain.reasons import Reason
from catalog.storage import jobs
from serving.faults import Fault
from tests.fakes.catalog_fakes import BINDING, NOW, Stage, entry

REF = BucketRef("acme", "photos")
NEW = NewBucket(REF, BINDING, Mode.LINK, ProbePolicy.HEADERS, "Photos")


async def refused(awaitable: Any) -> Fault:
    with pytest.raises(Fault) as caught:
        await awaitable
    return caught.value


async def mounted(stage: Stage, *keys: str) -> Bucket:
    bucket = await Buckets(stage.desk()).create(NEW)
    async with stage.database.write() as tx:
        await jobs.write_listing_page(tx, bucket.uid, [entry(k) for k in keys], 1, NOW)
    return bucket


class TestCreate:
    async def test_holds_its_binding(self, stage: Stage) -> None:
        buckets = Buckets(stage.desk())
        made = await buckets.create(NEW)
        assert stage.signer.holders == {BINDING: {REF.name}}
        assert await buckets.get(REF) == made
        assert (made.name, made.display_name, made.create_time) == (REF.name, "Photos", NOW)

    async def test_a_taken_name_keeps_its_hold(self, stage: Stage) -> None:
        await mounted(stage)
        fault = await refused(Buckets(stage.desk()).create(NEW))
        assert (fault.reason, fault.metadata) == (
            Reason.BUCKET_ALREADY_EXISTS,
            {"bucket": REF.name},
        )
        assert stage.signer.holders == {BINDING: {REF.name}}

    async def test_two_at_once_make_one(self, stage: Stage) -> None:
        buckets = Buckets(stage.desk())
        results = await asyncio.gather(
            *(buckets.create(NEW) for _ in range(4)), return_exceptions=True
        )
        assert sum(isinstance(one, Bucket) for one in results) == 1
        assert {one.reason for one in results if isinstance(one, Fault)} == {
            Reason.BUCKET_ALREADY_EXISTS
        }
        assert stage.signer.holders == {BINDING: {REF.name}}

    @pytest.mark.parametrize(
        ("kind", "permissions"), [("MANAGED", {"READ"}), ("CUSTOMER", {"LIST"}), ("", {"READ"})]
    )
    async def test_refuses_other_bindings(
        self, stage: Stage, kind: str, permissions: set[str]
    ) -> None:
        stage.signer.bindings[BINDING] = BindingInfo(BINDING, kind, frozenset(permissions), 1)
        fault = await refused(Buckets(stage.desk()).create(NEW))
        assert (fault.reason, fault.metadata) == (Reason.BINDING_UNSUITABLE, {"binding": BINDING})
        assert stage.signer.holders == {}

    async def test_a_missing_binding_is_not_found(self, stage: Stage) -> None:
        other = dataclasses.replace(NEW, binding="projects/acme/bindings/none")
        fault = await refused(Buckets(stage.desk()).create(other))
        assert (type(fault), fault.reason) == (Fault, Reason.RESOURCE_NOT_FOUND)
        assert fault.metadata == {"resource": other.binding}

    async def test_the_signers_own_faults_pass(self, stage: Stage) -> None:
        stage.signer.fault = Fault(Reason.SIGNER_UNAVAILABLE, "away")
        assert await refused(Buckets(stage.desk()).create(NEW)) is stage.signer.fault

    async def test_a_failed_insert_releases(self, stage: Stage) -> None:
        desk = stage.desk()

        class Broken(type(desk.buckets)):  # type: ignore[misc]
            async def insert(self, tx: object, bucket: Bucket) -> bool:
                raise Fault(Reason.STORAGE_UNAVAILABLE, "disk full")

        fault = await refused(Buckets(dataclasses.replace(desk, buckets=Broken())).create(NEW))
        assert fault.reason == Reason.STORAGE_UNAVAILABLE
        assert stage.signer.holders == {BINDING: set()}


class TestUpdate:
    async def test_changes_fields_and_etag(self, stage: Stage) -> None:
        made = await mounted(stage)
        buckets = Buckets(stage.desk())
        change = BucketChange(REF, made.etag, "New name", ProbePolicy.NONE)
        changed = await buckets.update(change)
        assert (changed.display_name, changed.probe_policy) == ("New name", ProbePolicy.NONE)
        assert changed.etag != made.etag
        assert await buckets.get(REF) == changed
        assert (await refused(buckets.update(change))).reason == Reason.ETAG_MISMATCH

    async def test_no_change_keeps_the_etag(self, stage: Stage) -> None:
        made = await mounted(stage)
        assert await Buckets(stage.desk()).update(BucketChange(REF, "", "Photos")) == made

    async def test_the_binding_stays(self, stage: Stage) -> None:
        await mounted(stage)
        other = BucketChange(REF, binding="projects/acme/bindings/other")
        fault = await refused(Buckets(stage.desk()).update(other))
        assert [one.field for one in fault.violations] == ["bucket.binding"]

    async def test_nobody_there(self, stage: Stage) -> None:
        fault = await refused(Buckets(stage.desk()).update(BucketChange(REF)))
        assert fault.reason == Reason.RESOURCE_NOT_FOUND


class TestDelete:
    async def test_is_gone_at_once_and_released(self, stage: Stage) -> None:
        made = await mounted(stage)
        buckets = Buckets(stage.desk())
        await buckets.delete(REF, made.etag, force=False)
        assert (await refused(buckets.get(REF))).reason == Reason.RESOURCE_NOT_FOUND
        assert stage.queue.purges == [made.uid]
        assert stage.signer.holders == {BINDING: set()}

    async def test_images_ask_for_force(self, stage: Stage) -> None:
        await mounted(stage, "a", "b")
        buckets = Buckets(stage.desk())
        fault = await refused(buckets.delete(REF, "", force=False))
        assert (fault.reason, fault.metadata) == (Reason.BUCKET_NOT_EMPTY, {"images": "2"})
        await buckets.delete(REF, "", force=True)
        assert (await refused(buckets.delete(REF, "", force=True))).reason == (
            Reason.RESOURCE_NOT_FOUND
        )

    async def test_etag(self, stage: Stage) -> None:
        await mounted(stage)
        fault = await refused(Buckets(stage.desk()).delete(REF, "old", force=True))
        assert fault.reason == Reason.ETAG_MISMATCH
        assert stage.queue.purges == []

    async def test_a_signer_that_is_away_does_not_matter(self, stage: Stage) -> None:
        await mounted(stage)
        stage.signer.fault = Fault(Reason.SIGNER_UNAVAILABLE, "away")
        await Buckets(stage.desk()).delete(REF, "", force=False)
        assert stage.signer.holders == {BINDING: {REF.name}}  # the purge will release it

    async def test_ends_its_operations(self, stage: Stage) -> None:
        await mounted(stage)
        desk = stage.desk()
        request = ImportRequest(REF, SourceKind.LISTING, "", (), "", "")
        begun = await Imports(desk).start("spiffe://x/y", request)
        await Buckets(desk).delete(REF, "", force=False)
        found = await Operations(desk).get(OperationRef("acme", begun.operation_id))
        assert found.state is OperationState.FAILED
        assert found.fault is not None
        assert found.fault.reason == Reason.BUCKET_DELETED

    async def test_the_next_bucket_of_the_name_keeps_the_hold(self, stage: Stage) -> None:
        first = await mounted(stage, "a")
        buckets = Buckets(stage.desk())
        await buckets.delete(REF, "", force=True)
        second = await buckets.create(NEW)
        assert stage.signer.holders == {BINDING: {REF.name}}
        assert second.uid != first.uid
        assert second.counts.images == 0
