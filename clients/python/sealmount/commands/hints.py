"""What `sealmount up` prints to begin with: calls that work as they stand, for grpcurl.

A secret is never part of a command line, where every user of the machine and the shell's history
would see it: the credential is read from a file, through standard input.
"""

import json
import shlex
from pathlib import Path

from sealmount.commands.deployment import Deployment
from sealmount.files import write_atomically

_SIGNER = "sealmount.signer.v1.SignerService"
_CATALOG = "sealmount.catalog.v1.CatalogService"
TEMPLATE = "credential.json"


def write_template(deployment: Deployment) -> Path:
    """A request of StoreCredential with blanks for the key, readable by its owner only."""
    origin = (*deployment.store_origins, "https://s3.amazonaws.com")[0]
    request = {
        "parent": "projects/acme",
        "credential_id": "photos-1",
        "scope": {
            "rules": [
                {
                    "origin": origin,
                    "bucket": "BUCKET",
                    "permissions": ["PERMISSION_READ", "PERMISSION_LIST"],
                }
            ]
        },
        "plain": {"aws_access_key": {"access_key_id": "", "secret_access_key": ""}},
    }
    path = deployment.folder / TEMPLATE
    if not path.exists():
        text = json.dumps(request, indent=2) + "\n"
        write_atomically(path, text.encode(), mode=0o600, replace=False)
    return path


def _call(deployment: Deployment, address: str, method: str, request: object = None) -> str:
    files = deployment.identity("operator")
    options = ["grpcurl", "-cacert", files.ca, "-cert", files.certificate, "-key", files.key]
    words = " ".join(shlex.quote(str(word)) for word in options)
    if request is None:
        return f"{words} \\\n    {address} {method}"
    return f"{words} \\\n    -d {shlex.quote(json.dumps(request))} \\\n    {address} {method}"


def _bucket(deployment: Deployment) -> dict[str, object]:
    """Where the bucket is: at the store that the pair was started for, or at Amazon's."""
    if not deployment.store_origins:
        return {"bucket": "BUCKET", "region": "eu-central-1"}
    origin = deployment.store_origins[0]
    return {"bucket": "BUCKET", "region": "us-east-1", "endpoint": origin, "path_style": True}


def lines(deployment: Deployment) -> list[str]:
    """Paragraphs, in the order in which one would try them."""
    template = write_template(deployment)
    storing = _call(deployment, deployment.signer, f"{_SIGNER}/StoreCredential")
    location = {"s3": _bucket(deployment)}
    binding = {
        "class": "CLASS_CUSTOMER",
        "permissions": ["PERMISSION_READ", "PERMISSION_LIST"],
        "active": {"credential": "projects/acme/credentials/photos-1", "location": location},
    }
    create = {"parent": "projects/acme", "binding_id": "photos", "binding": binding}
    bucket = {"binding": "projects/acme/bindings/photos", "mode": "MODE_LINK"}
    mount = {"parent": "projects/acme", "bucket_id": "photos", "bucket": bucket}
    images = {"bucket": "projects/acme/buckets/photos", "listing": {}}
    shown = {"parent": "projects/acme/buckets/photos", "page_size": 10}
    return [
        "What there is:\n" + _call(deployment, deployment.signer, f"describe {_SIGNER}"),
        f"Fill the key and the bucket into {shlex.quote(str(template))}, store it, and shred the "
        f"file:\n" + storing.replace("\n", f"\n    -d @ < {shlex.quote(str(template))} \\\n", 1),
        "Join the bucket to it:\n"
        + _call(deployment, deployment.signer, f"{_SIGNER}/CreateBinding", create),
        "Mount it, import what it lists, and look:\n"
        + _call(deployment, deployment.catalog, f"{_CATALOG}/CreateBucket", mount)
        + "\n"
        + _call(deployment, deployment.catalog, f"{_CATALOG}/ImportImages", images)
        + "\n"
        + _call(deployment, deployment.catalog, f"{_CATALOG}/ListImages", shown),
    ]
