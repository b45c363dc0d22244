"""No message that leaves could carry a secret: the contract itself makes the seal visible."""

from typing import Any

import pytest
from google.api import field_behavior_pb2
from google.longrunning import operations_pb2  # type: ignore[import-untyped,unused-ignore]
from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, struct_pb2
from google.rpc import status_pb2
from sealmount.catalog.v1 import service_pb2 as catalog_pb2
from sealmount.signer.v1 import material_pb2
from sealmount.signer.v1 import service_pb2 as signer_pb2
from sealmount.type.v1 import sensitivity_pb2

from tests.fakes import contract_walk as walk

SIGNER = signer_pb2.DESCRIPTOR.services_by_name["SignerService"]
CATALOG = catalog_pb2.DESCRIPTOR.services_by_name["CatalogService"]
SERVICES = pytest.mark.parametrize("service", [SIGNER, CATALOG], ids=lambda s: s.name)
Field = descriptor_pb2.FieldDescriptorProto


@SERVICES
def test_no_response_could_carry_a_secret_and_no_request_takes_one_elsewhere(service: Any) -> None:
    assert walk.offences(service) == []


def test_material_is_reachable_from_one_request_alone() -> None:
    ways = [
        f"{method.name} {side}"
        for service in (SIGNER, CATALOG)
        for method in service.methods
        for side, start in [("in", method.input_type)] + [("out", r) for r in walk.results(method)]
        if walk.MATERIAL in walk.reachable(start)
    ]
    assert ways == ["StoreCredential in"]


def test_every_leaf_of_the_material_is_sealed() -> None:
    found = walk.reachable(material_pb2.CredentialMaterial.DESCRIPTOR).values()
    fields = [field for message, _ in found for field in message.fields]
    assert len(fields) >= 4
    assert {walk.sensitivity(field) for field in fields} == {walk.SEALED}


def test_operations_are_walked_through() -> None:
    messages = {
        message
        for method in CATALOG.methods
        for result in walk.results(method)[1:]
        for message in walk.reachable(result)
    }
    assert "sealmount.catalog.v1.Bucket" in messages or len(messages) >= 2


@SERVICES
def test_every_field_of_a_request_says_how_it_behaves(service: Any) -> None:
    assert walk.without_behavior(service) == []


class Bad:
    """A contract of one RPC, ``Bad(BadRequest) returns (BadResponse)``, built to be wrong."""

    def __init__(self) -> None:
        self.file = descriptor_pb2.FileDescriptorProto(
            name="bad/v1/bad.proto",
            package="bad.v1",
            syntax="proto3",
            dependency=["google/protobuf/any.proto", "google/protobuf/struct.proto"],
        )
        self.file.dependency.append("sealmount/signer/v1/material.proto")
        self.file.dependency.append("google/longrunning/operations.proto")
        self.request = self.file.message_type.add(name="BadRequest")
        self.response = self.file.message_type.add(name="BadResponse")
        self.deep = self.file.message_type.add(name="Deep")
        service = self.file.service.add(name="BadService")
        self.method = service.method.add(
            name="Bad", input_type=".bad.v1.BadRequest", output_type=".bad.v1.BadResponse"
        )

    def put(self, message: Any, name: str, kind: str = "", **options: Any) -> Any:
        field = message.field.add(
            name=name, number=len(message.field) + 1, label=Field.LABEL_OPTIONAL
        )
        field.type = Field.TYPE_MESSAGE if kind else Field.TYPE_STRING
        if kind:
            field.type_name = f".{kind}"
        sensitivity = options.pop("sensitivity", None)
        if sensitivity is not None:
            field.options.Extensions[sensitivity_pb2.sensitivity] = sensitivity
        for behavior in options.pop("behaviors", []):
            field.options.Extensions[field_behavior_pb2.field_behavior].append(behavior)
        if options.pop("redacted", False):
            field.options.debug_redact = True
        return field

    def offences(self) -> list[str]:
        pool = descriptor_pool.DescriptorPool()
        for known in (any_pb2, struct_pb2, status_pb2, operations_pb2, material_pb2):
            self._copy(pool, known.DESCRIPTOR)
        pool.Add(self.file)
        return walk.offences(pool.FindServiceByName("bad.v1.BadService"))

    def _copy(self, pool: Any, file: Any) -> None:
        try:
            pool.FindFileByName(file.name)
        except KeyError:
            for needed in file.dependencies:
                self._copy(pool, needed)
            proto = descriptor_pb2.FileDescriptorProto()
            file.CopyToProto(proto)
            pool.Add(proto)


def test_a_good_contract_passes() -> None:
    bad = Bad()
    bad.put(bad.response, "name")
    bad.put(bad.response, "next_page_token", sensitivity=sensitivity_pb2.SENSITIVITY_PUBLIC)
    bad.put(bad.response, "url", sensitivity=walk.BEARER)
    bad.put(bad.request, "name")
    assert bad.offences() == []


@pytest.mark.parametrize(
    ("name", "kind", "options", "says"),
    [
        ("plain", "", {"sensitivity": walk.SEALED}, "is SEALED and would be returned"),
        ("plain", "", {"redacted": True}, "is redacted and would be returned"),
        ("detail", "google.protobuf.Any", {}, "could hold anything"),
        ("labels", "google.protobuf.Struct", {}, "could hold anything"),
        ("label", "google.protobuf.Value", {}, "could hold anything"),
        ("leak", "sealmount.signer.v1.CredentialMaterial", {}, "holds credential material"),
        ("leak", "sealmount.signer.v1.AwsAccessKey", {}, "is SEALED and would be returned"),
        ("download_url", "", {}, "is a URL and not BEARER"),
        ("url", "", {"sensitivity": sensitivity_pb2.SENSITIVITY_PUBLIC}, "is a URL and not BEARER"),
        ("client_secret", "", {}, "smells"),
        ("session_token", "", {}, "smells"),
        ("password", "", {}, "smells"),
        ("credential_json", "", {}, "smells"),
        ("access_key", "", {}, "smells"),
        ("account_key", "", {}, "smells"),
        ("private_pem", "", {}, "smells"),
        ("signature", "", {}, "smells"),
        ("sas", "", {}, "smells"),
    ],
)
@pytest.mark.parametrize("nested", [False, True], ids=["at the top", "below"])
def test_a_response_that_could_leak_is_found(
    name: str, kind: str, options: dict[str, Any], says: str, nested: bool
) -> None:
    bad = Bad()
    if nested:
        bad.put(bad.response, "deep", "bad.v1.Deep")
    bad.put(bad.deep if nested else bad.response, name, kind, **dict(options))
    assert any(says in offence for offence in bad.offences())


@pytest.mark.parametrize("side", ["response_type", "metadata_type"])
def test_what_an_operation_ends_in_is_looked_at_too(side: str) -> None:
    bad = Bad()
    bad.method.output_type = ".google.longrunning.Operation"
    info = bad.method.options.Extensions[operations_pb2.operation_info]
    info.response_type = info.metadata_type = "bad.v1.BadResponse"
    setattr(info, side, "Deep")
    bad.put(bad.deep, "client_secret")
    assert any("client_secret" in offence for offence in bad.offences())


def test_an_operation_that_hides_what_it_ends_in_is_found() -> None:
    bad = Bad()
    bad.method.output_type = ".google.longrunning.Operation"
    assert bad.offences() == ["Bad: an operation without operation_info"]


@pytest.mark.parametrize(
    ("name", "kind", "options", "says"),
    [
        ("plain", "", {"sensitivity": walk.SEALED}, "but not debug_redact and INPUT_ONLY"),
        ("plain", "", {"sensitivity": walk.SEALED, "redacted": True}, "INPUT_ONLY"),
        (
            "plain",
            "",
            {"sensitivity": walk.SEALED, "behaviors": [walk.Behavior.INPUT_ONLY]},
            "but not debug_redact",
        ),
        ("plain", "sealmount.signer.v1.CredentialMaterial", {}, "takes credential material"),
        ("plain", "sealmount.signer.v1.AwsAccessKey", {}, "is SEALED outside of"),
        ("anything", "google.protobuf.Any", {}, "could hold anything"),
        ("secret", "", {}, "smells"),
    ],
)
def test_a_request_that_takes_secrets_elsewhere_is_found(
    name: str, kind: str, options: dict[str, Any], says: str
) -> None:
    bad = Bad()
    bad.put(bad.request, name, kind, **dict(options))
    assert any(says in offence for offence in bad.offences())
