"""The Signer's tables against its contract: who may call what, and what each refusal is."""

import grpc
import pytest
from sealmount.signer.v1 import error_reasons_pb2

from serving.rules import HEALTH_RULES, REFLECTION_RULES, Access
from signer.domain.reasons import Reason
from signer.transport.access import ROLES, RULES
from signer.transport.errors import CODES, TABLE
from tests.fakes import contract_source
from tests.fakes.signer_rig import METHODS, request_class

SERVICE = "/sealmount.signer.v1.SignerService/"
RPCS = contract_source.rpcs()


def test_every_rpc_has_a_rule_and_every_rule_an_rpc() -> None:
    assert set(RULES) == {SERVICE + name for name in METHODS}


@pytest.mark.parametrize("method", METHODS)
def test_a_rule_reads_a_field_that_names_the_project(method: str) -> None:
    rule = RULES[SERVICE + method]
    assert rule.access is Access.ROLE
    assert isinstance(rule.resource, str)
    field = request_class(method).DESCRIPTOR.fields_by_name[rule.resource]
    assert field.type == field.TYPE_STRING
    assert (rule.while_unready, rule.quiet) == (False, False)
    assert rule.timeout is not None
    assert rule.max_timeout is not None


@pytest.mark.parametrize("method", METHODS)
def test_the_contract_says_who_may_call_and_the_table_agrees(method: str) -> None:
    assert RPCS[method].says_who
    assert RPCS[method].who == RULES[SERVICE + method].roles


@pytest.mark.parametrize("method", METHODS)
def test_the_contract_names_only_reasons_that_there_are(method: str) -> None:
    assert RPCS[method].fails
    assert RPCS[method].fails <= set(Reason)


def test_each_role_is_good_for_something_and_none_for_everything() -> None:
    reach = {role: {m for m, rule in RULES.items() if role in rule.roles} for role in ROLES}
    assert all(reach.values())
    assert max(map(len, reach.values())) < len(RULES)


def test_who_stores_credentials_cannot_place_them_and_the_catalog_can_neither() -> None:
    for low, high in (("StoreCredential", "CreateBinding"), ("StoreCredential", "RotateBinding")):
        assert not RULES[SERVICE + low].roles & RULES[SERVICE + high].roles
    changing = ("Store", "Destroy", "Disable", "Enable", "Create", "Delete", "Rotate", "Rollback")
    for method, rule in RULES.items():
        if method.removeprefix(SERVICE).startswith(changing):
            assert not rule.roles & {"catalog", "viewer", "url.signer"}


def test_only_health_is_open_to_callers_without_a_role() -> None:
    assert {path.split("/")[1] for path in HEALTH_RULES} == {"grpc.health.v1.Health"}
    assert all(rule.access is Access.KNOWN for rule in REFLECTION_RULES.values())


def test_every_reason_has_a_code_and_none_is_ok() -> None:
    assert set(CODES) == set(Reason)
    assert grpc.StatusCode.OK not in CODES.values()
    assert grpc.StatusCode.UNKNOWN not in CODES.values()
    assert TABLE is not None


def test_reasons_are_those_of_the_contract() -> None:
    documented = {
        name.removeprefix("ERROR_REASON_")
        for name in error_reasons_pb2.ErrorReason.DESCRIPTOR.values_by_name
    }
    assert documented == {*Reason, "UNSPECIFIED"}


@pytest.mark.parametrize("service", ["signer", "catalog"])
def test_every_reason_has_a_worked_example(service: str) -> None:
    examples = contract_source.reasons(service)
    assert {name: example.reason for name, example in examples.items()} == {n: n for n in examples}
    assert service == "catalog" or set(examples) == set(Reason)
