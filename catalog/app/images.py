"""Looking at images, and excluding them."""

from collections.abc import Sequence

from catalog.app.desk import Desk
from catalog.app.refusals import not_found
from catalog.domain.model import Image
from catalog.domain.names import BucketRef, ImageRef


class Images:
    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    async def get(self, ref: ImageRef) -> Image:
        """RESOURCE_NOT_FOUND. An excluded image is there, and says so."""
        desk = self._desk
        async with desk.database.read() as tx:
            bucket = await desk.bucket(tx, ref.bucket, ref.name)
            found = await desk.images.by_ids(tx, bucket.uid, [ref.image_id])
        if ref.image_id not in found:
            raise not_found(ref.name)
        return found[ref.image_id]

    async def batch_get(self, bucket: BucketRef, ids: Sequence[str]) -> list[Image]:
        """In the order of ``ids``. RESOURCE_NOT_FOUND names the first that isn't there."""
        desk = self._desk
        async with desk.database.read() as tx:
            mounted = await desk.bucket(tx, bucket)
            found = await desk.images.by_ids(tx, mounted.uid, ids)
        for one in ids:
            if one not in found:
                raise not_found(ImageRef(bucket, one).name)
        return [found[one] for one in ids]

    async def list(
        self, bucket: BucketRef, prefix: str, show_excluded: bool, after: str, limit: int
    ) -> Sequence[Image]:
        """By key, byte by byte, beginning after the key ``after``. RESOURCE_NOT_FOUND."""
        desk = self._desk
        async with desk.database.read() as tx:
            mounted = await desk.bucket(tx, bucket)
            return await desk.images.page(tx, mounted.uid, prefix, after, show_excluded, limit)

    async def delete(self, ref: ImageRef) -> None:
        """Excludes the image; RESOURCE_NOT_FOUND when there never was one."""
        desk = self._desk
        async with desk.database.write() as tx:
            bucket = await desk.bucket(tx, ref.bucket, ref.name)
            if not await desk.images.exclude(tx, bucket.uid, ref.image_id, desk.now()):
                raise not_found(ref.name)
