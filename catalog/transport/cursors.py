"""Cursors that aren't text."""

from catalog.domain.reasons import Reason
from serving.faults import Fault


def failure_number(cursor: str) -> int:
    """The number in a cursor of ListOperationFailures, 0 at the beginning."""
    if not cursor:
        return 0
    if not (cursor.isascii() and cursor.isdigit() and len(cursor) < 19):
        raise Fault(Reason.PAGE_TOKEN_INVALID, "The page token wasn't given out for this list.")
    return int(cursor)
