"""Nothing is proven without evidence, and one row that fails is enough."""

import io

import pytest
from rich.console import Console
from sealmount.demo.evidence import Evidence
from sealmount.demo.fetching import access_key_of, origin_of


@pytest.mark.parametrize(
    ("rows", "holds"), [([], False), ([True], True), ([True, False], False), ([True, True], True)]
)
def test_it_holds_when_every_row_does(rows: list[bool], holds: bool) -> None:
    evidence = Evidence(Console(file=io.StringIO()))
    for row in rows:
        evidence.add("claim", row, "seen")
    assert evidence.holds is holds


def test_the_table_says_what_failed() -> None:
    console = Console(file=io.StringIO(), width=100)
    evidence = Evidence(console)
    evidence.add("the moon is cheese", False, "rock")
    console.print(evidence.table())
    assert isinstance(console.file, io.StringIO)
    assert "NO" in console.file.getvalue()


def test_a_url_tells_its_key_and_origin() -> None:
    url = "http://127.0.0.1:9000/b/k?X-Amz-Credential=AKIAX%2F20260101%2Fus-east-1&X-Amz-Date=1"
    assert access_key_of(url) == "AKIAX"
    assert access_key_of("http://127.0.0.1/x") == ""
    assert origin_of(url) == "http://127.0.0.1:9000"
