"""The Catalog's tables against its contract: nothing missing, nothing left over."""

from enum import StrEnum
from typing import Any

import pytest
from google.longrunning import operations_pb2
from grpc import StatusCode
from sealmount.catalog.v1 import error_reasons_pb2, resources_pb2, service_pb2
from sealmount.signer.v1 import error_reasons_pb2 as signer_reasons_pb2

from catalog.app.urls import _MEANINGS
from catalog.domain import model
from catalog.domain.ports import SIGNER_DOMAIN
from catalog.domain.reasons import Reason
from catalog.transport import errors
from catalog.transport.access import EDITOR, ROLES, RULES, VIEWER
from serving.rules import GateReasons

SERVICES = [
    service_pb2.DESCRIPTOR.services_by_name["CatalogService"],
    operations_pb2.DESCRIPTOR.services_by_name["Operations"],
]
# Said here once more, by hand, so that a role given by mistake is seen.
EDITORS_ONLY = {
    "CreateBucket",
    "UpdateBucket",
    "DeleteBucket",
    "ImportImages",
    "DeleteImage",
    "CancelOperation",
    "DeleteOperation",
}


def test_every_rpc_has_a_rule_and_every_rule_an_rpc() -> None:
    rpcs = {f"/{s.full_name}/{m.name}" for s in SERVICES for m in s.methods}
    assert set(RULES) == rpcs


def test_roles_are_those_of_the_comments() -> None:
    for method, rule in RULES.items():
        wanted = {EDITOR} if method.rsplit("/", 1)[1] in EDITORS_ONLY else {EDITOR, VIEWER}
        assert rule.roles == wanted, method
        assert rule.roles <= ROLES


def test_every_rule_names_a_field_of_its_request() -> None:
    methods = {f"/{s.full_name}/{m.name}": m for s in SERVICES for m in s.methods}
    for name, rule in RULES.items():
        assert isinstance(rule.resource, str)
        message = methods[name].input_type
        for part in rule.resource.split("."):
            field = message.fields_by_name[part]
            message = field.message_type
        assert field.type == field.TYPE_STRING, name


def test_reasons_are_those_of_the_contract() -> None:
    names = error_reasons_pb2.ErrorReason.keys()
    documented = {name.removeprefix("ERROR_REASON_") for name in names} - {"UNSPECIFIED"}
    assert {str(reason) for reason in Reason} == documented
    assert all(reason.name == reason.value for reason in Reason)


def test_every_reason_has_a_code() -> None:
    assert set(errors.CODES) == set(Reason)
    assert StatusCode.OK not in errors.CODES.values()
    GateReasons.of(Reason)


def test_the_signers_reasons_are_the_signers() -> None:
    documented = set(signer_reasons_pb2.ErrorReason.keys())
    assert {f"ERROR_REASON_{name}" for name in errors._SIGNER_CODES} <= documented


@pytest.mark.parametrize(
    ("reason", "domain", "code"),
    [
        ("STORE_FORBIDDEN", "", StatusCode.FAILED_PRECONDITION),
        ("RESOURCE_NOT_FOUND", SIGNER_DOMAIN, StatusCode.NOT_FOUND),
        ("CREDENTIAL_DISABLED", SIGNER_DOMAIN, StatusCode.FAILED_PRECONDITION),
        ("NOBODYS", "", StatusCode.INTERNAL),
    ],
)
def test_codes_of_kept_reasons(reason: str, domain: str, code: StatusCode) -> None:
    assert errors.code_of(reason, domain) == code.value[0]


def test_a_failed_operation_carries_one_error_info() -> None:
    fault = model.OperationFault("STORE_FORBIDDEN", "Refused.", "", {"http_status": "403"})
    status = errors.operation_error(fault)
    assert (status.code, status.message, len(status.details)) == (9, "Refused.", 1)
    assert b"catalog.sealmount.dev" in status.details[0].value


@pytest.mark.parametrize(
    ("enum", "prefix", "of"),
    [
        (resources_pb2.Mode, "MODE_", model.Mode),
        (resources_pb2.ProbePolicy, "PROBE_POLICY_", model.ProbePolicy),
        (resources_pb2.Health.State, "STATE_", model.HealthState),
        (resources_pb2.SourceInfo.State, "STATE_", model.SourceState),
        (resources_pb2.ImageInfo.State, "STATE_", model.InfoState),
        (service_pb2.ImportImagesMetadata.Phase, "PHASE_", model.Phase),
    ],
)
def test_enums_are_the_same(enum: Any, prefix: str, of: type[StrEnum]) -> None:
    names = {name.removeprefix(prefix) for name in list(enum.keys())}
    assert names - {"UNSPECIFIED"} == {str(one) for one in of} - {"UNSPECIFIED"}


def test_each_way_a_look_can_fail_has_a_meaning() -> None:
    assert {r for r in Reason if r.startswith(("STORE_", "OBJECT_"))} == set(_MEANINGS)
