"""Everything that can be set, by environment (`GUERDON_...`) or TOML, and every limit by its name.

Promises one frozen record, read once at start: the environment goes before the file, the file before the
defaults; an unknown name in the file is an error. Secrets never show when the record is printed.
"""

from __future__ import annotations

import os
from pathlib import Path

from pydantic import Field, field_validator, model_validator
from pydantic_settings import (
    BaseSettings,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    TomlConfigSettingsSource,
)

CONFIG_SETTING = "GUERDON_CONFIG"
CONFIG_FILE = Path("guerdon.toml")


class Settings(BaseSettings):
    """What the operator chose; `GUERDON_PORT=9000` sets `port`."""

    model_config = SettingsConfigDict(env_prefix="GUERDON_", frozen=True, extra="forbid", env_ignore_empty=True)

    # Database. Without a URL, an embedded PostgreSQL keeps its files in `data_dir`.
    database_url: str | None = Field(default=None, repr=False)
    database_owner_url: str | None = Field(default=None, repr=False)
    data_dir: Path = Field(default_factory=lambda: default_data_dir())
    postgres_bin: Path | None = None
    postgres_user: str | None = None
    reader_connections: int = Field(default=8, ge=1)
    writer_connections: int = Field(default=4, ge=1)

    # Who may come in.
    admin_key: str | None = Field(default=None, repr=False, min_length=16)
    key_pepper: str | None = Field(default=None, repr=False, min_length=16)
    open: bool = False
    unsafe: bool = False  # start although `guerdon doctor` found something unsafe

    # Server.
    host: str = "127.0.0.1"
    port: int = Field(default=8080, ge=0, le=65535)
    blnk_path: str = "/blnk"
    access_log: bool = False
    log_level: str = "info"
    log_json: bool = False

    # Limits of a request.
    body_bytes_max: int = Field(default=5_000_000, ge=1_000)
    depth_max: int = Field(default=64, ge=4)
    page_default: int = Field(default=10, ge=1)
    page_max: int = Field(default=100, ge=1)
    bulk_items_max: int = Field(default=10_000, ge=1)
    purchase_lines_max: int = Field(default=2_000, ge=1)
    metadata_bytes_max: int = Field(default=16_384, ge=0)
    late_hours_max: int = Field(default=72, ge=0)

    # Limits of the writer, for each organisation. Weight is the number of rows a command will write.
    batch_weight_max: int = Field(default=2_000, ge=1)
    queue_weight_max: int = Field(default=20_000, ge=1)
    retry_total_s: float = Field(default=20.0, ge=0)
    shutdown_s: float = Field(default=20.0, ge=0)

    # Work on a schedule. Everybody is looked at so often; whoever has something due, when it is due.
    job_interval_s: float = Field(default=60.0, gt=0)
    job_accounts_max: int = Field(default=100, ge=1)

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
        if self.page_default > self.page_max:
            raise ValueError("page_default is larger than page_max")
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
