"""Generates the clients' stubs from the contract, and checks them.

    python tools/protos.py generate   # writes clients/python/sealmount/{signer,catalog,type}
    python tools/protos.py check      # lint, format, breaking, stale stubs
    python tools/protos.py release    # makes the present contract the one not to break

Third-party protos come from the installed googleapis-common-protos wheel and are laid out in
.build/, which git ignores. The Python stubs are made with an older grpcio-tools, in an environment
of its own, so that they load beside older protobuf and grpcio releases, too.
"""

import filecmp
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import google.api

ROOT = Path(__file__).resolve().parent.parent
BUILD = ROOT / ".build" / "protos"
PYTHON = ROOT / "clients" / "python"
BASELINE = ROOT / "protos" / "released.binpb"
GENERATOR = ["--with", "grpcio-tools==1.80.0", "--with", "mypy-protobuf==5.1.0"]
THIRD_PARTY = [
    "google/api/annotations.proto",
    "google/api/client.proto",
    "google/api/field_behavior.proto",
    "google/api/http.proto",
    "google/api/launch_stage.proto",
    "google/api/resource.proto",
    "google/rpc/status.proto",
    "google/longrunning/operations.proto",
]


def _bin(name: str) -> str:
    return str(Path(sys.executable).parent / name)


def lay_out() -> None:
    """Builds the workspace that buf and protoc read: our contract beside the third-party protos."""
    shutil.rmtree(BUILD, ignore_errors=True)
    wheel = Path(next(iter(google.api.__path__))).parent
    for name in THIRD_PARTY:
        target = BUILD / "third_party" / name
        target.parent.mkdir(parents=True, exist_ok=True)
        source = wheel.parent / name
        if not source.exists():
            # The wheel ships it as operations_proto.proto but registers it as operations.proto.
            source = source.with_name(source.stem + "_proto.proto")
        shutil.copy(source, target)
    shutil.copytree(ROOT / "protos" / "sealmount", BUILD / "contract" / "sealmount")
    shutil.copy(ROOT / "protos" / "buf.yaml", BUILD / "buf.yaml")


def compile_python(out: Path) -> None:
    files = sorted(
        str(p.relative_to(BUILD / "contract")) for p in BUILD.rglob("sealmount/**/*.proto")
    )
    command = [
        _bin("uv") if Path(_bin("uv")).exists() else "uv",
        "run",
        "--no-project",
        "--isolated",
    ]
    command += [*GENERATOR, "python", "-m", "grpc_tools.protoc", "-Icontract", "-Ithird_party"]
    command += [f"--{kind}_out={out}" for kind in ("python", "grpc_python")]
    command += [f"--{kind}_out=quiet:{out}" for kind in ("mypy", "mypy_grpc")]
    subprocess.run([*command, *files], cwd=BUILD, check=True)
    for folder in sorted({p.parent for p in out.rglob("*_pb2.py")}):
        while folder != out / "sealmount":
            (folder / "__init__.py").write_text('"""Generated from the contract; see protos/."""\n')
            folder = folder.parent


def generate() -> None:
    lay_out()
    with tempfile.TemporaryDirectory() as scratch:
        compile_python(Path(scratch))
        for package in ("type", "signer", "catalog"):
            shutil.rmtree(PYTHON / "sealmount" / package, ignore_errors=True)
            shutil.copytree(Path(scratch) / "sealmount" / package, PYTHON / "sealmount" / package)


def differences(left: Path, right: Path) -> list[str]:
    compared = filecmp.dircmp(left, right, ignore=["__pycache__"])
    found = [*compared.left_only, *compared.right_only, *compared.diff_files]
    for name in compared.common_dirs:
        found += [f"{name}/{below}" for below in differences(left / name, right / name)]
    return found


def check() -> int:
    lay_out()
    failed = 0
    for what in (["lint"], ["format", "--diff", "--exit-code", "contract"]):
        failed |= subprocess.run([_bin("buf"), *what], cwd=BUILD, check=False).returncode
    if BASELINE.exists():
        # Only the contract: two modules would make two images, and a baseline holds one.
        against = ["breaking", "contract", "--against", str(BASELINE)]
        failed |= subprocess.run([_bin("buf"), *against], cwd=BUILD, check=False).returncode
    else:
        print("protos: no released contract to compare with", file=sys.stderr)
        failed = 1
    with tempfile.TemporaryDirectory() as scratch:
        compile_python(Path(scratch))
        for package in ("type", "signer", "catalog"):
            stale = differences(
                Path(scratch) / "sealmount" / package, PYTHON / "sealmount" / package
            )
            for name in stale:
                print(
                    f"protos: stale: sealmount/{package}/{name}: run make protos", file=sys.stderr
                )
                failed = 1
    return failed


def release() -> None:
    lay_out()
    image = ["build", "contract", "--exclude-source-info", "-o", str(BASELINE)]
    subprocess.run([_bin("buf"), *image], cwd=BUILD, check=True)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["generate"]:
            generate()
        case ["check"]:
            sys.exit(1 if check() else 0)
        case ["release"]:
            release()
        case _:
            sys.exit(__doc__)
