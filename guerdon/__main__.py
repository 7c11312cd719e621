"""`python -m guerdon` is the same as `guerdon`."""

from guerdon.cli import main

main()
