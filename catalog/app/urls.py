"""URLs to look at images with. A URL passes through here and is kept nowhere."""

import contextlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from catalog.app.desk import Desk
from catalog.app.refusals import not_found
from catalog.domain.model import Bucket, Health, HealthState, Image, SourceState
from catalog.domain.names import BucketRef, ImageRef
from catalog.domain.ports import (
    SIGNER_DOMAIN,
    CheckOutcome,
    ObjectToSign,
    Terms,
    Url,
    ViewOptions,
)
from catalog.domain.reasons import Reason
from serving.faults import Fault, ForeignFault

# What the Signer lets a store answer with: sealmount.signer.v1.SignOptions.response_content_type.
RESPONSE_TYPES = frozenset(
    {
        "image/apng",
        "image/avif",
        "image/bmp",
        "image/gif",
        "image/jpeg",
        "image/png",
        "image/svg+xml",
        "image/tiff",
        "image/webp",
    }
)
# No lifetime of its own: one that suits every binding is the Signer's default alone.
_CHECK = ViewOptions(audience="INTERNAL")
_HEALTH_AGE = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class _Meaning:
    """What a look that failed says of the image, of the bucket, and to a person."""

    health: HealthState
    message: str
    source: SourceState | None = None


_MEANINGS = {
    Reason.OBJECT_MISSING: _Meaning(
        HealthState.HEALTHY, "The store says that the object isn't there.", SourceState.MISSING
    ),
    Reason.STORE_FORBIDDEN: _Meaning(
        HealthState.FORBIDDEN,
        "The store refuses the credential, the signature or the permission.",
        SourceState.FORBIDDEN,
    ),
    Reason.STORE_UNREACHABLE: _Meaning(
        HealthState.UNREACHABLE, "The store doesn't answer, or it fails."
    ),
    Reason.STORE_ADDRESS_REFUSED: _Meaning(
        HealthState.UNREACHABLE,
        "The store's address is one that this deployment doesn't allow connections to.",
    ),
    Reason.STORE_THROTTLED: _Meaning(HealthState.UNREACHABLE, "The store asks for fewer requests."),
    Reason.STORE_BROKEN: _Meaning(HealthState.BROKEN, "The store answers what no store should."),
}


class Urls:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def get(
        self, ref: ImageRef, options: ViewOptions, on_behalf_of: str, check_object: bool
    ) -> tuple[Terms, str]:
        """RESOURCE_NOT_FOUND, IMAGE_EXCLUDED, IMAGE_UNSIGNABLE, the Signer's reasons, and with
        ``check_object`` what became of the object."""
        desk = self._desk
        async with desk.database.read() as tx:
            bucket = await desk.bucket(tx, ref.bucket, ref.name)
            image = (await desk.images.by_ids(tx, bucket.uid, [ref.image_id])).get(ref.image_id)
        refusal = _refusal(image)
        if image is None:
            raise not_found(ref.name)
        if refusal is not None:
            raise Fault(Reason(refusal.reason), refusal.message)
        if check_object:
            await self._check(bucket, image, on_behalf_of)
        return await self._one(bucket, image, options, on_behalf_of)

    async def _one(
        self, bucket: Bucket, image: Image, options: ViewOptions, on_behalf_of: str
    ) -> tuple[Terms, str]:
        signed = await self._desk.signer.object_urls(
            bucket.binding, [_to_sign(image)], options, on_behalf_of
        )
        terms, (url,) = signed
        if not url.url:
            raise ForeignFault(SIGNER_DOMAIN, url.code, url.reason, url.message)
        return terms, url.url

    async def _check(self, bucket: Bucket, image: Image, on_behalf_of: str) -> None:
        terms, url = await self._one(bucket, image, _CHECK, on_behalf_of)
        outcome = await self._desk.checker.check(url, terms.headers)
        with contextlib.suppress(Fault):  # what was learnt is worth less than the answer
            await self._learn(bucket, image, outcome)
        if outcome.reason is not None:
            evidence = {"provider_code": outcome.provider_code} if outcome.provider_code else {}
            if outcome.status:
                evidence["http_status"] = str(outcome.status)
            raise Fault(outcome.reason, _MEANINGS[outcome.reason].message, evidence)

    async def _learn(self, bucket: Bucket, image: Image, outcome: CheckOutcome) -> None:
        """Writes down the bucket's health and the image's state where they aren't known."""
        desk, now = self._desk, self._desk.now()
        health, source = Health(HealthState.HEALTHY, "", now), SourceState.AVAILABLE
        if outcome.reason is not None:
            meaning = _MEANINGS[outcome.reason]
            state = meaning.health
            if outcome.provider_code == "NoSuchBucket":
                state = HealthState.BROKEN
            reason = "" if state is HealthState.HEALTHY else str(outcome.reason)
            health = Health(state, reason, now)
            source = meaning.source or image.source.state
        known = bucket.health
        stale = known.check_time is None or now - known.check_time > _HEALTH_AGE
        new_health = stale or (known.state, known.reason) != (health.state, health.reason)
        new_source = source is not image.source.state
        if not new_health and not new_source:
            return
        async with desk.database.write() as tx:
            if new_source:
                await desk.images.set_source_state(tx, bucket.uid, image.image_id, source, now)
            if new_health:
                await desk.buckets.set_health(tx, bucket.uid, health)

    async def batch(
        self, ref: BucketRef, ids: Sequence[str], options: ViewOptions, on_behalf_of: str
    ) -> tuple[Terms | None, list[Url]]:
        """An outcome per id, in their order; terms when one of them is a URL.

        RESOURCE_NOT_FOUND (the bucket) and the Signer's reasons for the batch as a whole. An
        outcome of the Catalog's own has code 0: its reason tells the code.
        """
        desk = self._desk
        async with desk.database.read() as tx:
            bucket = await desk.bucket(tx, ref)
            found = await desk.images.by_ids(tx, bucket.uid, ids)
        outcomes = {one: _refusal(found.get(one)) for one in ids}
        wanted = [one for one, refusal in outcomes.items() if refusal is None]
        if not wanted:
            return None, [_known(outcomes[one]) for one in ids]
        objects = [_to_sign(found[one]) for one in wanted]
        terms, urls = await desk.signer.object_urls(bucket.binding, objects, options, on_behalf_of)
        outcomes.update(zip(wanted, urls, strict=True))
        any_url = any(url.url for url in urls)
        return terms if any_url else None, [_known(outcomes[one]) for one in ids]


def _known(outcome: Url | None) -> Url:
    return outcome or Url(reason=Reason.INTERNAL)


def _refusal(image: Image | None) -> Url | None:
    """Why the image has no URL, or None."""
    if image is None:
        return Url(
            reason=Reason.RESOURCE_NOT_FOUND,
            message="The resource doesn't exist, or the caller has no access to it.",
        )
    if image.excluded:
        return Url(
            reason=Reason.IMAGE_EXCLUDED,
            message="The image was deleted here. Import its key to bring it back.",
        )
    if image.source.state is SourceState.UNSIGNABLE:
        return Url(
            reason=Reason.IMAGE_UNSIGNABLE, message="The image's key can't be signed for safely."
        )
    return None


def _to_sign(image: Image) -> ObjectToSign:
    """A version only of what is there: of anything else the newest may show what became of it."""
    known = image.source.state is SourceState.AVAILABLE and bool(image.source.version)
    media_type = image.info.media_type
    return ObjectToSign(
        key=image.key,
        version=image.source.version if known else "",
        version_epoch=image.source.version_epoch if known else 0,
        content_type=media_type if media_type in RESPONSE_TYPES else "",
    )
