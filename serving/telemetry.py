"""Logs: one JSON object per line on stderr, one line per RPC, and no text that we didn't write.

    configure("signer", level="INFO")
    Gate(..., observe=RpcLog("signer"))

Our own loggers (``signer``, ``catalog``, ``serving``, ``sealmount``) print their message and
the ``fields`` passed as ``extra={"fields": {…}}``. Everybody else's are heard from WARNING on, as
logger, level and exception type only: a library's message may carry a URL, a parameter or a body.
An exception is its type and places, never its text (:mod:`serving.scrub`). What still looks like a
signed URL or a private key is masked in the finished line (:mod:`serving.masking`).
"""

import asyncio
import functools
import json
import logging
import sys
import threading
import time
from types import TracebackType
from typing import Any, TextIO

from serving.guarded import RpcRecord
from serving.masking import mask_all, suspicious
from serving.redaction import redact
from serving.scrub import describe

OURS = ("signer", "catalog", "serving", "sealmount")


def _kind(value: object) -> str:
    """What JSON can't hold is named by its type: a ``repr`` may print what it holds."""
    return f"<{type(value).__name__}>"


_ENCODE = json.JSONEncoder(separators=(",", ":"), ensure_ascii=True, default=_kind).encode
_LOGGER = logging.getLogger("serving")


def is_ours(logger: str) -> bool:
    return logger.split(".", 1)[0] in OURS


class JsonFormatter(logging.Formatter):
    """A record as one line of JSON: ``time`` (UTC), ``level``, ``logger``, ``message``, fields."""

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": _timestamp(record.created),
            "level": record.levelname,
            "logger": record.name,
        }
        if is_ours(record.name):
            line["message"] = record.getMessage()
            line.update(getattr(record, "fields", {}))
        if record.exc_info and record.exc_info[1] is not None:
            line.update(describe(record.exc_info[1]))
        return _encode(line)


def _encode(line: dict[str, Any]) -> str:
    try:
        text = _ENCODE(line)
        # Masked as values, not in the finished line: a mask mustn't swallow a closing quote.
        return _ENCODE(mask_all(line)) if suspicious(text) else text
    except (TypeError, ValueError):
        return _ENCODE({"level": "ERROR", "logger": "serving", "message": "unprintable log line"})


def _timestamp(seconds: float) -> str:
    whole, milliseconds = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{milliseconds:03d}Z"


@functools.lru_cache(maxsize=2)
def _second(seconds: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(seconds))


class _Audible(logging.Filter):
    """Ours at the level that was asked for, others from WARNING on."""

    def filter(self, record: logging.LogRecord) -> bool:
        return record.levelno >= logging.WARNING or is_ours(record.name)


def configure(service: str, level: str = "INFO", stream: TextIO | None = None) -> None:
    """Sets up logging for the whole process, and the hooks for what nobody catches.

    Called once, first thing in ``__main__``. ``service`` must be one of :data:`OURS`. Handlers that
    others attached to the root are removed; loggers made later by libraries propagate to ours.
    """
    if service not in OURS:
        raise ValueError(f"{service!r} is no logger of this project")
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonFormatter())
    handler.addFilter(_Audible())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(logging.WARNING)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    for existing in list(logging.root.manager.loggerDict.values()):
        if isinstance(existing, logging.Logger) and not is_ours(existing.name):
            existing.handlers.clear()
            existing.propagate = True
    # What the lines don't show needn't be found out for each of them.
    logging.logThreads = logging.logProcesses = logging.logMultiprocessing = False
    logging.captureWarnings(capture=True)
    logging.raiseExceptions = False  # its report of a failed handler prints the record's arguments
    sys.excepthook = _uncaught
    threading.excepthook = _uncaught_in_thread
    sys.unraisablehook = _unraisable


def watch(loop: asyncio.AbstractEventLoop) -> None:
    """The same for exceptions that end in ``loop`` with nobody waiting for them."""
    loop.set_exception_handler(_uncaught_in_loop)


def _uncaught(
    _kind: type[BaseException], error: BaseException, _traceback: TracebackType | None
) -> None:
    _LOGGER.critical("uncaught exception", extra={"fields": describe(error)})


def _uncaught_in_thread(args: threading.ExceptHookArgs) -> None:
    fields = describe(args.exc_value) if args.exc_value is not None else {}
    _LOGGER.error("uncaught exception in a thread", extra={"fields": fields})


def _unraisable(args: Any) -> None:
    fields = describe(args.exc_value) if args.exc_value is not None else {}
    _LOGGER.error("exception that can't be raised", extra={"fields": fields})


def _uncaught_in_loop(_loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
    error = context.get("exception")
    fields = describe(error) if isinstance(error, BaseException) else {}
    _LOGGER.error("uncaught exception in the event loop", extra={"fields": fields})


class RpcLog:
    """The gate's ``observe``: one line per RPC on the logger ``{service}.rpc``.

    INFO for what was answered, DEBUG for the quiet ones (health), ERROR with the scrubbed exception
    for what went wrong inside. The request stands in the line at DEBUG only, redacted,
    and only of a call that was answered.
    """

    def __init__(self, service: str) -> None:
        self._logger = logging.getLogger(f"{service}.rpc")

    def __call__(self, record: RpcRecord) -> None:
        logger = self._logger
        level = logging.DEBUG if record.quiet else logging.INFO
        if record.error is not None:
            level = logging.ERROR
        if not logger.isEnabledFor(level):
            return
        fields: dict[str, Any] = {
            "rpc": record.method,
            "caller": record.identity,
            "project": record.project,
            "code": record.code,
            "reason": record.reason,
            "ms": round(record.seconds * 1000, 3),
            "request_id": record.request_id,
        }
        if record.error is not None:
            fields["error_id"] = record.error_id
            fields.update(describe(record.error))
        # A refused request may have a secret where a name belongs.
        answered = record.code == "OK" and record.request is not None
        if answered and logger.isEnabledFor(logging.DEBUG):
            fields["request"] = _printable(record.request)
        line = logging.LogRecord(logger.name, level, "", 0, "rpc", None, None)
        line.fields = fields
        logger.handle(line)


def _printable(request: Any) -> Any:
    return redact(request) if hasattr(request, "DESCRIPTOR") else "<stream>"
