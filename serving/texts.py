"""What a text from outside may consist of, where any language is welcome."""

import re

# C0, DEL and C1. Whatever else a script needs, joiners and no-break spaces included, may stand.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")


def has_control(text: str) -> bool:
    """Whether a control character is in it: one that could end a line or steer a terminal."""
    return _CONTROL.search(text) is not None


def is_plain(text: str, max_bytes: int) -> bool:
    """At most ``max_bytes`` in UTF-8, and no control character."""
    return len(text.encode()) <= max_bytes and not has_control(text)
