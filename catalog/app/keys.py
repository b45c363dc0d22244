"""Which object keys the Catalog can keep, and which of them can be signed for.

The Signer is the judge of what it signs; the same rules stand here so that an import knows the
unsignable keys without asking for each.
"""

MAX_KEY_BYTES = 1024


def is_storable(key: str) -> bool:
    """Whether both databases can hold the key: no U+0000, no surrogate, at most 1,024 bytes.

    PostgreSQL's text has no U+0000 and its index no longer entries; stores have no longer keys.
    """
    return bool(key) and "\0" not in key and not _is_long(key) and not _has_surrogate(key)


def is_signable(key: str, location_prefix: str = "") -> bool:
    """Whether a URL for the key is safe; ``location_prefix`` is the binding's own, if known.

    HTTP clients rewrite ``.`` and ``..`` segments on the way, so that the path that travels isn't
    the one that was signed; control characters can make two strings-to-sign equal.
    """
    full = location_prefix + key
    if not key or _is_long(full):
        return False
    if not full.isprintable() and any(c < " " or "\x7f" <= c <= "\x9f" for c in full):
        return False
    if "." in full and any(segment in (".", "..") for segment in full.split("/")):
        return False
    return not _has_surrogate(full)


def _is_long(text: str) -> bool:
    # No character has more than four bytes, so most keys are judged without encoding them.
    return (
        len(text) > MAX_KEY_BYTES // 4
        and len(text.encode("utf-8", "surrogatepass")) > MAX_KEY_BYTES
    )


def _has_surrogate(text: str) -> bool:
    return not text.isascii() and any("\ud800" <= c <= "\udfff" for c in text)
