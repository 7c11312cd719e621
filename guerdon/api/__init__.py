"""JSON over HTTP: bytes -> command -> outcome -> bytes.

`routing.py` carries every request of `/v1`, `strict.py` reads bodies, `problem.py` names what went wrong, and each
noun has a module with its routes. Nothing here decides: that is the core's work.
"""
