"""Assets, places, and programs with their policies."""

from __future__ import annotations

from datetime import datetime

from guerdon.core.commands.command import Command, Selector
from guerdon.core.programs import Policies


class CreateAsset(Command, frozen=True, kw_only=True):
    code: str
    scale: int


class CreateProgram(Command, frozen=True, kw_only=True):
    code: str
    name: str
    asset: str
    policies: Policies


class ChangeProgram(Command, frozen=True, kw_only=True):
    """Give a program a new version of its policies, from now on or from a time that is still to come; entries and lots
    keep the version they were made under. What was planned and has not begun when this version does is replaced by it.
    """

    program: Selector
    policies: Policies
    name: str = ""
    starts_at: datetime | None = None


class PreviewChange(Command, frozen=True, kw_only=True):
    """Say whether a change of a program would be refused, and do nothing."""

    of: ChangeProgram


class FollowPolicy(Command, frozen=True, kw_only=True):
    """Let the points of these accounts (numbers) follow the version of their program that is to count for what was
    there. Changes when it is booked, never when anything ends. `members` are whose accounts these are, and `lots` how
    many lots that is about, where the caller knows.
    """

    accounts: tuple[int, ...]
    members: tuple[int, ...] = ()
    lots: int = 0


class GiveNotice(Command, frozen=True, kw_only=True):
    """Tell of points that are about to end: accounts (numbers), each with the instant at which some of its points do.
    `members` are whose accounts these are, where the caller knows.
    """

    ends: tuple[tuple[int, datetime], ...]
    members: tuple[int, ...] = ()


class FinishFollowing(Command, frozen=True, kw_only=True):
    """Note that all points of a program follow a version. Whoever asks has looked."""

    program_no: int
    version: int


class CreateStore(Command, frozen=True, kw_only=True):
    code: str
    name: str
    meta: str = ""


class CreateTill(Command, frozen=True, kw_only=True):
    """A till belongs to a store and is mapped to a program."""

    code: str
    store: Selector
    program: Selector
    name: str = ""


class RegisterSource(Command, frozen=True, kw_only=True):
    code: str
