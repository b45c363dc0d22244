"""The documents' linter fails on what it is there for, and on nothing else."""

import subprocess
from pathlib import Path

import pytest

from tools import docs_lint

PROTO = """
service S { rpc StoreCredential(Q) returns (R); rpc GetBinding(Q) returns (R); }
message GetBindingRequest {}
enum ErrorReason { ERROR_REASON_KEY_UNSIGNABLE = 1; }
enum Mode { MODE_LINK = 1; }
  ERROR_REASON_STATE_STALE = 2;
"""


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A repository with a Makefile, a contract and one document to link to."""
    (tmp_path / "Makefile").write_text("demo: x\n\techo\ntest:\n\ttrue\n")
    (tmp_path / "protos").mkdir()
    (tmp_path / "protos" / "s.proto").write_text(PROTO.replace(" ERROR", "\n ERROR"))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "other.md").write_text("# A heading, `coded`\n")
    return tmp_path


def offences(root: Path, text: str) -> list[str]:
    page = root / "docs" / "page.md"
    page.write_text(text)
    return list(docs_lint.lint(page, root, docs_lint.known(root)))


HOME = "/ho" + "me"  # put together here, since the house's own linter reads this file, too
STORE = "example.Service/StoreCredential"
BAD = {
    "broken link": ("See [that](missing.md).", "no such file"),
    "broken image": ("![that](/docs/missing.png)", "no such file"),
    "broken anchor": ("See [that](other.md#nothing).", "no such heading"),
    "broken own anchor": ("# Here\n[that](#there)", "no such heading"),
    "home path": (f"Look into {HOME}/someone/x.", "path of one machine"),
    "path in a block": (f"```\ncat {HOME}/someone/x\n```", "path of one machine"),
    "unknown target": ("Run `make tea`.", "make tea"),
    "unknown target in a block": ("```\nmake tea\n```", "make tea"),
    "second target": ("```sh\nmake X=1 tea\n```", "make tea"),
    "unknown reason": ("It says `KEY_UNSIGNED`.", "KEY_UNSIGNED"),
    "unknown call": ("Call `GetBindings`.", "GetBindings"),
    "secret in single quotes": (f"```\ngrpcurl -d '{{\"k\": 1}}' h {STORE}\n```", "-d @"),
    "secret in double quotes": (f'```\ngrpcurl -d "{{}}" h {STORE}\n```', "-d @"),
    "secret behind an equals sign": (f"```\nbuf curl --data='{{}}' h/{STORE}\n```", "-d @"),
    "secret over several lines": (f"```\ngrpcurl \\\n  -d '{{}}' \\\n  h {STORE}\n```", "-d @"),
    "secret without a space": (f"```\ngrpcurl -d'{{}}' h {STORE}\n```", "-d @"),
    "secret from a variable": (f"```\ngrpcurl -d $KEY h {STORE}\n```", "-d @"),
    "secret echoed": (f"```\necho '{{\"secretAccessKey\"}}' | grpcurl -d @ {STORE}\n```", "-d @"),
}
GOOD = {
    "links": "[a](other.md) [b](/docs/other.md#a-heading-coded) [c](https://example.com/x.md)",
    "own anchor": "# Here there\n[that](#here-there)",
    "targets": "`make demo` and `make IMAGES=x demo`, and make sure of it.\n```\nmake test\n```",
    "reasons": "`KEY_UNSIGNABLE`, `ERROR_REASON_STATE_STALE`, `LINK`, `NOT_FOUND`",
    "environment": "`SEALMOUNT_REQUIRE` and `SEALMOUNT_SIGNER_TLS_KEY`",
    "calls": "`GetBinding`, `GetBindingRequest`, `GetBinding()`, `SomethingElse`",
    "stdin": f'```\ngrpcurl -d @ h {STORE} <<\'JSON\'\n{{"secretAccessKey": "…"}}\nJSON\n```',
    "quoted stdin": f"```\ngrpcurl -d '@' h {STORE} < key.json\n```",
    "no secret": '```\ngrpcurl -d \'{"name": "x"}\' h example.Service/GetBinding\n```',
    "code isn't prose": "```\n[that](missing.md) `KEY_UNSIGNED`\n```",
}


@pytest.mark.parametrize(("text", "says"), BAD.values(), ids=BAD.keys())
def test_bad_documents_are_refused(root: Path, text: str, says: str) -> None:
    found = offences(root, text)
    assert len(found) == 1
    assert says in found[0]


@pytest.mark.parametrize("text", GOOD.values(), ids=GOOD.keys())
def test_good_documents_pass(root: Path, text: str) -> None:
    assert offences(root, text) == []


def test_an_offence_is_named_by_file_and_line(root: Path) -> None:
    assert offences(root, "fine\n\n[x](y.md)\n")[0].startswith("docs/page.md:3: ")


@pytest.mark.parametrize(("text", "code"), [("[x](y.md)", 1), ("[x](page.md)", 0)])
def test_the_command_says_so_by_its_exit_code(
    root: Path, capsys: pytest.CaptureFixture[str], text: str, code: int
) -> None:
    (root / "docs" / "page.md").write_text(text)
    subprocess.run(["git", "init", "-q", str(root)], check=True)
    assert docs_lint.main([str(root)]) == code
    assert f"{code} offences in 2 documents" in capsys.readouterr().out
