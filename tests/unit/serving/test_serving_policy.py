"""The policy file: what it grants, and that anything unexpected in it is refused with its place."""

from pathlib import Path

import pytest

from serving.policy import LivePolicy, Policy, PolicyError, load, parse

ROLES = {"catalog", "operator", "viewer"}
CATALOG = "spiffe://example.org/catalog"
PEOPLE = "spiffe://example.org/people"
GOOD = f"""
# who may do what
[[grant]]
identity = "{CATALOG}"
roles = ["catalog"]
projects = ["*"]

[[grant]]
identity = "{CATALOG}"
roles = ["viewer"]
projects = ["acme"]

[[grant]]
identity = "{PEOPLE}"
roles = ["operator", "viewer"]
projects = ["acme", "beta"]
"""


def test_what_a_policy_grants() -> None:
    policy = parse(GOOD, ROLES)
    assert policy.roles(CATALOG, "acme") == {"catalog", "viewer"}
    assert policy.roles(CATALOG, "anything") == {"catalog"}
    assert policy.roles(PEOPLE, "beta") == {"operator", "viewer"}
    assert policy.roles(PEOPLE, "gamma") == frozenset()
    assert policy.roles("spiffe://example.org/nobody", "acme") == frozenset()
    assert policy.roles_anywhere(CATALOG) == {"catalog", "viewer"}
    assert policy.knows(PEOPLE)
    assert not policy.knows("spiffe://example.org/nobody")


def test_a_star_is_no_project_that_one_can_name() -> None:
    assert parse(GOOD, ROLES).roles(PEOPLE, "*") == frozenset()


def test_no_grant_allows_nothing() -> None:
    assert parse("", ROLES).roles(CATALOG, "acme") == frozenset()
    assert not Policy().knows(CATALOG)


def test_a_policy_is_swapped_as_a_whole() -> None:
    live = LivePolicy(parse(GOOD, ROLES))
    live.swap(Policy())
    assert not live.knows(PEOPLE)
    assert live.roles(CATALOG, "acme") == live.roles_anywhere(CATALOG) == frozenset()


def grant(**changes: str) -> str:
    parts = {"identity": f'"{CATALOG}"', "roles": '["catalog"]', "projects": '["acme"]', **changes}
    lines = "\n".join(f"{key} = {value}" for key, value in parts.items() if value)
    return f"[[grant]]\n{lines}\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (grant() + grant(roles='["root"]'), r"grant 2 \(line 5\): unknown role 'root'; known are"),
        (grant(identity='"catalog"'), r"grant 1 \(line 1\): identity 'catalog' is no spiffe://"),
        (grant(identity='"spiffe://example.org"'), "is no spiffe://"),
        (grant(identity='"spiffe://example.org/a/../b"'), "is no spiffe://"),
        (grant(identity='"spiffe://Example.org/a"'), "is no spiffe://"),
        (grant(identity='"spiffe://example.org/a?b"'), "is no spiffe://"),
        (grant(identity="7"), "is no spiffe://"),
        (grant(project='["acme"]'), "unknown key 'project'; the keys are identity, projects"),
        (grant(projects=""), "'projects' is missing"),
        (grant(projects="[]"), "projects must be a list of one or more strings"),
        (grant(projects='"acme"'), "projects must be a list"),
        (grant(projects='["Acme"]'), "'Acme' is no project id"),
        (grant(projects='["acme-"]'), "'acme-' is no project id"),
        (grant(projects='["acme\\n"]'), "is no project id"),
        (grant(projects='["acme", "acme"]'), "holds the same entry twice"),
        (grant(roles="[1]"), "roles must be a list"),
        ("[grant]\n", "with two brackets"),
        ("[[grants]]\n", "unknown key 'grants'"),
        ('grant = ["x"]', "grant 1: must be a table"),
        ("[[grant]\n", r"no valid TOML: .*line 1"),
    ],
)
def test_what_is_refused(text: str, message: str) -> None:
    with pytest.raises(PolicyError, match=message):
        parse(text, ROLES)


def test_loading(tmp_path: Path) -> None:
    file = tmp_path / "policy.toml"
    file.write_text(GOOD)
    assert load(file, ROLES).knows(PEOPLE)
    file.write_bytes(b"\xff")
    with pytest.raises(PolicyError, match="UTF-8"):
        load(file, ROLES)
    with pytest.raises(FileNotFoundError):
        load(tmp_path / "none.toml", ROLES)
