"""Settings: where they come from, which goes first, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from guerdon.settings import Settings


@pytest.fixture(autouse=True)
def _no_settings_around(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("GUERDON_DATABASE_URL", "GUERDON_PORT", "GUERDON_CONFIG", "GUERDON_ADMIN_KEY"):
        monkeypatch.delenv(name, raising=False)


def test_the_defaults_are_the_documented_ones() -> None:
    settings = Settings()
    assert (settings.port, settings.blnk_path, settings.open) == (8080, "/blnk", False)
    assert (settings.body_bytes_max, settings.depth_max) == (5_000_000, 64)
    assert (settings.bulk_items_max, settings.purchase_lines_max) == (10_000, 2_000)
    assert settings.database_url is None
    assert settings.owner_url is None


def test_the_environment_goes_before_the_file_and_the_file_before_the_defaults(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "guerdon.toml").write_text('port = 7000\nhost = "0.0.0.0"\n')
    monkeypatch.setenv("GUERDON_PORT", "7001")
    settings = Settings()
    assert (settings.port, settings.host, settings.depth_max) == (7001, "0.0.0.0", 64)


def test_a_file_named_by_setting_is_read_from_anywhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "elsewhere.toml"
    file.write_text("open = true\n")
    monkeypatch.setenv("GUERDON_CONFIG", str(file))
    assert Settings().open


def test_a_file_that_is_not_there_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUERDON_CONFIG", "nowhere.toml")
    with pytest.raises(FileNotFoundError, match=r"nowhere\.toml"):
        Settings()


def test_an_unknown_name_in_the_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "guerdon.toml").write_text("prot = 7000\n")
    with pytest.raises(ValidationError, match="prot"):
        Settings()


@pytest.mark.parametrize(("given", "path"), [("/", "/"), ("", "/"), ("ledger", "/ledger"), ("/a/b/", "/a/b")])
def test_the_blnk_path_may_be_the_root_or_any_free_path(given: str, path: str) -> None:
    assert Settings(blnk_path=given).blnk_path == path


@pytest.mark.parametrize("taken", ["/v1", "v1/blnk", "/health"])
def test_the_blnk_path_may_not_be_one_of_ours(taken: str) -> None:
    with pytest.raises(ValidationError, match="taken by Guerdon"):
        Settings(blnk_path=taken)


def test_secrets_do_not_show_when_printed() -> None:
    settings = Settings(
        database_url="postgresql://a:hidden-word@h/d",
        database_owner_url="postgresql://o:hidden-word@h/d",
        admin_key="hidden-word-0123456789",
    )
    assert "hidden-word" not in repr(settings) + str(settings)
    assert settings.owner_url == "postgresql://o:hidden-word@h/d"


def test_the_owner_is_the_application_unless_given() -> None:
    assert Settings(database_url="postgresql://h/d").owner_url == "postgresql://h/d"
    with pytest.raises(ValidationError, match="needs database_url"):
        Settings(database_owner_url="postgresql://h/d")


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError, match="frozen"):
        Settings().port = 1
