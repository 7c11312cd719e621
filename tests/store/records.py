"""A small organisation made of core records: one member, one program, a purchase with everything that hangs on it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guerdon.core.access import ApiKey
from guerdon.core.accounts import GENERAL_LEDGER, Account, Hold, Ledger, Scheduled, Transfer
from guerdon.core.assets import Asset
from guerdon.core.commands import Line, Tender
from guerdon.core.division import Division, EarnedParts
from guerdon.core.events import Event, Name
from guerdon.core.lots import Lot, LotMove, encode_moves
from guerdon.core.members import Member
from guerdon.core.programs import Expiry, Policies, Program, Rule, Store, Till
from guerdon.core.purchases import Purchase, PurchaseReturn
from guerdon.core.redemptions import Redemption

NOON = datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC)
LATER = NOON + timedelta(days=30)
HUGE = 10**38 - 1


def uuid(number: int) -> str:
    """Any id, told apart by its number."""
    return f"0193c0de-0000-7000-8000-{number:012x}"


POINTS = Asset("POINTS", 3)
PROGRAM = Program(
    no=1, id=uuid(1), ledger_no=2, code="club", name="Club", asset="POINTS", first=True, version=1,
    policies=Policies(expiry=Expiry(kind="months", count=12), rules=(Rule(code="base", kind="fixed", points=5),)),
)  # fmt: skip
STORE = Store(no=2, id=uuid(2), code="s1", name="Main Street")
TILL = Till(no=3, id=uuid(3), code="t1", name="Till 1", store_no=2, program_no=1)
LEDGER = Ledger(no=2, id=uuid(4), name="Club", opened_at=NOON)
MEMBER = Member(
    no=1, id=uuid(5), registered_at=NOON, identifiers=(("card", 'C{",\\}:1'), ("email", "ada@example.org")),
)  # fmt: skip
POOL = Account(
    no=1, id=uuid(6), ledger_no=GENERAL_LEDGER, asset="POINTS", indicator="@PointsPool", program_no=1, role="pool",
    opened_at=NOON,
)  # fmt: skip
REGULAR = Account(
    no=2, id=uuid(7), ledger_no=2, asset="POINTS", member_no=1, program_no=1, category="regular", tracks_lots=True,
    opened_at=NOON,
)  # fmt: skip
WALLET = Account(no=3, id=uuid(8), ledger_no=2, asset="USD", member_no=1, opened_at=NOON, options='{"a":"NULL"}')
LOOSE = Account(no=4, id=uuid(9), ledger_no=2, asset="POINTS", opened_at=NOON)

SPENT = Lot(
    no=1, account=2, event_seq=1, amount=40, remaining=0, redeemed=40, earned_at=NOON, rule="base", version=1, line=2,
    purchase_no=1,
)  # fmt: skip
OVERDUE = Lot(no=2, account=2, event_seq=1, amount=30, remaining=30, earned_at=NOON, expires_at=NOON, rule="base")
OPEN = Lot(
    no=3, account=2, event_seq=1, amount=30, remaining=20, returned=5, expired=5, held=7, earned_at=NOON,
    expires_at=LATER,
)  # fmt: skip
LASTING = Lot(no=4, account=2, event_seq=1, amount=HUGE, remaining=HUGE, earned_at=NOON)

EARNING = Event(
    seq=1, id=uuid(20), name=Name.TRANSACTION_ADD, member_no=1, event_at=NOON, recorded_at=NOON, transfers=1,
    points=100, source="INSTORE", store_no=2, till_no=3, program_no=1, purchase_no=1, reference="B-1",
    actor="key", entries=2, body='{"text":"ä\\"\\\\"}',
    lot_moves=encode_moves([LotMove(lot.no, "open", lot.amount, account=2) for lot in (SPENT, OVERDUE, OPEN)]),
)  # fmt: skip
EARNED = Transfer(2, uuid(21), 1, "apply", 1, 2, "POINTS", 100, 1, 1, -100, 100, NOON, reference="r,{1}")
SPENDING = Event(
    seq=3, id=uuid(22), name=Name.POINTS_REDEMPTION, member_no=1, event_at=NOON, recorded_at=NOON, transfers=1,
    points=-40, lot_moves=encode_moves([LotMove(1, "take", 40)]),
)  # fmt: skip
REDEEMED = Transfer(4, uuid(23), 3, "apply", 2, 1, "POINTS", 40, 2, 2, 60, -60, NOON)
RAW = Event(
    seq=5, id=uuid(24), name=Name.LEDGER_TRANSACTION, member_no=1, event_at=NOON, recorded_at=NOON, transfers=3,
)  # fmt: skip
HELD = Transfer(
    6, uuid(25), 5, "hold", 2, 4, "POINTS", 7, 3, 1, 60, 0, NOON, effective_at=NOON, reference="child",
    request_id=uuid(26), request_reference="asked", detail='{"meta":{}}',
)  # fmt: skip
SETTLED = Transfer(7, uuid(27), 5, "settle", 2, 4, "POINTS", 3, 4, 2, 57, 3, NOON, parent=uuid(25))
WAITING = Transfer(8, uuid(28), 5, "schedule", 2, 4, "POINTS", 9, None, None, None, None, NOON, reference="NULL")
TRANSFERS = (EARNED, REDEEMED, HELD, SETTLED, WAITING)
EVENTS = (EARNING, SPENDING, RAW)
HOLD = Hold(seq=6, transfer_id=uuid(25), remaining=4, commits_at=LATER, pins=((3, 4),))
SCHEDULED = Scheduled(seq=8, transfer_id=uuid(28), due_at=LATER, done=False, request='{"amount":9}')

REDEMPTION = Redemption(
    id=uuid(30), no=1, member_no=1, program_no=1, event_seq=3, purchase_no=1, points=40, reversed=0,
    reference="R-1", event_at=NOON, fingerprint=b"\x00\x01", result="{}",
)  # fmt: skip
PURCHASE = Purchase(
    no=1, id=uuid(31), number="B-1", member_no=1, event_seq=1, event_at=NOON, recorded_at=NOON, currency="USD",
    amount=1000, paid=960, spent_points=40, redemption_id=uuid(30), source="INSTORE", store_no=2, till_no=3,
    lines=(Line(sku="milk", quantity=1500, amount=1000, categories=("food",), attributes={"fat": 3}),), shares=(40,),
    division=Division(
        paid=(960,), spent=(40,), earned=(EarnedParts(program_no=1, version=1, rule="base", parts=(100,)),)
    ),
    tenders=(Tender(kind="cash", amount=960),), fingerprint=b"\xff" * 32, result='{"a":1}',
)  # fmt: skip
RETURN = PurchaseReturn(
    no=1, id=uuid(32), number="RET-1", purchase_no=1, member_no=1, event_seq=1, event_at=NOON, recorded_at=NOON,
    lines=((0, 1500),), amount=1000, paid=960, spent=40, earned=(100,), fingerprint=b"", result="{}",
)  # fmt: skip
API_KEY = ApiKey(
    id=uuid(33), name="till", owner="ops", scopes=("read:*", 'odd"{one}'), hash=b"\x01" * 32, created_at=NOON,
)  # fmt: skip
