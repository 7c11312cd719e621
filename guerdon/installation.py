"""One installation of Guerdon: its database and its two secrets, found or made.

Promises: the embedded database runs as long as the installation is open; the platform key and the pepper of the
API keys' hashes come from the settings, or are made once and kept in DATA_DIR/keys.json, readable by us only.
Leaves to others: everything that is done with the addresses.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field

import msgspec

from guerdon import doctor
from guerdon.settings import Settings
from guerdon.store import migrate
from guerdon.store.embedded import Embedded
from guerdon.store.files import locked, write_private

ADMIN_KEY_PREFIX = "gd_admin_"


@dataclass(frozen=True, slots=True)
class Installation:
    """Where the database is, by role, and the secrets; `admin_key_is_new` when this opening made the key."""

    owner_dsn: str = field(repr=False)
    app_dsn: str = field(repr=False)
    admin_key: str = field(repr=False)
    key_pepper: bytes = field(repr=False)
    admin_key_is_new: bool = False
    embedded: bool = False


@contextmanager
def opened(settings: Settings) -> Iterator[Installation]:
    """The installation that the settings describe; an embedded database is stopped when nobody uses it any more."""
    admin_key, key_pepper, is_new = _keys(settings)
    if settings.database_url and settings.owner_url:
        yield Installation(settings.owner_url, settings.database_url, admin_key, key_pepper, is_new)
        return
    with Embedded.start(settings.data_dir, bin_dir=settings.postgres_bin, run_as=settings.postgres_user) as server:
        yield Installation(server.owner_dsn, server.app_dsn, admin_key, key_pepper, is_new, embedded=True)


@contextmanager
def ready(settings: Settings) -> Iterator[Installation]:
    """The installation with this release's schema, and nothing unsafe about it unless the settings say so."""
    with opened(settings) as installation:
        migrate.migrate(installation.owner_dsn)
        if not settings.unsafe:
            doctor.refuse_unsafe(doctor.check(installation.app_dsn, settings, installation.admin_key))
        yield installation


def platform_key(settings: Settings, *, new: bool = False) -> str:
    """The platform key, made where there is none; with `new` another one, unless the settings give it."""
    path = settings.data_dir / "keys.json"
    if new and path.exists():
        with locked(settings.data_dir / "keys.lock"):
            kept = msgspec.json.decode(path.read_bytes())
            kept.pop("admin_key", None)
            write_private(path, msgspec.json.encode(kept))
    return _keys(settings)[0]


def _keys(settings: Settings) -> tuple[str, bytes, bool]:
    """The platform key, the pepper, and whether the platform key was made just now."""
    if settings.admin_key and settings.key_pepper:
        return settings.admin_key, settings.key_pepper.encode(), False
    settings.data_dir.mkdir(mode=0o711, parents=True, exist_ok=True)
    with locked(settings.data_dir / "keys.lock"):
        path = settings.data_dir / "keys.json"
        kept: dict[str, str] = msgspec.json.decode(path.read_bytes()) if path.exists() else {}
        made = {"key_pepper": secrets.token_urlsafe(32)}
        if not settings.admin_key:
            made["admin_key"] = ADMIN_KEY_PREFIX + secrets.token_urlsafe(32)
        complete = {**made, **kept}
        if complete != kept:
            write_private(path, msgspec.json.encode(complete))
    return (
        settings.admin_key or complete["admin_key"],
        (settings.key_pepper or complete["key_pepper"]).encode(),
        not settings.admin_key and "admin_key" not in kept,
    )
