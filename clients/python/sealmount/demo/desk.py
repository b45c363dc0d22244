"""What an operator and a viewer do, as one method per deed: the demo's and the tests' client.

desk = Desk(deployment, "acme")
desk.store("photos-1", key, [store.origin])
desk.bind("photos", "photos-1", s3(store.origin))
desk.mount("photos", "photos")
"""

import uuid
from collections.abc import Iterator, Sequence
from typing import Self

from google.longrunning import operations_pb2, operations_pb2_grpc

from sealmount.catalog.v1 import resources_pb2 as catalog
from sealmount.catalog.v1 import service_pb2 as mounting
from sealmount.catalog.v1.service_pb2_grpc import CatalogServiceStub
from sealmount.commands.deployment import Deployment
from sealmount.demo.stores import BUCKET, REGION, Key
from sealmount.signer.v1 import material_pb2 as material
from sealmount.signer.v1 import resources_pb2 as signer
from sealmount.signer.v1 import service_pb2 as signing
from sealmount.signer.v1.service_pb2_grpc import SignerServiceStub
from sealmount.type.v1 import location_pb2 as location
from sealmount.type.v1 import signing_pb2 as common

SECONDS = 15.0
_READ_AND_LIST = (common.PERMISSION_READ, common.PERMISSION_LIST)
BATCH = 1000


def s3(origin: str) -> location.Location:
    """The demo's bucket at one of its stores."""
    place = location.S3Location(bucket=BUCKET, region=REGION, endpoint=origin, path_style=True)
    return location.Location(s3=place)


class Desk:
    """Calls for one project. The operator's and the viewer's rights come from the policy file.

    Every method raises ``grpc.RpcError`` when it is refused, and answers within 15 seconds.
    """

    def __init__(self, deployment: Deployment, project: str) -> None:
        self.parent = f"projects/{project}"
        self._channels = [
            deployment.connect(who, address)
            for who in ("operator", "viewer")
            for address in (deployment.signer, deployment.catalog)
        ]
        operator, self._editor, viewer, looker = self._channels
        self.signer = SignerServiceStub(operator)
        self.catalog = CatalogServiceStub(self._editor)
        self._signing = SignerServiceStub(viewer)
        self._viewing = CatalogServiceStub(looker)

    def credential(self, credential_id: str) -> str:
        return f"{self.parent}/credentials/{credential_id}"

    def binding(self, binding_id: str) -> str:
        return f"{self.parent}/bindings/{binding_id}"

    def bucket(self, bucket_id: str) -> str:
        return f"{self.parent}/buckets/{bucket_id}"

    # credentials

    def store(self, credential_id: str, key: Key, origins: Sequence[str]) -> signer.Credential:
        """Stores a key that may read and list the bucket at these origins, and nothing else."""
        rules = [
            signer.ScopeRule(origin=origin, bucket=BUCKET, permissions=_READ_AND_LIST)
            for origin in origins
        ]
        access_key = material.AwsAccessKey(
            access_key_id=key.access_key_id, secret_access_key=key.secret_access_key
        )
        request = signing.StoreCredentialRequest(
            parent=self.parent,
            credential_id=credential_id,
            scope=signer.CredentialScope(rules=rules),
            plain=material.CredentialMaterial(aws_access_key=access_key),
            request_id=str(uuid.uuid4()),
        )
        return self.signer.StoreCredential(request, timeout=SECONDS)

    def describe(self, credential_id: str) -> signer.Credential:
        request = signing.DescribeCredentialRequest(name=self.credential(credential_id))
        return self.signer.DescribeCredential(request, timeout=SECONDS)

    def disable(self, credential_id: str) -> signer.Credential:
        request = signing.DisableCredentialRequest(name=self.credential(credential_id))
        return self.signer.DisableCredential(request, timeout=SECONDS)

    def destroy(self, credential_id: str) -> signer.Credential:
        request = signing.DestroyCredentialRequest(name=self.credential(credential_id))
        return self.signer.DestroyCredential(request, timeout=SECONDS)

    # bindings

    def bind(self, binding_id: str, credential_id: str, place: location.Location) -> signer.Binding:
        active = signer.BindingRevision(credential=self.credential(credential_id), location=place)
        binding = signer.Binding(permissions=_READ_AND_LIST, active=active)
        # "class" is a keyword of Python.
        setattr(binding, "class", signer.Binding.CLASS_CUSTOMER)
        request = signing.CreateBindingRequest(
            parent=self.parent, binding_id=binding_id, binding=binding
        )
        return self.signer.CreateBinding(request, timeout=SECONDS)

    def rotate(
        self, binding_id: str, credential_id: str, place: location.Location | None = None
    ) -> signer.Binding:
        """To another credential and, if ``place`` is given, to another store."""
        request = signing.RotateBindingRequest(
            name=self.binding(binding_id),
            credential=self.credential(credential_id),
            location=place,
            etag=self._etag(binding_id),
            request_id=str(uuid.uuid4()),
        )
        return self.signer.RotateBinding(request, timeout=SECONDS)

    def roll_back(self, binding_id: str) -> signer.Binding:
        """To the credential and location of the revision before the active one."""
        request = signing.RollbackBindingRequest(
            name=self.binding(binding_id), etag=self._etag(binding_id)
        )
        return self.signer.RollbackBinding(request, timeout=SECONDS)

    def _etag(self, binding_id: str) -> str:
        request = signing.GetBindingRequest(name=self.binding(binding_id))
        return self.signer.GetBinding(request, timeout=SECONDS).etag

    def sign(self, binding_id: str, key: str) -> str:
        """One URL straight from the Signer, as a service with the role url.signer gets it."""
        request = signing.SignObjectUrlRequest(
            binding=self.binding(binding_id),
            object=signer.ObjectRef(key=key),
            on_behalf_of="demo",
        )
        return self._signing.SignObjectUrl(request, timeout=SECONDS).url

    # the mount

    def mount(self, bucket_id: str, binding_id: str, *, probe: bool = True) -> catalog.Bucket:
        """Nothing is imported yet; ``probe`` is whether images are looked into then."""
        policy = catalog.PROBE_POLICY_HEADERS if probe else catalog.PROBE_POLICY_NONE
        bucket = catalog.Bucket(
            binding=self.binding(binding_id), mode=catalog.MODE_LINK, probe_policy=policy
        )
        request = mounting.CreateBucketRequest(
            parent=self.parent, bucket_id=bucket_id, bucket=bucket
        )
        return self.catalog.CreateBucket(request, timeout=SECONDS)

    def start_import(self, bucket_id: str) -> str:
        """Imports what the store lists. The operation's name."""
        request = mounting.ImportImagesRequest(
            bucket=self.bucket(bucket_id),
            listing=mounting.ListingSource(),
            request_id=str(uuid.uuid4()),
            on_behalf_of="demo",
        )
        return str(self.catalog.ImportImages(request, timeout=SECONDS).name)

    def operation(self, name: str) -> operations_pb2.Operation:
        request = operations_pb2.GetOperationRequest(name=name)
        stub = operations_pb2_grpc.OperationsStub(self._editor)
        return stub.GetOperation(request, timeout=SECONDS)

    def images(self, bucket_id: str) -> list[catalog.Image]:
        """All of them, page by page."""
        return list(self._images(bucket_id))

    def _images(self, bucket_id: str) -> Iterator[catalog.Image]:
        token = ""
        while True:
            request = mounting.ListImagesRequest(
                parent=self.bucket(bucket_id), page_size=BATCH, page_token=token
            )
            page = self._viewing.ListImages(request, timeout=SECONDS)
            yield from page.images
            token = page.next_page_token
            if not token:
                return

    def urls(self, bucket_id: str, names: Sequence[str]) -> list[mounting.ImageUrlOutcome]:
        """An outcome per image, in the order of the names; at most 1,000."""
        request = mounting.BatchGetImageUrlsRequest(
            parent=self.bucket(bucket_id), names=names, on_behalf_of="demo"
        )
        return list(self._viewing.BatchGetImageUrls(request, timeout=SECONDS).outcomes)

    def url(self, name: str, *, check_object: bool = False) -> str:
        request = mounting.GetImageUrlRequest(
            name=name, check_object=check_object, on_behalf_of="demo"
        )
        return self._viewing.GetImageUrl(request, timeout=SECONDS).url

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for channel in self._channels:
            channel.close()
