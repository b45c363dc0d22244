"""Resource names of the Catalog (AIP-122), parsed strictly and made again the same way."""

import re
from dataclasses import dataclass

from serving.names import PROJECT_ID

RESOURCE_ID = r"[a-z](?:[a-z0-9-]{0,61}[a-z0-9])?"
# An image's id is 26 characters of lower-case base32: catalog.domain.model.image_id.
_IMAGE_ID = r"[a-z2-7]{26}"
_PROJECT = re.compile(rf"projects/({PROJECT_ID})")
_BUCKET = re.compile(rf"projects/({PROJECT_ID})/buckets/({RESOURCE_ID})")
_IMAGE = re.compile(rf"projects/({PROJECT_ID})/buckets/({RESOURCE_ID})/images/({_IMAGE_ID})")
_OPERATION = re.compile(rf"projects/({PROJECT_ID})/operations/({RESOURCE_ID})")
_BINDING = re.compile(rf"projects/({PROJECT_ID})/bindings/({RESOURCE_ID})")
_ID = re.compile(RESOURCE_ID)


@dataclass(frozen=True, slots=True)
class BucketRef:
    project: str
    bucket_id: str

    @property
    def name(self) -> str:
        return f"projects/{self.project}/buckets/{self.bucket_id}"


@dataclass(frozen=True, slots=True)
class ImageRef:
    bucket: BucketRef
    image_id: str

    @property
    def name(self) -> str:
        return f"{self.bucket.name}/images/{self.image_id}"


@dataclass(frozen=True, slots=True)
class OperationRef:
    project: str
    operation_id: str

    @property
    def name(self) -> str:
        return f"projects/{self.project}/operations/{self.operation_id}"


def is_id(text: str) -> bool:
    """Whether ``text`` can be the id of a bucket: 1 to 63 of a-z, 0-9 and inner hyphens."""
    return _ID.fullmatch(text) is not None


def parse_project(name: str) -> str | None:
    found = _PROJECT.fullmatch(name)
    return found.group(1) if found else None


def parse_bucket(name: str) -> BucketRef | None:
    found = _BUCKET.fullmatch(name)
    return BucketRef(*found.groups()) if found else None


def parse_image(name: str) -> ImageRef | None:
    found = _IMAGE.fullmatch(name)
    return ImageRef(BucketRef(found.group(1), found.group(2)), found.group(3)) if found else None


def parse_operation(name: str) -> OperationRef | None:
    found = _OPERATION.fullmatch(name)
    return OperationRef(*found.groups()) if found else None


def binding_project(name: str) -> str | None:
    """The project of a binding's name, or None when it isn't one."""
    found = _BINDING.fullmatch(name)
    return found.group(1) if found else None
