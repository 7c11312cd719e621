"""Everything that can be set, by environment (`GUERDON_...`) or TOML, and every limit by its name.

Promises one frozen record, read once at start: the environment goes before the file, the file before the
defaults; an unknown name in the file is an error. Secrets never show when the record is printed.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    NoDecode,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_SETTING = "GUERDON_CONFIG"
CONFIG_FILE = Path("guerdon.toml")
_ORIGIN = re.compile(r"https?://([a-z0-9-]+(\.[a-z0-9-]+)*|\[[0-9a-f:.]+\])(:[0-9]{1,5})?")
"""As browsers write them: lower case, nothing after the port."""


class Settings(BaseSettings):
    """What the operator chose; `GUERDON_PORT=9000` sets `port`."""

    model_config = SettingsConfigDict(
        env_prefix="GUERDON_", frozen=True, extra="forbid", env_ignore_empty=True, use_attribute_docstrings=True
    )

    # Database
    database_url: str | None = Field(default=None, repr=False)
    """Address of a PostgreSQL 15 or newer, as the role the server works with. Without it an embedded PostgreSQL keeps
    its files in `data_dir`."""
    database_owner_url: str | None = Field(default=None, repr=False)
    """The same database as the role that owns the schema, for migrations; `database_url` where it is not given."""
    data_dir: Path = Field(default_factory=lambda: default_data_dir())
    """Folder of the embedded database and of the keys that were made."""
    postgres_bin: Path | None = None
    """Folder with the programs of the embedded PostgreSQL, where it is not the one that came with Guerdon."""
    postgres_user: str | None = None
    """User that the embedded PostgreSQL runs as when Guerdon is started by root."""
    reader_connections: int = Field(default=8, ge=1)
    """Connections that reads and jobs share."""
    writer_connections: int = Field(default=4, ge=1)
    """Connections that batches are saved on: so many organisations commit at the same time."""

    # Who may come in
    admin_key: str | None = Field(default=None, repr=False, min_length=16)
    """The platform key. Without it one is made at the first start, printed once and kept in `data_dir`."""
    key_pepper: str | None = Field(default=None, repr=False, min_length=16)
    """Secret under which API keys are hashed; the same on every server of a database. Without it one is made and kept
    in `data_dir`."""
    open: bool = False
    """Serve the organisation `default` to whoever comes without a key."""
    unsafe: bool = False
    """Start although `guerdon doctor` found something unsafe."""

    # Server
    host: str = "127.0.0.1"
    """Address to listen on."""
    port: int = Field(default=8080, ge=0, le=65535)
    """Port to listen on; 0 for any that is free."""
    blnk_path: str = "/blnk"
    """Where the Blnk-compatible ledger API is mounted; `/` in place of a Blnk server."""
    client_header: str = ""
    """Header in which the proxy in front tells a caller's address, such as `X-Forwarded-For`, of which the last one
    counts. Empty where nothing is in front: callers could write it themselves."""
    browser_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins such as `https://www.example.com`, comma separated, whose pages may ask in a member's name with a member
    token (CORS). None unless they are named; never a key, and never a route that member tokens do not open."""
    access_log: bool = False
    """Log every request to `/v1`."""
    log_level: str = "info"
    """`debug`, `info`, `warning` or `error`."""
    log_json: bool = False
    """Log lines as JSON."""

    # Limits of a request
    body_bytes_max: int = Field(default=5_000_000, ge=1_000)
    """Size of a body."""
    depth_max: int = Field(default=64, ge=4)
    """How deep a body of `/v1` may be nested."""
    bulk_items_max: int = Field(default=10_000, ge=1)
    """Transactions in one bulk request of the ledger API."""
    purchase_lines_max: int = Field(default=2_000, ge=1)
    """Lines of one purchase."""
    metadata_bytes_max: int = Field(default=16_384, ge=0)
    """Size of the metadata of one thing."""

    # Limits of the writer, for each organisation. Weight is the number of rows a command will write.
    batch_weight_max: int = Field(default=2_000, ge=1)
    """Weight of one batch, which is one transaction of the database."""
    queue_weight_max: int = Field(default=20_000, ge=1)
    """Weight that may wait; beyond it a request is answered 503 with `Retry-After`."""
    retry_total_s: float = Field(default=20.0, ge=0)
    """How long a batch is tried again when the database is away, before its callers are answered 503."""
    shutdown_s: float = Field(default=20.0, ge=0)
    """How long requests that are under way may take when the server is told to stop."""

    # Work on a schedule
    job_interval_s: float = Field(default=60.0, gt=0)
    """Every organisation is looked at so often; one with something due, when it is due."""
    job_accounts_max: int = Field(default=100, ge=1)
    """Accounts whose ended lots one command posts."""

    # Webhooks
    webhook_private: bool = False
    """Let webhooks lead to private addresses and over plain HTTP: for tests, and for networks of your own where
    everybody who may make an endpoint may reach everything."""
    webhook_timeout_s: float = Field(default=10.0, gt=0, le=60)
    """How long one attempt at a message may take."""
    webhook_pause_after_h: float = Field(default=76.0, gt=0)
    """An endpoint at which nothing got through for so long is paused."""
    webhook_log_days: int = Field(default=30, ge=1)
    """How long attempts stay in the delivery log."""

    @classmethod
    def settings_customise_sources(
        cls,
        settings_cls: type[BaseSettings],
        init_settings: PydanticBaseSettingsSource,
        env_settings: PydanticBaseSettingsSource,
        dotenv_settings: PydanticBaseSettingsSource,  # noqa: ARG003
        file_secret_settings: PydanticBaseSettingsSource,  # noqa: ARG003
    ) -> tuple[PydanticBaseSettingsSource, ...]:
        """The environment, then the file: no .env, no secrets directory."""
        given = os.environ.get(CONFIG_SETTING)
        file = Path(given) if given else CONFIG_FILE
        if given and not file.is_file():
            raise FileNotFoundError(f"{CONFIG_SETTING} is {given}, which is not a file")
        return init_settings, env_settings, TomlConfigSettingsSource(settings_cls, file)

    @field_validator("blnk_path")
    @classmethod
    def _is_a_path(cls, path: str) -> str:
        path = "/" + path.strip("/")
        if any(path == taken or path.startswith(f"{taken}/") for taken in ("/v1", "/v2", "/metrics", "/health")):
            raise ValueError(f"{path} is taken by Guerdon itself")
        return path

    @field_validator("browser_origins", mode="before")
    @classmethod
    def _are_origins(cls, origins: object) -> object:
        return tuple(filter(None, (one.strip() for one in origins.split(",")))) if isinstance(origins, str) else origins

    @field_validator("browser_origins")
    @classmethod
    def _are_whole_origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for one in origins:
            if not _ORIGIN.fullmatch(one):
                raise ValueError(f"{one!r} is no origin: https://host, with a port where it is not 443, and no path")
        return origins

    @field_validator("log_level")
    @classmethod
    def _is_a_level(cls, level: str) -> str:
        if level.lower() not in ("debug", "info", "warning", "error"):
            raise ValueError("use debug, info, warning or error")
        return level.lower()

    @model_validator(mode="after")
    def _fits_together(self) -> Settings:
        if self.database_owner_url and not self.database_url:
            raise ValueError("database_owner_url (for migrations) needs database_url (for everything else)")
        if self.batch_weight_max > self.queue_weight_max:
            raise ValueError("batch_weight_max is larger than queue_weight_max")
        return self

    @property
    def owner_url(self) -> str | None:
        """The address for migrations when there is a database of the operator's own."""
        return self.database_owner_url or self.database_url


def default_data_dir() -> Path:
    """Where the embedded database lives unless told otherwise."""
    if os.geteuid() == 0:
        return Path("/var/lib/guerdon/default")
    home = os.environ.get("XDG_DATA_HOME")
    return (Path(home) if home else Path.home() / ".local" / "share") / "guerdon"
