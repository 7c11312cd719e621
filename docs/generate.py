"""Writes docs/reference/ from the code: `make docs`. `tests/test_docs.py` fails while it is out of date.

Nothing here knows a command, setting, code, event or route by name: what is not in the code is not in the reference.
"""

from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import typer
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from guerdon.api import blnk, openapi
from guerdon.api.blnk import errors as blnk_errors
from guerdon.api.blnk import routing as blnk_routing
from guerdon.api.points_ledger import EntryOut, EventOut, LotMoveOut
from guerdon.api.problem import KINDS
from guerdon.api.routes import ROUTES
from guerdon.api.v2.names import theirs
from guerdon.cli import app
from guerdon.core.events import Name
from guerdon.core.lots import EFFECTS
from guerdon.core.messages import TYPES
from guerdon.core.outcomes import Rejection
from guerdon.settings import Settings
from guerdon.webhooks.rendering import Data, Envelope

DOCS = Path(__file__).parent
REFERENCE = DOCS / "reference"
MONEY_MAP = DOCS / "explanation" / "money-map.md"
WRITTEN = "<!-- Written by docs/generate.py from the code. Change the code, then run `make docs`. -->\n\n"
WIDTH = 100
_SHAPES = {"Ref": "`{id, number, code, name}`", "Thing": "`{id, code}`"}


def pages() -> dict[str, str]:
    """Every page of the reference, by file name."""
    made = {
        "README.md": index(),
        "commands.md": commands(),
        "settings.md": settings(),
        "errors.md": errors(),
        "events.md": events(),
        "messages.md": messages(),
        "routes.md": routes(),
        "blnk-routes.md": blnk_routes(),
    }
    return {name: WRITTEN + text.rstrip() + "\n" for name, text in made.items()}


def index() -> str:
    return """# Reference

| | |
|---|---|
| [Commands](commands.md) | what `guerdon` can be told on the command line |
| [Settings](settings.md) | every environment variable and limit, with its default |
| [Routes of `/v1`](routes.md) | what can be asked for, and what may go wrong |
| [Points ledger under other names](points-ledger-v2.md) | `/v2/pointsLedger`, for clients of another system |
| [Routes of `/blnk`](blnk-routes.md) | the ledger API |
| [Error codes](errors.md) | each code with its status, and the way out |
| [Events](events.md) | what the points ledger is made of |
| [Messages](messages.md) | what webhooks are sent, and the names of events here and there |

A running server shows the routes with their answers at `/docs`, and as an OpenAPI 3.1 document at `/openapi.json`.
"""


# -- commands and settings ---------------------------------------------------------------------------------------------


def commands() -> str:
    """The help text of every command, as it shows it."""
    blocks = [f"## {name}\n\n```\n{text}\n```\n" for name, text in _helps(typer.main.get_command(app), "guerdon", None)]
    return "# Commands\n\n" + "\n".join(blocks)


def _helps(command: Any, name: str, parent: Any) -> Iterator[tuple[str, str]]:
    context = command.make_context(
        name.split()[-1], ["--help"], parent=parent, resilient_parsing=True, terminal_width=WIDTH
    )
    text = command.get_help(context)
    yield name, "\n".join(line.rstrip() for line in text.strip().splitlines())
    for child in getattr(command, "commands", {}).values():
        yield from _helps(child, f"{name} {child.name}", context)


def settings() -> str:
    """Every setting by its environment variable."""
    lines = [
        "# Settings",
        "",
        "Each is an environment variable; in a TOML file (`guerdon.toml` in the current directory, or the file that",
        "`GUERDON_CONFIG` or `--config` names) it goes by its name without `GUERDON_`, in lower case. The command line",
        "goes before the environment, the environment before the file. An unknown name in the file is an error, an",
        "empty variable counts as not set.",
        "",
        "| variable | default | |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        text = " ".join((field.description or "").split())
        lines.append(f"| `GUERDON_{name.upper()}` | {_default(name, field)} | {_cell(text)} |")
    return "\n".join(lines)


def _default(name: str, field: FieldInfo) -> str:
    if name == "data_dir":
        return "`~/.local/share/guerdon`; for root `/var/lib/guerdon/default`"
    if field.default is None or field.default is PydanticUndefined:
        return "–"
    return f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"


# -- errors ------------------------------------------------------------------------------------------------------------


def errors() -> str:
    """Every code of `/v1` and of `/blnk`."""
    decided = {code.value for code in Rejection}
    lines = [
        "# Error codes",
        "",
        "## `/v1`",
        "",
        "A problem document (RFC 9457) has `type`, `title`, `status`, `code`, `detail`, `request_id`, often `field`,",
        "and the figures of the refusal by name. Tell problems apart by `code`.",
        "",
        "A code that is *kept* comes from a decision, which is remembered under the request's `Idempotency-Key`: the",
        "same request gets it again. What fails before anything is decided, with whatever code, is not remembered, so",
        "the same request may succeed later.",
        "",
        "| code | status | kept | what it says | the way out |",
        "|---|---|---|---|---|",
    ]
    for code, kind in KINDS.items():
        kept = "yes" if str(code) in decided else ""
        lines.append(f"| `{code}` | {kind.status} | {kept} | {_cell(kind.title)} | {_cell(kind.way_out)} |")
    lines += [
        "",
        "## `/blnk`",
        "",
        'Every error is `{"error": message, "error_detail": {"code", "message"}}`; where Blnk says `errors` instead of',
        "`error`, so does this. Refusals of the same core come with Blnk's codes:",
        "",
        "| code | status | stands for |",
        "|---|---|---|",
    ]
    meant: dict[str, list[str]] = {}
    for rejection, (code, _) in blnk_errors._REFUSALS.items():
        meant.setdefault(code, []).append(f"`{rejection.value}`")
    for code, status in blnk_errors.STATUS.items():
        lines.append(f"| `{code}` | {status} | {', '.join(meant.get(code, ()))} |")
    return "\n".join(lines)


# -- events ------------------------------------------------------------------------------------------------------------


def events() -> str:
    """Every event with its row of the money map, and what stands on an event, an entry and a lot."""
    map_ = money_map()
    lines = [
        "# Events",
        "",
        "An event is one atomic business fact of a member: everything it moved stands or falls with it. The picture is",
        "in the [money map](../explanation/money-map.md).",
        "",
        "| event | from → to | notes |",
        "|---|---|---|",
        *(f"| `{name.value}` | {' | '.join(map_.get(name.value, ('', '')))} |" for name in Name),
        "",
    ]
    for title, type_ in (("An event", EventOut), ("An entry of it", EntryOut), ("A lot it touched", LotMoveOut)):
        schema = _schema(type_)
        lines += [
            f"## {title}",
            "",
            " ".join(schema.get("description", "").split()),
            "",
            *_fields(schema, "always"),
            "",
        ]
    lines += [
        "## What happens to lots",
        "",
        "What a `move` of one point does to the figures of its lot: `amount = remaining + redeemed + returned +",
        "expired`; `held` is the part of `remaining` that a hold has pinned, `written off` the part of `redeemed` that",
        "a return should have taken back and forgave.",
        "",
        "| move | remaining | redeemed | returned | expired | held | written off |",
        "|---|---|---|---|---|---|---|",
        *(
            f"| `{move}` | {' | '.join(f'{part:+d}' if part else '' for part in effect)} |"
            for move, effect in EFFECTS.items()
        ),
    ]
    return "\n".join(lines)


def messages() -> str:
    """What a webhook is sent, and the one table of names."""
    lines = [
        "# Messages",
        "",
        "What a webhook endpoint is sent about an event: [how to receive them](../how-to/receive-webhooks.md). The",
        "body is a CloudEvent (1.0, structured, `application/cloudevents+json`); `webhook-id`, `webhook-timestamp` and",
        "`webhook-signature` are those of Standard Webhooks 1.0.",
        "",
        "## Names",
        "",
        "| event in the points ledger | message type | at `/v2` |",
        "|---|---|---|",
        *(f"| `{name.value}` | `{TYPES[name.value]}` | `{theirs(name.value)}` |" for name in Name),
        "",
    ]
    for title, type_ in (("The envelope", Envelope), ("`data`", Data)):
        schema = _schema(type_)
        told = " ".join(schema.get("description", "").split())
        lines += [f"## {title}", "", told, "", *_fields(schema, "always"), ""]
    return "\n".join(lines)


def money_map() -> dict[str, tuple[str, str]]:
    """From → to and the notes of every event in the money map's table."""
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", MONEY_MAP.read_text(encoding="utf-8"), re.MULTILINE)
    return {name: (moved, notes) for name, moved, notes in rows}


# -- routes ------------------------------------------------------------------------------------------------------------


def routes() -> str:
    """Every route of `/v1`, from the OpenAPI document."""
    document = openapi.document(ROUTES)
    lines = ["# Routes of `/v1`", "", *document["info"]["description"].splitlines(), ""]
    lines += [
        "Every change also takes the header `Idempotency-Key`. With the platform key the header `Guerdon-Organisation`",
        "says which organisation is meant.",
        "",
    ]
    common = _common(document)
    for tag in document["tags"]:
        lines += [f"## {tag['name']}", ""]
        for path, methods in document["paths"].items():
            for method, operation in methods.items():
                if tag["name"] in operation["tags"]:
                    lines += _operation(f"{method.upper()} {path}", operation, document, common)
    lines += ["## What may go wrong anywhere", "", ", ".join(f"`{code}`" for code in sorted(common)) + "; see"]
    lines += ["[error codes](errors.md)."]
    return "\n".join(lines)


def _codes(operation: dict[str, Any]) -> list[str]:
    failures = (one for status, one in operation["responses"].items() if status >= "300")
    return [code for one in failures for code in re.findall(r"^\* `(\w+)`", one["description"], re.MULTILINE)]


def _common(document: dict[str, Any]) -> set[str]:
    """Codes that are not one route's own: those that no route names, and those that most of them have."""
    own = {code for route in ROUTES for code in route.errors}
    found = Counter(code for methods in document["paths"].values() for one in methods.values() for code in _codes(one))
    return {code for code, times in found.items() if code not in own or times > len(ROUTES) / 2}


def _operation(name: str, operation: dict[str, Any], document: dict[str, Any], common: set[str]) -> list[str]:
    lines = [f"### {name}", "", f"**{operation['summary']}.** " + operation["description"].replace("\n\n", " "), ""]
    query = [one for one in operation["parameters"] if one["in"] == "query"]
    if query:
        lines += ["| parameter | | |", "|---|---|---|"]
        lines += [f"| `{one['name']}` | {_type(one['schema'])} | {_cell(one['description'])} |" for one in query]
        lines += [""]
    body = operation.get("requestBody", {}).get("content", {}).get("application/json")
    if body:
        lines += [*_fields(_named(body["schema"], document)), ""]
        if "example" in body:
            lines += [
                "```json",
                msgspec.json.format(msgspec.json.encode(body["example"]), indent=2).decode(),
                "```",
                "",
            ]
    codes = [code for code in _codes(operation) if code not in common]
    if codes:
        lines += ["Refused with " + ", ".join(f"`{code}`" for code in codes) + ".", ""]
    return lines


def _named(schema: dict[str, Any], document: dict[str, Any]) -> dict[str, Any]:
    found: dict[str, Any] = document["components"]["schemas"][schema["$ref"].rsplit("/", 1)[-1]]
    return found


def _schema(type_: type[msgspec.Struct]) -> dict[str, Any]:
    (_, components) = msgspec.json.schema_components([type_], ref_template="{name}")
    found: dict[str, Any] = components[type_.__name__]
    return found


def _fields(schema: dict[str, Any], word: str = "required") -> list[str]:
    required = schema.get("required", ())
    lines = ["| field | | |", "|---|---|---|"]
    for name, property_ in schema.get("properties", {}).items():
        needed = f", {word}" if name in required else ""
        lines.append(f"| `{name}` | {_type(property_)}{needed} | {_cell(property_.get('description', ''))} |")
    return lines


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        return _SHAPES.get(name := str(schema["$ref"]).rsplit("/", 1)[-1], name.removesuffix("Out").removesuffix("In"))
    if schema.get("format") == "date-time":
        return "instant"
    if "enum" in schema:
        return ", ".join(f"`{value}`" for value in schema["enum"])
    if "anyOf" in schema:
        return " or ".join(_type(one) for one in schema["anyOf"] if one.get("type") != "null")
    if schema.get("type") == "array":
        return f"list of {_type(schema.get('items') or {})}"
    kinds = schema.get("type", "any")
    text = " or ".join(kinds) if isinstance(kinds, list) else str(kinds)
    default = schema.get("default")
    return f"{text}, `{default}` unless said" if default not in (None, "", [], {}, 0) else text


def blnk_routes() -> str:
    """Every route of the ledger API, with the scope that a key needs."""
    lines = [
        "# Routes of `/blnk`",
        "",
        "Bodies and answers are Blnk's own; [the ledger API and Blnk](../explanation/blnk.md) says where they differ.",
        "The key goes into the header `X-Blnk-Key`.",
        "",
        "| route | scope | status | |",
        "|---|---|---|---|",
    ]
    for route in blnk.ROUTES:
        scope = f"`{route.resource}:{blnk_routing._ACTIONS[route.method]}`" if route.resource else "no key"
        said = route.handler.__doc__ or route.handler.__name__.replace("_", " ")
        lines.append(f"| `{route.method} {route.path}` | {scope} | {route.status} | {_cell(said)} |")
    return "\n".join(lines)


# -- text --------------------------------------------------------------------------------------------------------------


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def main() -> int:
    """Write what has changed; with `--check` only say whether something would."""
    made = pages()
    stale = [name for name, text in made.items() if not _same(REFERENCE / name, text)]
    if "--check" in sys.argv[1:]:
        print(*(f"docs/reference/{name} is out of date: make docs" for name in stale), sep="\n", end="\n" * bool(stale))
        return bool(stale)
    REFERENCE.mkdir(exist_ok=True)
    for name in stale:
        (REFERENCE / name).write_text(made[name], encoding="utf-8")
        print(f"wrote docs/reference/{name}")
    return 0


def _same(path: Path, text: str) -> bool:
    return path.is_file() and path.read_text(encoding="utf-8") == text


if __name__ == "__main__":
    sys.exit(main())
