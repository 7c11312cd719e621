"""Log lines: one format for ours and for those of libraries, readable or JSON, never with secrets."""

from __future__ import annotations

import logging
import sys

import structlog


def configure(level: str, *, as_json: bool) -> None:
    """Send every log line to standard error, from structlog and from the standard library alike."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor = (
        structlog.processors.JSONRenderer()
        if as_json
        # Plain tracebacks: the pretty ones print local variables, personal data and keys among them.
        else structlog.dev.ConsoleRenderer(
            colors=sys.stderr.isatty(), pad_event_to=0, exception_formatter=structlog.dev.plain_traceback
        )
    )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=[structlog.stdlib.ExtraAdder(), _without_colours, *shared],
            processors=[
                structlog.stdlib.ProcessorFormatter.remove_processors_meta,
                structlog.processors.format_exc_info if as_json else _as_it_is,
                renderer,
            ],
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What they say at every start tells an operator nothing.
    for name in ("alembic", "procrastinate.blueprints", "procrastinate.periodic"):
        logging.getLogger(name).setLevel("WARNING")
    # They would log addresses, which may hold secrets of whoever is sent something.
    for name in ("httpx2", "httpcore2"):
        logging.getLogger(name).setLevel("WARNING")


def _without_colours(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Uvicorn adds each message a second time, in colours."""
    event.pop("color_message", None)
    return event


def _as_it_is(
    _: structlog.typing.WrappedLogger, __: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    return event
