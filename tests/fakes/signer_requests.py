"""Requests to a Signer that are good, to change one thing at a time."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp
from sealmount.signer.v1 import resources_pb2, service_pb2
from sealmount.type.v1 import location_pb2, signing_pb2

from tests.fakes.signer_rig import METHODS, Client, request_class

ORIGIN = "https://minio.example.com"
AWS_ORIGIN = "https://s3.amazonaws.com"
CUSTOMER, MANAGED = resources_pb2.Binding.CLASS_CUSTOMER, resources_pb2.Binding.CLASS_MANAGED
READ, LIST = signing_pb2.PERMISSION_READ, signing_pb2.PERMISSION_LIST
WRITE, DELETE = signing_pb2.PERMISSION_WRITE, signing_pb2.PERMISSION_DELETE
ACCESS_KEY_ID = "AKIAIOSFODNN7EXAMPLE"
SECRET = "s3cr3t/s3cr3t+s3cr3t/s3cr3t+s3cr3t/s3cr3t"


def seconds(value: float) -> Duration:
    return Duration(seconds=int(value), nanos=round(value % 1 * 1e9))


def at(time: datetime) -> Timestamp:
    made = Timestamp()
    made.FromDatetime(time)
    return made


def rule(
    *permissions: signing_pb2.Permission.ValueType,
    origin: str = ORIGIN,
    bucket: str = "photos",
    prefix: str = "",
) -> resources_pb2.ScopeRule:
    wanted = permissions or (READ, LIST)
    return resources_pb2.ScopeRule(origin=origin, bucket=bucket, prefix=prefix, permissions=wanted)


def material(
    access_key_id: str = ACCESS_KEY_ID, secret: str = SECRET, session_token: str = ""
) -> dict[str, Any]:
    return {
        "aws_access_key": {
            "access_key_id": access_key_id,
            "secret_access_key": secret,
            "session_token": session_token,
        }
    }


def store(project: str = "acme", credential_id: str = "main", **changes: Any) -> Any:
    fields = {
        "parent": f"projects/{project}",
        "credential_id": credential_id,
        "scope": {"rules": changes.pop("rules", [rule()])},
        "plain": material(),
    }
    return service_pb2.StoreCredentialRequest(**(fields | changes))


def place(
    bucket: str = "photos", endpoint: str = ORIGIN, prefix: str = "", **s3: Any
) -> location_pb2.Location:
    fields = {"bucket": bucket, "region": "us-east-1", "endpoint": endpoint, "path_style": True}
    return location_pb2.Location(s3=fields | s3, prefix=prefix)  # type: ignore[arg-type]


def binding(
    project: str = "acme",
    binding_id: str = "photos",
    *,
    credential: str = "",
    location: location_pb2.Location | None = None,
    permissions: tuple[signing_pb2.Permission.ValueType, ...] = (READ, LIST),
    kind: resources_pb2.Binding.Class.ValueType = CUSTOMER,
    **fields: Any,
) -> Any:
    active = resources_pb2.BindingRevision(
        credential=credential or f"projects/{project}/credentials/main",
        location=location or place(),
    )
    made = resources_pb2.Binding(permissions=permissions, active=active, **fields)
    setattr(made, "class", kind)
    return service_pb2.CreateBindingRequest(
        parent=f"projects/{project}", binding_id=binding_id, binding=made
    )


async def mounted(client: Client, project: str = "acme", **lifetimes: float) -> Any:
    """A credential "main" and a binding "photos" on it; gives the binding."""
    await client.ok("StoreCredential", store(project))
    fields: dict[str, Any] = {name: seconds(value) for name, value in lifetimes.items()}
    return await client.ok("CreateBinding", binding(project, **fields))


async def managed(client: Client, project: str = "acme") -> Any:
    """The project's managed storage, on a credential "platform" of its own."""
    every = (READ, LIST, WRITE, DELETE)
    await client.ok("StoreCredential", store(project, "platform", rules=[rule(*every)]))
    return await client.ok(
        "CreateBinding",
        binding(
            project,
            "managed",
            credential=f"projects/{project}/credentials/platform",
            location=place(prefix=f"{project}/"),
            permissions=every,
            kind=MANAGED,
        ),
    )


def sign(key: str = "a.jpg", binding: str = "projects/acme/bindings/photos", **changes: Any) -> Any:
    """A SignObjectUrlRequest; ``changes`` are options, and ``version`` and the like of the object.

    ``ttl`` is in seconds.
    """
    of_object = {n: changes.pop(n) for n in ("version", "version_epoch") if n in changes}
    top = {n: changes.pop(n) for n in ("on_behalf_of",) if n in changes}
    if "ttl" in changes:
        changes["ttl"] = seconds(changes["ttl"])
    return service_pb2.SignObjectUrlRequest(
        binding=binding,
        object=resources_pb2.ObjectRef(key=key, **of_object),
        options=resources_pb2.SignOptions(**changes),
        **top,
    )


def named(method: str, project: str, *, name: str = "") -> Any:
    """A request of ``method`` that speaks of ``project`` and is otherwise as good as can be."""
    credential = f"projects/{project}/credentials/{name or 'main'}"
    bound = f"projects/{project}/bindings/{name or 'photos'}"
    special: dict[str, Callable[[], Any]] = {
        "StoreCredential": lambda: store(project, name or "main"),
        "CreateBinding": lambda: binding(project, name or "photos"),
        "HoldBinding": lambda: {"name": bound, "holder": f"projects/{project}/buckets/b"},
        "ReleaseBinding": lambda: {"name": bound, "holder": f"projects/{project}/buckets/b"},
        "RotateBinding": lambda: {"name": bound, "credential": credential, "etag": "e"},
        "RollbackBinding": lambda: {"name": bound, "etag": "e"},
        "ListBindingRevisions": lambda: {"parent": bound},
        "SignObjectUrl": lambda: sign(binding=bound),
        "BatchSignObjectUrls": lambda: {"binding": bound, "objects": [{"key": "a.jpg"}]},
        "SignListUrl": lambda: {"binding": bound},
    }
    made = special[method]() if method in special else None
    if made is None:
        field = "parent" if METHODS[method].name.startswith("List") else "name"
        by_name = credential if "Credential" in method else bound
        made = {field: f"projects/{project}" if field == "parent" else by_name}
    return request_class(method)(**made) if isinstance(made, dict) else made
