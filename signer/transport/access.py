"""Who may call what. Whatever isn't in this table is denied.

| role | what it is for |
|---|---|
| credential.writer | stores credentials and ends them; can't say where they are used |
| binding.operator | joins buckets to credentials and rotates; can't store a credential |
| url.signer | gets URLs to read with |
| catalog | the Catalog: reads and lists mounts, writes managed storage, holds bindings |
| viewer | looks at metadata |
"""

from serving.gate import Rule

WRITER, OPERATOR, SIGNER = "credential.writer", "binding.operator", "url.signer"
CATALOG, VIEWER = "catalog", "viewer"
ROLES = frozenset({WRITER, OPERATOR, SIGNER, CATALOG, VIEWER})
_SERVICE = "/sealmount.signer.v1.SignerService/"


def _rule(resource: str, *roles: str) -> Rule:
    return Rule(frozenset(roles), resource)


RULES: dict[str, Rule] = {
    _SERVICE + method: rule
    for method, rule in {
        "StoreCredential": _rule("parent", WRITER),
        "DescribeCredential": _rule("name", WRITER, OPERATOR, VIEWER),
        "ListCredentials": _rule("parent", WRITER, OPERATOR, VIEWER),
        "DisableCredential": _rule("name", WRITER, OPERATOR),
        "EnableCredential": _rule("name", WRITER, OPERATOR),
        "DestroyCredential": _rule("name", WRITER),
        "CreateBinding": _rule("parent", OPERATOR),
        "GetBinding": _rule("name", WRITER, OPERATOR, VIEWER, CATALOG),
        "ListBindings": _rule("parent", WRITER, OPERATOR, VIEWER, CATALOG),
        "DeleteBinding": _rule("name", OPERATOR),
        "HoldBinding": _rule("name", CATALOG),
        "ReleaseBinding": _rule("name", CATALOG),
        "RotateBinding": _rule("name", OPERATOR),
        "RollbackBinding": _rule("name", OPERATOR),
        "ListBindingRevisions": _rule("parent", WRITER, OPERATOR, VIEWER),
        "SignObjectUrl": _rule("binding", SIGNER, CATALOG),
        "BatchSignObjectUrls": _rule("binding", SIGNER, CATALOG),
        "SignListUrl": _rule("binding", CATALOG),
    }.items()
}
