"""The documentation keeps up with the code: nothing public is missing, no link is dead, no page names a machine."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from guerdon.api import blnk
from guerdon.api.blnk.errors import STATUS
from guerdon.api.problem import KINDS
from guerdon.api.routes import ROUTES
from guerdon.core.events import Name
from guerdon.core.outcomes import Rejection
from guerdon.settings import Settings

ROOT = Path(__file__).parents[1]
REFERENCE = ROOT / "docs" / "reference"
PAGES = sorted(
    path
    for place in (ROOT.glob("*.md"), (ROOT / "docs").rglob("*.md"), (ROOT / "benchmarks").rglob("*.md"))
    for path in place
)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
MACHINE = re.compile(r"(?<![\w.])/(?:work|root|tmp/\w|home/\w|Users)\b")


def page(name: str) -> str:
    return (REFERENCE / name).read_text(encoding="utf-8")


def without_code(text: str) -> str:
    return re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)


def anchors(text: str) -> set[str]:
    """The fragments that a page's headings can be reached by."""
    headings = re.findall(r"^#+ (.*)$", re.sub(r"```.*?```", "", text, flags=re.DOTALL), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_reference_is_what_the_code_says() -> None:
    checked = subprocess.run(
        [sys.executable, "docs/generate.py", "--check"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr


def test_every_route_of_v1_is_documented() -> None:
    text = page("routes.md")
    assert [f"{x.method} {x.path}" for x in ROUTES if f"### {x.method} {x.path}\n" not in text] == []


def test_every_route_of_the_ledger_api_is_documented() -> None:
    text = page("blnk-routes.md")
    assert [f"{x.method} {x.path}" for x in blnk.ROUTES if f"`{x.method} {x.path}`" not in text] == []


def test_every_setting_is_documented_with_a_sentence() -> None:
    text = page("settings.md")
    fields = Settings.model_fields.items()
    assert [name for name, field in fields if not field.description] == []
    assert [name for name, _ in fields if f"`GUERDON_{name.upper()}`" not in text] == []


def test_every_setting_does_something() -> None:
    sources = [path for path in (ROOT / "guerdon").rglob("*.py") if path.name != "settings.py"]
    code = "\n".join(path.read_text(encoding="utf-8") for path in sources)
    by_a_property = {"database_owner_url"}
    assert [x for x in Settings.model_fields if x not in by_a_property and not re.search(rf"\.{x}\b", code)] == []


def test_every_refusal_is_documented() -> None:
    text = page("errors.md")
    assert [code for code in (*map(str, Rejection), *map(str, KINDS), *STATUS) if f"| `{code}` |" not in text] == []


def test_every_event_stands_in_the_money_map() -> None:
    drawn = (ROOT / "docs" / "explanation" / "money-map.md").read_text(encoding="utf-8")
    for text in (drawn, page("events.md")):
        assert [name.value for name in Name if f"| `{name.value}` |" not in text] == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_leads_somewhere(path: Path) -> None:
    dead = []
    for target in LINK.findall(without_code(path.read_text(encoding="utf-8"))):
        if "://" in target or target.startswith("mailto:"):
            continue
        file, _, fragment = target.partition("#")
        found = (path.parent / file).resolve() if file else path
        if not found.exists() or (fragment and fragment not in anchors(found.read_text(encoding="utf-8"))):
            dead.append(target)
    assert dead == []


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_page_names_a_machine(path: Path) -> None:
    assert MACHINE.findall(path.read_text(encoding="utf-8")) == []
