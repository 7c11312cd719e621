"""The one executable (being written)."""


def main() -> None:
    raise SystemExit("not yet")
