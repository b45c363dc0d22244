"""What the two images hold: each its own service, and nothing of what the other needs.

Each service is imported whole, module by module, in a process in which the packages that its image
lacks can't be found.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.needs import ROOT

SDKS = ("boto3", "botocore", "azure", "google.cloud", "google.auth")
# What only the tests, the demo and the tools use.
DEVELOPMENT = ("pytest", "hypothesis", "moto", "flask", "requests", "grpc_tools", "tests", "tools")
DEMO = ("rich", "PIL")
LACKS = {
    "signer": ("catalog", "aiohttp", "dbos", "imagesize", *SDKS, *DEVELOPMENT, *DEMO),
    "catalog": ("signer", *SDKS, *DEVELOPMENT, *DEMO),
}
PROBE = """
import importlib, pkgutil, sys

class Lacking:
    def find_spec(self, name, path=None, target=None):
        if any(name == lack or name.startswith(lack + ".") for lack in sys.argv[2].split(",")):
            raise ModuleNotFoundError(f"the image lacks {name}", name=name)

sys.meta_path.insert(0, Lacking())
for room in (sys.argv[1], "serving"):
    package = importlib.import_module(room)
    for module in pkgutil.walk_packages(package.__path__, room + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
            print(module.name)
importlib.import_module("sealmount.cli").parser().print_help()
"""


def imported(service: str, lacks: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", PROBE, service, ",".join(lacks)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )


@pytest.mark.parametrize("service", sorted(LACKS))
def test_a_service_runs_on_its_own_image(service: str) -> None:
    result = imported(service, LACKS[service])
    assert result.returncode == 0, result.stderr
    assert f"{service}.bootstrap" in result.stdout.splitlines()
    assert "make a local certificate authority" in result.stdout


def test_the_probe_sees_what_is_lacking() -> None:
    assert "the image lacks sqlalchemy" in imported("catalog", ("sqlalchemy",)).stderr


@pytest.mark.parametrize(
    ("service", "absent"),
    [("catalog", ("boto3", "botocore", "azure-", "google-cloud", "google-auth", "moto", "rich")),
     ("signer", ("boto3", "aiohttp", "dbos", "imagesize", "azure-", "google-cloud", "rich"))],
)  # fmt: skip
def test_the_lock_installs_no_more(service: str, absent: tuple[str, ...]) -> None:
    command = ["uv", "export", "--frozen", "--offline", "--no-default-groups", "--no-hashes"]
    command += ["--no-emit-workspace", "--no-annotate", "--no-header", "--extra", service]
    command[0] = str(Path(sys.executable).with_name("uv"))
    result = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    packages = [line.split("==")[0] for line in result.stdout.splitlines()]
    assert "grpcio" in packages
    assert [p for p in packages if p.startswith(absent)] == []


def stages() -> dict[str, str]:
    """The Dockerfile's stages, by name, with what they build on."""
    text = (ROOT / "Dockerfile").read_text()
    parts = re.split(r"^FROM (\S+) AS (\S+)$", text, flags=re.MULTILINE)[1:]
    own = {name: body for _, name, body in zip(*[iter(parts)] * 3, strict=True)}
    base = dict(zip(parts[1::3], parts[0::3], strict=True))
    return {name: body + own.get(base[name], "") for name, body in own.items()}


@pytest.mark.parametrize(("service", "other"), [("signer", "catalog"), ("catalog", "signer")])
def test_an_image_copies_its_own_service(service: str, other: str) -> None:
    copied = re.findall(r"^COPY (?:--from=(\S+) )?(\S+)", stages()[service], re.MULTILINE)
    sources = {f"{stage}:{path}" if stage else path for stage, path in copied}
    assert sources == {f"{service}-venv:/venv", service, "serving", "clients/python/sealmount"}
    assert "USER 10001" in stages()[service]
    assert f"--extra {other}" not in stages()[f"{service}-venv"]


def test_the_images_use_the_locked_uv() -> None:
    lock = (ROOT / "uv.lock").read_text()
    locked = re.search(r'^name = "uv"\nversion = "(.+)"$', lock, re.MULTILINE)
    assert locked is not None
    assert f"uv=={locked[1]}" in stages()["tools"]
