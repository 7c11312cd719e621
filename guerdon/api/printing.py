"""Codes on paper: an A4 sheet of labels with QR, as PDF, to be cut or torn.

QR by segno, the page by typst; both come with the extra `print`. Nothing is read from or written to the disk, and no
network is used. What a code or a title says is shown as it stands: it reaches the page as data, never as markup.
"""

from __future__ import annotations

import io
from collections.abc import Sequence

import msgspec
from msgspec import Struct

PER_PAGE = 24
QR_MM = 24
PLACEHOLDER = "{code}"
LINK_MAX = 200


class PrintingUnavailable(RuntimeError):
    """The extra `print` is not installed."""


class Label(Struct, frozen=True):
    """One code: as it is compared, and as it is printed."""

    code: str
    printed: str


class Sheet(Struct, frozen=True, kw_only=True):
    """What a sheet says. The QR holds the code, or a `link` with the code in place of {code}."""

    title: str
    note: str = ""
    link: str = ""


def pdf(labels: Sequence[Label], sheet: Sheet) -> bytes:
    """The sheet, some 10 ms a label."""
    try:
        import typst
    except ImportError:
        raise PrintingUnavailable("printing needs segno and typst: pip install 'guerdon[print]'") from None
    data = {
        "title": sheet.title,
        "note": sheet.note,
        "labels": [{"printed": label.printed, "qr": _qr(_held(label, sheet))} for label in labels],
    }
    made = typst.compile(
        _PAGE.encode(), sys_inputs={"data": msgspec.json.encode(data).decode()}, ignore_system_fonts=True
    )
    assert isinstance(made, bytes), "one document, in memory"
    return made


def _held(label: Label, sheet: Sheet) -> str:
    return sheet.link.replace(PLACEHOLDER, label.code) if sheet.link else label.code


def _qr(text: str) -> str:
    """The QR as SVG, with the quiet zone of four modules that readers are promised."""
    import segno

    out = io.BytesIO()
    segno.make(text, error="m", micro=False).save(out, kind="svg", xmldecl=False, border=4)
    return out.getvalue().decode()


_PAGE = f"""
#set document(title: "codes")
#set page(paper: "a4", margin: (x: 8mm, y: 10mm))
#set text(font: "DejaVu Sans Mono", size: 8pt, hyphenate: false)
#let data = json(bytes(sys.inputs.data))
#grid(
  columns: (1fr,) * 3,
  rows: 34mm,
  stroke: 0.3pt + luma(190),
  ..data.labels.map(label => pad(2mm, grid(
    columns: ({QR_MM}mm, 1fr),
    column-gutter: 2mm,
    align: horizon,
    image(bytes(label.qr), format: "svg", width: {QR_MM}mm),
    stack(
      spacing: 2.5mm,
      text(size: 7pt, data.title),
      text(size: 9pt, weight: "bold", label.printed),
      text(size: 6pt, data.note),
    ),
  ))),
)
"""
