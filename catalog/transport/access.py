"""Who may call what. Whatever isn't in this table is denied.

| role | what it is for |
|---|---|
| catalog.editor | mounts, imports, excludes, and everything that a viewer may |
| catalog.viewer | looks at buckets, images and operations, and gets URLs to look at images |
"""

import dataclasses

from serving.gate import Rule

EDITOR, VIEWER = "catalog.editor", "catalog.viewer"
ROLES = frozenset({EDITOR, VIEWER})
# How long WaitOperation may keep a call open, in seconds.
LONGEST_WAIT = 300.0
_CATALOG = "/sealmount.catalog.v1.CatalogService/"
_OPERATIONS = "/google.longrunning.Operations/"


def _edit(resource: str) -> Rule:
    return Rule(frozenset({EDITOR}), resource)


def _view(resource: str) -> Rule:
    return Rule(frozenset({EDITOR, VIEWER}), resource)


RULES: dict[str, Rule] = {
    _CATALOG + "CreateBucket": _edit("parent"),
    _CATALOG + "GetBucket": _view("name"),
    _CATALOG + "ListBuckets": _view("parent"),
    _CATALOG + "UpdateBucket": _edit("bucket.name"),
    _CATALOG + "DeleteBucket": _edit("name"),
    _CATALOG + "ImportImages": _edit("bucket"),
    _CATALOG + "ListOperationFailures": _view("operation"),
    _CATALOG + "GetImage": _view("name"),
    _CATALOG + "BatchGetImages": _view("parent"),
    _CATALOG + "ListImages": _view("parent"),
    _CATALOG + "DeleteImage": _edit("name"),
    _CATALOG + "GetImageUrl": _view("name"),
    _CATALOG + "BatchGetImageUrls": _view("parent"),
    _OPERATIONS + "GetOperation": _view("name"),
    _OPERATIONS + "ListOperations": _view("name"),
    _OPERATIONS + "WaitOperation": dataclasses.replace(
        _view("name"), timeout=LONGEST_WAIT, max_timeout=LONGEST_WAIT
    ),
    _OPERATIONS + "CancelOperation": _edit("name"),
    _OPERATIONS + "DeleteOperation": _edit("name"),
}
