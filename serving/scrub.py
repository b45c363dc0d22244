"""What may be said about an exception: its type and where it happened, never its text.

An exception's text is whatever the code below it held: SQL parameters, a URL with its signature, a
response body. So the text stays out of logs as well as off the wire, and an operator works with the
type, the chain of causes and file, line and function of each frame.
"""

from pathlib import PurePath
from types import TracebackType
from typing import Any

_MAX_CAUSES = 5
_MAX_FRAMES = 30


def type_name(error: BaseException) -> str:
    kind = type(error)
    return (
        kind.__qualname__
        if kind.__module__ == "builtins"
        else f"{kind.__module__}.{kind.__qualname__}"
    )


def frames(traceback: TracebackType | None) -> list[str]:
    """``folder/file.py:line:function`` per frame, outermost first, the innermost 30 of them.

    Source lines are left out too: ``traceback`` would print them, and a literal may stand in one.
    """
    found: list[str] = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        place = "/".join(PurePath(code.co_filename).parts[-2:])
        found.append(f"{place}:{traceback.tb_lineno}:{code.co_name}")
        traceback = traceback.tb_next
    return found[-_MAX_FRAMES:]


def describe(error: BaseException) -> dict[str, Any]:
    """``{"exception": type, "frames": […], "causes": [{…}, …]}``, ready for a JSON log."""
    described: dict[str, Any] = {
        "exception": type_name(error),
        "frames": frames(error.__traceback__),
    }
    causes: list[dict[str, Any]] = []
    seen = {id(error)}
    cause = _cause(error)
    while cause is not None and id(cause) not in seen and len(causes) < _MAX_CAUSES:
        seen.add(id(cause))
        causes.append({"exception": type_name(cause), "frames": frames(cause.__traceback__)})
        cause = _cause(cause)
    if causes:
        described["causes"] = causes
    if isinstance(error, BaseExceptionGroup):
        described["members"] = [type_name(one) for one in error.exceptions[:_MAX_CAUSES]]
    return described


def _cause(error: BaseException) -> BaseException | None:
    if error.__cause__ is not None:
        return error.__cause__
    return None if error.__suppress_context__ else error.__context__
