"""What several commands take, and the settings that come of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from guerdon.settings import Settings

Host = Annotated[str | None, typer.Option(help="Address to listen on. GUERDON_HOST, default 127.0.0.1")]
Port = Annotated[int | None, typer.Option(help="Port to listen on. GUERDON_PORT, default 8080")]
BlnkPath = Annotated[str | None, typer.Option(help="Where the ledger API is mounted. GUERDON_BLNK_PATH, default /blnk")]
Organisation = Annotated[str, typer.Option(help="Code or id of the organisation")]


def family(help: str) -> typer.Typer:
    """Commands under one word, `guerdon key ...`; alone it shows its help."""
    return typer.Typer(no_args_is_help=True, rich_markup_mode=None, help=help)


def read_settings(**given: Any) -> Settings:
    """The settings, with what the command line gave before the environment."""
    from guerdon import logs
    from guerdon.settings import Settings

    settings = Settings(**{name: value for name, value in given.items() if value is not None})
    logs.configure(settings.log_level, as_json=settings.log_json)
    return settings
