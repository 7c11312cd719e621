"""Code texts: what is generated, and what of a typed text is the code. Uniqueness is the database's.

The shell hands in a seed of at least 32 random bytes per batch. A batch is a keyed permutation of all texts that its
form allows, read from the start: the i-th code depends on nothing but seed, form and i. So no code comes twice in a
batch, none can be told from the others, a batch is continued from any place (to make more of it, or in place of those
that other batches had already), and no list of what was given out is needed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b
from math import isqrt

from msgspec import Struct

from guerdon.core.promotions.authoring import Fault

READABLE = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"
"""Capitals and digits without those that are taken for another: 0 and O, 1 and I."""
DIGITS = "0123456789"

LENGTH_MIN, LENGTH_MAX = 4, 64
TYPED_MAX = 256
COUNT_MAX = 10_000_000
SPARSE = 100
"""Of the texts a form allows at most one in so many becomes a code, so that guessing rarely hits one."""
SEED_MIN = 32

CHUNKED = 36
"""Charsets up to this size are written three characters at once, others two, so that no table grows large."""
_ROUNDS = 8
_PASSES_MAX = 5
"""What an invisible character kept apart may join when that is gone; a second pass settles it."""
_UNSEEN = frozenset(("Zs", "Zl", "Zp", "Pd", "Cc", "Cf"))
_USABLE = re.compile(r"[^\W_]+(?:[._+*&%!$#/][^\W_]+)*")


class Form(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How codes of a batch look: `prefix` + `pattern` + `suffix`, where every # becomes a character of `charset`; the
    last # is a check character, if one is asked for. Spaces and hyphens are for the eye only.
    """

    pattern: str = "########"
    charset: str = READABLE
    prefix: str = ""
    suffix: str = ""
    check: bool = False

    @property
    def template(self) -> str:
        """Everything that is not for the eye only."""
        return normalised(self.prefix) + normalised(self.pattern) + normalised(self.suffix)

    @property
    def keyspace(self) -> int:
        """How many different codes there can be."""
        free = self.pattern.count("#") - self.check
        return len(self.charset) ** free if free > 0 else 0


# -- what is typed ----------------------------------------------------------------------------------------------------


def normalised(text: str) -> str:
    """A typed text as it is compared: NFKC, upper case, no spaces, hyphens or invisible characters; twice is once."""
    if text.isascii():
        return "".join(text.upper().split()).replace("-", "")
    before = ""
    for _ in range(_PASSES_MAX):
        if text == before:
            break
        before, folded = text, unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).upper())
        text = "".join([c for c in folded if unicodedata.category(c) not in _UNSEEN])
    return text


def read(typed: str) -> str | None:
    """The code in what a customer typed or a file has, or None where it cannot be one (empty, too long, no text)."""
    return None if len(typed) > TYPED_MAX else _read(typed)


@lru_cache(4096)
def _read(typed: str) -> str | None:
    """A checkout asks several times."""
    code = normalised(typed)
    return code if 1 <= len(code) <= LENGTH_MAX and _USABLE.fullmatch(code) else None


def shown(form: Form, code: str) -> str:
    """A code of a form as it is printed, with its spaces and hyphens."""
    characters = iter(code)
    text = (form.prefix + form.pattern + form.suffix).upper()
    return "".join([c if not normalised(c) else next(characters) for c in text])


# -- the check character ----------------------------------------------------------------------------------------------


def check_character(text: str, charset: str) -> str:
    """The character that makes `text` + it hold together (ISO 7064, hybrid system, modulus of the charset's even size).

    It finds every single wrong character. What is not in the charset does not count.
    """
    return _checked(charset).character(text)


class _Checked:
    """The check character of texts in a charset. What was read so far is one number below the size and 2; a table says
    what each character makes of it.
    """

    __slots__ = ("_characters", "_size", "_steps")

    def __init__(self, charset: str) -> None:
        size = self._size = len(charset)
        self._steps = {
            character: tuple(((carried + value) % size or size) * 2 % (size + 1) for carried in range(size + 1))
            for value, character in enumerate(charset)
        }
        self._characters = tuple(charset[(1 - carried) % size] for carried in range(size + 1))

    def character(self, text: str) -> str:
        steps, carried = self._steps, self._size
        for character in text:
            if character in steps:
                carried = steps[character][carried]
        return self._characters[carried]


@lru_cache(64)
def _checked(charset: str) -> _Checked:
    """The tables of a charset; making them takes as long as a hundred codes."""
    return _Checked(charset)


def holds_together(form: Form, code: str) -> bool:
    """Whether a code could be of this form: its length, its literals, its characters, and its check character."""
    template = form.template
    if len(code) != len(template):
        return False
    for wanted, character in zip(template, code, strict=True):
        if wanted == "#" and character not in form.charset:
            return False
        if wanted not in ("#", character):
            return False
    if not form.check:
        return True
    at = template.rindex("#")
    return code[at] == check_character(code[:at] + code[at + 1 :], form.charset)


# -- making them ------------------------------------------------------------------------------------------------------


def faults(form: Form, count: int, made: int = 0) -> Iterator[Fault]:
    """What is wrong with a form, or with asking for `count` codes of it after `made` were made."""
    if not 1 <= count <= COUNT_MAX:
        yield Fault("count", "out_of_range", {"minimum": 1, "maximum": COUNT_MAX})
    charset = form.charset
    if len(set(charset)) != len(charset) or len(charset) < 2 or not charset.isalnum() or normalised(charset) != charset:
        yield Fault("charset", "invalid_value")
        return
    if form.check and len(charset) % 2:
        yield Fault("charset", "odd_size", {"size": len(charset)})
    for field, text in (("prefix", form.prefix), ("suffix", form.suffix)):
        if "#" in text or (normalised(text) and not normalised(text).isalnum()):
            yield Fault(field, "invalid_value")
    if not form.pattern.replace("#", "").replace("-", "").replace(" ", "").isalnum() and form.pattern.strip("#- "):
        yield Fault("pattern", "invalid_value")
    if not LENGTH_MIN <= len(form.template) <= LENGTH_MAX:
        yield Fault("pattern", "out_of_range", {"minimum": LENGTH_MIN, "maximum": LENGTH_MAX})
    most = form.keyspace // SPARSE
    if made + count > most:
        yield Fault("pattern", "keyspace_too_small", {"keyspace": form.keyspace, "maximum": most, "made": made})


def generate(form: Form, seed: bytes, start: int, count: int) -> Iterator[str]:
    """Codes number `start` and following of a batch, normalised. The form has no faults; memory does not grow."""
    if len(seed) < SEED_MIN:
        raise ValueError(f"a seed has at least {SEED_MIN} bytes")
    template, charset = form.template, form.charset
    free = template.count("#") - form.check
    permutation = Permutation(form.keyspace, seed)
    words = _Words(charset, free)
    checked = _checked(charset) if form.check else None
    before, _, behind = template.rpartition("#") if form.check else (template, "", "")
    literals = before.split("#")
    whole = not any(literals[1:-1])
    first, last = literals[0], literals[-1]
    mould = "%s".join(literals)  # a form has no percent signs: `faults`
    for number in range(start, start + count):
        word = words.of(permutation.at(number))
        text = first + word + last if whole else mould % tuple(word)
        yield text if checked is None else text + checked.character(text + behind) + behind


class _Words:
    """Numbers written in a charset, a few characters at once."""

    __slots__ = ("_base", "_chunks", "_length", "_rest")

    def __init__(self, charset: str, length: int) -> None:
        width = min(3 if len(charset) <= CHUNKED else 2, length)
        chunks = [""]
        for _ in range(width):
            chunks = [chunk + character for chunk in chunks for character in charset]
        self._chunks = chunks
        self._base = len(chunks)
        self._length = length
        self._rest = -(-length // width)

    def of(self, number: int) -> str:
        """Exactly `length` characters, different for each number below the keyspace."""
        text = ""
        for _ in range(self._rest):
            number, chunk = divmod(number, self._base)
            text = self._chunks[chunk] + text
        return text[-self._length :]


class Permutation:
    """A keyed permutation of the numbers below `size`: eight Feistel rounds over two halves, walking on from numbers
    that are too large. Its round function is BLAKE2b with the seed as key, so the bias of one step is below 2^-64.
    """

    __slots__ = ("_half", "_keyed", "_size", "_width")

    def __init__(self, size: int, seed: bytes) -> None:
        self._size = size
        self._half = isqrt(size - 1) + 1 if size > 1 else 1
        self._width = (self._half.bit_length() + 7) // 8
        digest_size = min(self._width + 8, blake2b.MAX_DIGEST_SIZE)
        named = size.to_bytes(2 * self._width, "big")
        self._keyed = [
            blake2b(bytes([round_]) + named, key=seed[:64], digest_size=digest_size).copy for round_ in range(_ROUNDS)
        ]

    def at(self, number: int) -> int:
        """Where a number below the size goes."""
        if not 0 <= number < self._size:
            raise ValueError("beyond the keyspace")
        half, size, width = self._half, self._size, self._width
        to_number = int.from_bytes
        while True:
            left, right = divmod(number, half)
            for keyed in self._keyed:
                mixed = keyed()
                mixed.update(right.to_bytes(width, "big"))
                left, right = right, (left + to_number(mixed.digest(), "big")) % half
            number = left * half + right
            if number < size:
                return number
