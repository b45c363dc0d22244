"""The one table that lists providers: a cloud is one file beside this one and its rows here.

    kind = KINDS["aws_access_key"]
    problems = kind.validate(fields)
    signer = kind.factory(location, material, days)

The name of a kind is the name of its field in ``CredentialMaterial``, the names of its material
fields those of the message behind it. Contract tests run over this table, so that a new row can't
forget them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from signer.domain.location import Provider
from signer.domain.ports import MaterialFields
from signer.domain.signing import SignerFactory
from signer.providers import s3


@dataclass(frozen=True, slots=True)
class MaterialKind:
    """One kind of key material and everything that depends on it.

    ``fields`` are the only names that may be stored. ``validate`` judges shapes and gives
    ``(field, problem)`` pairs, empty when all is well; a problem is static text and never repeats
    a value. ``principal_hint`` says whose key it is without giving it away, and may be shown.
    ``max_lifetime_seconds`` is the longest a URL may live by the provider's own rules.
    """

    provider: Provider
    factory: SignerFactory
    fields: frozenset[str]
    validate: Callable[[MaterialFields], list[tuple[str, str]]]
    principal_hint: Callable[[MaterialFields], str]
    max_lifetime_seconds: int


KINDS: Mapping[str, MaterialKind] = MappingProxyType(
    {
        "aws_access_key": MaterialKind(
            provider=Provider.S3,
            factory=s3.compile_signer,
            fields=s3.FIELDS,
            validate=s3.validate_access_key,
            principal_hint=s3.access_key_hint,
            max_lifetime_seconds=s3.MAX_LIFETIME_SECONDS,
        ),
    }
)
"""Material kind name -> what belongs to it."""
