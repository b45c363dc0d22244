"""URLs: what is signed for, what isn't, and what a look at the object teaches."""

import pytest

from catalog.app.buckets import Buckets, NewBucket
from catalog.app.images import Images
from catalog.app.urls import Urls
from catalog.domain.model import (
    Bucket,
    Health,
    HealthState,
    InfoState,
    Mode,
    ProbePolicy,
    SourceState,
    image_id,
)
from catalog.domain.names import BucketRef, ImageRef
from catalog.domain.ports import CheckOutcome, ObjectToSign, Url, ViewOptions
from catalog.domain.reasons import Reason
from catalog.storage import jobs
from serving.faults import Fault, ForeignFault
from tests.fakes.catalog_fakes import BINDING, NOW, Stage, entry, result

REF = BucketRef("acme", "photos")
PLAIN = ViewOptions()


@pytest.fixture
async def bucket(stage: Stage) -> Bucket:
    """With "probed", "gone" (MISSING), "odd" (of a type that no store may answer with), ".."."""
    desk = stage.desk()
    made = await Buckets(desk).create(NewBucket(REF, BINDING, Mode.LINK, ProbePolicy.HEADERS, ""))
    listed = [entry(key) for key in ("probed", "gone", "odd", "raw", "out")]
    gone = result("gone", source_state=SourceState.MISSING, info_state=InfoState.FAILED)
    async with stage.database.write() as tx:
        await jobs.write_listing_page(tx, made.uid, [*listed, entry("..", signable=False)], 1, NOW)
        found = [result("probed"), gone, result("odd", media_type="image/x-odd", version="")]
        await jobs.write_probe_results(tx, made.uid, found, NOW)
    await Images(desk).delete(_ref(made, "out"))
    return made


def _ref(bucket: Bucket, key: str) -> ImageRef:
    return ImageRef(REF, image_id(bucket.uid, key))


async def test_version_and_type_only_where_they_are_known(stage: Stage, bucket: Bucket) -> None:
    urls = Urls(stage.desk())
    for key in ("probed", "gone", "odd", "raw"):
        _, url = await urls.get(_ref(bucket, key), PLAIN, "user-1", check_object=False)
        assert url == f"https://store.test/PUBLIC/{key}"
    assert [one for _, one, _, _ in stage.signer.asked] == [
        ObjectToSign("probed", "v1", 1, "image/png"),
        ObjectToSign("gone", "", 0, "image/png"),
        ObjectToSign("odd", "", 0, ""),
        ObjectToSign("raw", "", 0, ""),
    ]
    assert {who for _, _, _, who in stage.signer.asked} == {"user-1"}


@pytest.mark.parametrize(
    ("key", "reason"),
    [
        ("out", Reason.IMAGE_EXCLUDED),
        ("..", Reason.IMAGE_UNSIGNABLE),
        ("none", Reason.RESOURCE_NOT_FOUND),
    ],
)
async def test_images_without_a_url(stage: Stage, bucket: Bucket, key: str, reason: Reason) -> None:
    with pytest.raises(Fault) as caught:
        await Urls(stage.desk()).get(_ref(bucket, key), PLAIN, "", check_object=True)
    assert caught.value.reason == reason
    assert stage.signer.asked == []


async def test_an_objects_own_refusal_is_the_signers(stage: Stage, bucket: Bucket) -> None:
    stage.signer.refused["raw"] = Url(code=3, reason="LIFETIME_EXCEEDED", message="Too long.")
    with pytest.raises(ForeignFault) as caught:
        await Urls(stage.desk()).get(_ref(bucket, "raw"), PLAIN, "", check_object=False)
    assert (caught.value.domain, caught.value.code, caught.value.reason) == (
        "signer.sealmount.dev",
        3,
        "LIFETIME_EXCEEDED",
    )


async def test_batch_keeps_the_order_and_fails_one_by_one(stage: Stage, bucket: Bucket) -> None:
    stage.signer.refused["gone"] = Url(code=9, reason="CREDENTIAL_EXPIRED", message="Expired.")
    keys = ["raw", "none", "out", "gone", "..", "raw", "probed"]
    ids = [_ref(bucket, key).image_id for key in keys]
    terms, outcomes = await Urls(stage.desk()).batch(REF, ids, PLAIN, "")
    assert terms is not None
    assert [one.url.rsplit("/", 1)[-1] or one.reason for one in outcomes] == [
        "raw",
        "RESOURCE_NOT_FOUND",
        "IMAGE_EXCLUDED",
        "CREDENTIAL_EXPIRED",
        "IMAGE_UNSIGNABLE",
        "raw",
        "probed",
    ]
    assert len(stage.signer.asked) == 3


async def test_batch_without_a_url_has_no_terms(stage: Stage, bucket: Bucket) -> None:
    urls = Urls(stage.desk())
    ids = [_ref(bucket, "out").image_id]
    assert (await urls.batch(REF, ids, PLAIN, ""))[0] is None
    stage.signer.refused["raw"] = Url(code=9, reason="CREDENTIAL_EXPIRED")
    assert (await urls.batch(REF, [_ref(bucket, "raw").image_id], PLAIN, ""))[0] is None


class TestCheck:
    async def _state(self, stage: Stage, bucket: Bucket) -> tuple[Health, SourceState]:
        desk = stage.desk()
        found = await Buckets(desk).get(REF)
        image = await Images(desk).get(_ref(bucket, "raw"))
        return found.health, image.source.state

    async def test_looks_by_an_internal_url_and_answers_with_the_one_asked_for(
        self, stage: Stage, bucket: Bucket
    ) -> None:
        public = ViewOptions(audience="PUBLIC")
        _, url = await Urls(stage.desk()).get(_ref(bucket, "raw"), public, "u", check_object=True)
        assert url == "https://store.test/PUBLIC/raw"
        assert stage.checker.urls == [("https://store.test/INTERNAL/raw", {"x-test": "1"})]
        assert {who for _, _, _, who in stage.signer.asked} == {"u"}
        # A lifetime of its own would be too long for some binding.
        assert [options.ttl for _, _, options, _ in stage.signer.asked] == [None, None]
        health, _ = await self._state(stage, bucket)
        assert health == Health(HealthState.HEALTHY, "", NOW)

    @pytest.mark.parametrize(
        ("outcome", "health", "source"),
        [
            (CheckOutcome(Reason.OBJECT_MISSING, 404, "NoSuchKey"), "HEALTHY", "MISSING"),
            (CheckOutcome(Reason.OBJECT_MISSING, 404, "NoSuchBucket"), "BROKEN", "MISSING"),
            (CheckOutcome(Reason.STORE_FORBIDDEN, 403, "AccessDenied"), "FORBIDDEN", "FORBIDDEN"),
            (CheckOutcome(Reason.STORE_UNREACHABLE), "UNREACHABLE", "AVAILABLE"),
            (CheckOutcome(Reason.STORE_ADDRESS_REFUSED), "UNREACHABLE", "AVAILABLE"),
            (CheckOutcome(Reason.STORE_THROTTLED, 503, "SlowDown"), "UNREACHABLE", "AVAILABLE"),
            (CheckOutcome(Reason.STORE_BROKEN, 301), "BROKEN", "AVAILABLE"),
        ],
    )
    async def test_what_it_finds_is_told_and_kept(
        self, stage: Stage, bucket: Bucket, outcome: CheckOutcome, health: str, source: str
    ) -> None:
        stage.checker.outcome = outcome
        with pytest.raises(Fault) as caught:
            await Urls(stage.desk()).get(_ref(bucket, "raw"), PLAIN, "", check_object=True)
        assert caught.value.reason == outcome.reason
        expected = {"http_status": str(outcome.status), "provider_code": outcome.provider_code}
        assert caught.value.metadata == {k: v for k, v in expected.items() if v not in ("", "0")}
        assert "store.test" not in repr(caught.value.__dict__)
        found, state = await self._state(stage, bucket)
        assert (found.state, state) == (health, source)
        assert found.reason == ("" if health == "HEALTHY" else outcome.reason)

    async def test_no_signed_url_is_kept(self, stage: Stage, bucket: Bucket) -> None:
        await Urls(stage.desk()).get(_ref(bucket, "raw"), PLAIN, "", check_object=True)
        async with stage.database.read() as tx:
            raw = await tx.exec_driver_sql("SELECT group_concat(health_reason) FROM buckets")
            assert "store.test" not in str(raw.all())
