"""Problem documents (RFC 9457), and the only mapping from a refusal to an HTTP status.

Every code stands in `KINDS` with its status, its title and the way out; OpenAPI and the docs page are made from the
same table. Clients tell problems apart by `code`, which never changes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
from msgspec import Struct

from guerdon.core.assets import decimal_text
from guerdon.core.outcomes import Rejected, Rejection

MEDIA_TYPE = b"application/problem+json"
_AS_THEY_ARE: Mapping[str, str] = {}


class Kind(Struct, frozen=True):
    """What a code means: its status, a title, and what the caller can do."""

    status: int
    title: str
    way_out: str = ""


_R = Rejection

KINDS: dict[str, Kind] = {
    # the request cannot be read
    "malformed_json": Kind(400, "The body is not JSON", "Send one JSON object, encoded as UTF-8."),
    "not_utf8": Kind(400, "The request is not UTF-8", "Encode text as UTF-8."),
    "unknown_field": Kind(400, "Unknown field", "Leave the field out or correct its name."),
    "missing_field": Kind(400, "Missing field", "Send the field."),
    "duplicate_field": Kind(400, "Field given twice", "Send each field once."),
    "unknown_parameter": Kind(400, "Unknown query parameter", "Leave the parameter out or correct its name."),
    "too_deep": Kind(400, "Nested too deep", "Flatten the body."),
    "control_character": Kind(400, "Control character in text", "Remove the character."),
    "wrong_scale": Kind(400, "Too many decimals", "Round to the decimals of the asset."),
    "invalid_cursor": Kind(400, "Unknown cursor", "Use `next_cursor` of an earlier page, with the same filters."),
    "invalid_idempotency_key": Kind(400, "Unusable Idempotency-Key", "Send 1 to 200 printable ASCII characters."),
    "body_too_large": Kind(413, "Body too large", "Send less at once."),
    "unsupported_media_type": Kind(415, "Not JSON", "Send `Content-Type: application/json`."),
    # who asks
    "key_missing": Kind(401, "An API key is needed", "Send `Authorization: Bearer <key>`."),
    "key_invalid": Kind(401, "This API key is not valid", "Check the key, or make a new one."),
    "key_expired": Kind(401, "This API key has expired", "Make a new key."),
    "insufficient_scope": Kind(403, "The key may not do this", "Use a key with the scope named in `scope`."),
    "platform_key_required": Kind(403, "Only the platform key may do this", "Use the key in GUERDON_ADMIN_KEY."),
    "organisation_required": Kind(
        400, "Which organisation?", "With the platform key, name it in the header `Guerdon-Organisation`."
    ),
    # what is asked for
    "not_found": Kind(404, "There is no such page", "See /openapi.json for what there is."),
    "method_not_allowed": Kind(405, "This cannot be done here", "See the `Allow` header."),
    "organisation_not_found": Kind(404, "No such organisation"),
    "import_not_found": Kind(404, "No such import"),
    "backtest_not_found": Kind(404, "No such backtest"),
    "event_not_found": Kind(404, "No such event"),
    "too_many_webhooks": Kind(409, "Too many endpoints", "Remove one, or let one serve several of your systems."),
    "reversal_is_final": Kind(409, "A reversal cannot be reversed", "Redeem the points again."),
    # codes that somebody presents
    "code_not_valid": Kind(422, "This code is not valid", "Check its spelling."),
    "too_many_tries": Kind(429, "Too many codes were tried", "Try again after the seconds in `Retry-After`."),
    # the server
    "busy": Kind(503, "Too much is waiting", "Try again after the seconds in `Retry-After`."),
    "database_unavailable": Kind(503, "The database does not answer", "Try again after the seconds in `Retry-After`."),
    "printing_unavailable": Kind(501, "This server cannot print", "Install the extra `print`: segno and typst."),
    "internal_error": Kind(500, "Something broke on our side", "Tell the operator the `request_id`."),
    # refusals of the core
    _R.IDEMPOTENCY_KEY_REUSED: Kind(
        422, "This Idempotency-Key was used for another request", "Use a new key for a new request."
    ),
    _R.REFERENCE_TAKEN: Kind(409, "This reference is taken", "Send the same content again, or use another reference."),
    _R.NUMBER_TAKEN: Kind(409, "This number is taken", "Send the same content again, or use another number."),
    _R.CODE_TAKEN: Kind(409, "This code is taken", "Choose another code."),
    _R.NAME_TAKEN: Kind(409, "This name is taken", "Choose another name."),
    _R.IDENTIFIER_TAKEN: Kind(409, "Another member has this identifier", "Look the member up by it."),
    _R.INDICATOR_TAKEN: Kind(409, "This internal account exists already"),
    _R.INVALID_VALUE: Kind(400, "A value is not allowed", "See `field` and `detail`."),
    _R.ADDRESS_NOT_PUBLIC: Kind(400, "The address is not on the public internet"),
    _R.WINDOW_NEVER_OPEN: Kind(400, "The window is never open", "Let it end later than it starts."),
    _R.WINDOWS_OVERLAP: Kind(400, "Two windows of a rule are open at the same time", "Make one of them, or two rules."),
    _R.IDENTIFIER_MISSING: Kind(400, "A member needs an identifier", "Send one of external_id, email, mobile, card."),
    _R.PURCHASE_WITHOUT_LINES: Kind(400, "A purchase has lines", "Send at least one line."),
    _R.RETURN_WITHOUT_LINES: Kind(
        400, "A return of lines has lines", "Send at least one line, or leave `lines` out to return what is left."
    ),
    _R.AMOUNT_MISMATCH: Kind(400, "The parts do not add up", "Make `amount` the sum of the lines, or leave it out."),
    _R.WINDOW_OF_ZERO: Kind(400, "The window is empty", "Give it days or months."),
    _R.THRESHOLDS_OVERLAP: Kind(400, "Two tiers overlap", "Let each tier begin above the one before."),
    _R.THRESHOLDS_LEAVE_A_GAP: Kind(
        400, "There is a gap between two tiers", "Let `below` be where the next tier begins, or leave it out."
    ),
    _R.STARTS_IN_THE_PAST: Kind(400, "It would start in the past", "Send a later `starts_at`, or none for now."),
    _R.UNKNOWN_ATTRIBUTE: Kind(400, "There is no such attribute or tier", "Use one of those in `known`."),
    _R.SEGMENTS_IN_A_CIRCLE: Kind(400, "The segment leads back to itself", "Leave out the segment that names it."),
    _R.SEGMENT_NOT_FOUND: Kind(404, "No such segment", "See /v1/segments."),
    _R.SEGMENT_IS_NO_LIST: Kind(409, "The segment is a condition", "Put members on a list instead."),
    _R.NOT_IN_AUDIENCE: Kind(409, "This is not for the member", "See `tiers` and `segments` of the list."),
    _R.TIERS_NOT_FOUND: Kind(404, "The program has no tiers", "Make them at /v1/programs/{program}/tiers."),
    _R.LEDGER_NOT_FOUND: Kind(404, "No such ledger"),
    _R.ACCOUNT_NOT_FOUND: Kind(404, "No such account"),
    _R.TRANSFER_NOT_FOUND: Kind(404, "No such transfer"),
    _R.ASSET_NOT_FOUND: Kind(404, "No such asset", "Make it with POST /v1/assets."),
    _R.PROGRAM_NOT_FOUND: Kind(404, "No such program", "Make it with POST /v1/programs."),
    _R.STORE_NOT_FOUND: Kind(404, "No such store", "Make it with POST /v1/stores."),
    _R.TILL_NOT_FOUND: Kind(404, "No such till", "Make it with POST /v1/tills."),
    _R.SOURCE_NOT_FOUND: Kind(404, "No such source", "Register it with POST /v1/sources."),
    _R.MEMBER_NOT_FOUND: Kind(404, "No such member", "Register them with POST /v1/members."),
    _R.PURCHASE_NOT_FOUND: Kind(404, "No such purchase"),
    _R.LINE_NOT_FOUND: Kind(404, "The purchase has no such line", "Look at `lines` of the purchase."),
    _R.REDEMPTION_NOT_FOUND: Kind(404, "No such redemption"),
    _R.LOT_NOT_FOUND: Kind(404, "No such points", "See `expand=lots` of the points ledger for what is there."),
    _R.REFERRAL_NOT_FOUND: Kind(404, "No such referral"),
    _R.ISSUE_NOT_FOUND: Kind(404, "No such issue of a promotion"),
    _R.CODE_BATCH_NOT_FOUND: Kind(404, "No such batch of codes"),
    _R.CODE_NOT_FOUND: Kind(404, "No such code"),
    _R.ADJUSTMENT_NOT_FOUND: Kind(404, "No such adjustment"),
    _R.REWARD_LIST_NOT_FOUND: Kind(404, "No such list of rewards", "Make it with POST /v1/reward-lists."),
    _R.REWARD_NOT_FOUND: Kind(404, "No such reward", "Make it with POST /v1/rewards."),
    _R.CLAIM_NOT_FOUND: Kind(404, "No such claim"),
    _R.PROMOTION_NOT_FOUND: Kind(404, "No such promotion", "Make it with POST /v1/promotions."),
    _R.COMMIT_NOT_FOUND: Kind(404, "No such commit"),
    _R.RESERVATION_NOT_FOUND: Kind(404, "No such reservation"),
    _R.KEY_NOT_FOUND: Kind(404, "No such key"),
    _R.WEBHOOK_NOT_FOUND: Kind(404, "No such endpoint"),
    _R.OBJECT_NOT_FOUND: Kind(404, "No such object"),
    _R.MEMBER_BLOCKED: Kind(409, "The member is blocked", "Set the member's status to active."),
    _R.MEMBER_MERGED: Kind(409, "The member was merged into another", "Use the surviving member."),
    _R.MEMBER_IN_USE: Kind(409, "The member holds accounts"),
    _R.MEMBER_HAS_HOLDS: Kind(409, "The member has points on hold", "Settle or release the holds first."),
    _R.WALLET_NOT_OF_MEMBER: Kind(409, "The wallet is not the buyer's", "Use an account of the member who buys."),
    _R.NOT_ENROLLED: Kind(409, "The member has no account in this program", "Register the member through /v1."),
    _R.CATEGORY_NOT_SPENDABLE: Kind(409, "Only regular points can be spent"),
    _R.NOT_INFLIGHT: Kind(409, "The transfer is not on hold"),
    _R.ALREADY_SETTLED: Kind(409, "The hold has been settled"),
    _R.ALREADY_RELEASED: Kind(409, "The hold has been released"),
    _R.ALREADY_REFUNDED: Kind(409, "The transfer has been refunded"),
    _R.NOT_REFUNDABLE: Kind(409, "The transfer cannot be refunded"),
    _R.ALREADY_RETURNED: Kind(409, "This has been taken back", "See `returns` of the purchase."),
    _R.ALREADY_REVERSED: Kind(409, "The redemption has been reversed in full"),
    _R.ALREADY_UNLOCKED: Kind(409, "These points have been unlocked"),
    _R.NOTHING_PROMISED: Kind(409, "Nothing is promised here"),
    _R.ALREADY_REFERRED: Kind(409, "The member has been referred before", "See `referral_id`."),
    _R.REFERRAL_ALREADY_RETURNED: Kind(409, "The referral has been taken back"),
    _R.ALREADY_DECIDED: Kind(409, "The adjustment needs no decision any more"),
    _R.ADJUSTMENT_EXPIRED: Kind(409, "The adjustment waited too long", "Ask for it again."),
    _R.SAME_PERSON: Kind(403, "A second person must decide this", "Use a key of another owner."),
    _R.REFERRAL_POINTS_MISSING: Kind(
        409, "The program gives nothing for referrals", "Give it `referral` with PATCH /v1/programs/{program}."
    ),
    _R.LIST_NOT_ACTIVE: Kind(409, "The list of the reward is not open", "See its `active`, `starts_at` and `ends_at`."),
    _R.REWARD_NOT_ACTIVE: Kind(409, "The reward is not open", "See its `active`, `starts_at` and `ends_at`."),
    _R.FULFILMENT_NOT_FORWARD: Kind(
        409, "A fulfilment moves forward only", "From pending to processing, then completed, denied or cancelled."
    ),
    "invalid_promotion": Kind(400, "The promotion cannot work as written", "See `faults`, each with its `field`."),
    _R.PROMOTION_ENDED: Kind(409, "The promotion has ended", "Copy it: POST /v1/promotions/{promotion}/copies."),
    _R.PROMOTION_NOT_ACTIVE: Kind(409, "The promotion is not active", "Activate it first."),
    _R.CODE_NOT_APPLIED: Kind(422, "The code gives nothing here", "See `reason`, or leave the code out."),
    _R.EVALUATION_STALE: Kind(409, "The cart is not what was evaluated any more", "Evaluate it again."),
    _R.PROMOTION_NOT_ISSUED: Kind(409, "The promotion is not given to members", "Only those of the kind `member` are."),
    _R.ISSUE_LIMIT_REACHED: Kind(409, "The member was given this promotion as often as it may be"),
    _R.ISSUE_REVOKED: Kind(409, "This issue was taken back"),
    _R.ISSUE_EXPIRED: Kind(409, "This issue has ended"),
    _R.PROMOTION_TAKES_NO_CODES: Kind(409, "The promotion takes no codes", "Only promotions of the kind `code` do."),
    _R.CODE_BATCH_NOT_GENERATED: Kind(409, "The codes of this batch were brought in", "Upload more of them."),
    _R.CODE_BATCH_MOVED_ON: Kind(409, "The batch has gone on meanwhile", "Read it again."),
    _R.CODE_LINKED_TO_ANOTHER: Kind(409, "The code is another customer's"),
    _R.CODE_DEACTIVATED: Kind(409, "The code is deactivated"),
    _R.CODE_ALREADY_USED: Kind(409, "The code was used"),
    _R.CODE_EXPIRED: Kind(409, "The promotion of the code has ended"),
    _R.CODE_OF_ANOTHER_MODE: Kind(400, "The code is of another mode", "Send the mode named in `mode`."),
    _R.ASSET_IN_USE: Kind(409, "The asset is in use"),
    _R.POLICY_IN_THE_PAST: Kind(400, "A policy cannot start in the past", "Send a later time, or leave it out."),
    _R.EVENT_TIME_OUT_OF_RANGE: Kind(
        400, "The time is out of range", "Send a time between 1970 and now, or leave it out."
    ),
    _R.EXPIRY_IN_THE_PAST: Kind(400, "Points cannot end in the past", "Send a later day."),
    _R.ASSET_MISMATCH: Kind(400, "The account holds another asset"),
    _R.PRECISION_MISMATCH: Kind(400, "The precision is not the asset's", "Send 10 to the power of its scale."),
    _R.SAME_ACCOUNT: Kind(400, "Source and destination are the same"),
    _R.SAME_MEMBER: Kind(400, "Both are the same member", "Name two members."),
    _R.AMOUNT_NOT_POSITIVE: Kind(400, "The amount must be above zero"),
    _R.AMOUNT_OUT_OF_RANGE: Kind(400, "The amount is out of range", "Amounts have at most 38 digits."),
    _R.QUANTITY_NOT_POSITIVE: Kind(400, "The quantity must be above zero"),
    _R.INVALID_DISTRIBUTION: Kind(400, "The parts cannot be distributed"),
    _R.SETTLE_EXCEEDS_HOLD: Kind(422, "More than is left on hold"),
    _R.REVERSAL_EXCEEDS_REDEMPTION: Kind(
        422, "More than is left of the redemption", "Reverse at most `remaining`, or leave `points` out."
    ),
    _R.RETURN_EXCEEDS_PURCHASE: Kind(
        422, "More than was bought", "Return at most `bought` less `returned`, or leave `lines` out."
    ),
    _R.REDEMPTION_RATE_MISSING: Kind(
        409, "The program has no redemption rate", "Give it one with PATCH /v1/programs/{program}."
    ),
    _R.INSUFFICIENT_FUNDS: Kind(422, "Not enough funds"),
    _R.OVERDRAFT_LIMIT_EXCEEDED: Kind(422, "Beyond the overdraft limit"),
    _R.REDEMPTION_BELOW_MINIMUM: Kind(422, "Fewer points than can be spent at a time", "Spend at least `minimum`."),
    _R.REDEMPTION_ABOVE_MAXIMUM: Kind(422, "More points than can be spent at a time", "Spend at most `maximum`."),
    _R.REDEMPTION_NOT_A_MULTIPLE: Kind(
        422, "Points are spent in multiples of a number", "Spend a multiple of `multiple_of`."
    ),
    _R.LIFETIME_POINTS_TOO_LOW: Kind(
        422, "The member has not earned enough yet to spend", "Come back with `minimum` lifetime points."
    ),
    _R.TRANSFER_BELOW_MINIMUM: Kind(422, "Fewer points than can be sent at a time", "Send at least `minimum`."),
    _R.TRANSFER_LIMIT_EXCEEDED: Kind(
        422, "More than the member may send for now", "Send at most `limit` less `used`, or wait until `window_end`."
    ),
    _R.OUT_OF_STOCK: Kind(422, "No piece is left"),
    _R.LIMIT_REACHED: Kind(422, "The member has claimed as many as one may"),
    _R.INSUFFICIENT_POINTS: Kind(422, "Not enough points", "Spend at most what is `spendable`."),
}


_HEADERS: dict[int, tuple[tuple[bytes, bytes], ...]] = {401: ((b"www-authenticate", b"Bearer"),)}


class Problem(Exception):
    """A request that ends in a problem document."""

    media_type = MEDIA_TYPE

    def __init__(
        self,
        code: str,
        detail: str = "",
        *,
        field: str = "",
        extra: dict[str, Any] | None = None,
        headers: tuple[tuple[bytes, bytes], ...] = (),
    ) -> None:
        super().__init__(code)
        self.code = code
        self.detail = detail
        self.field = field
        self.extra = extra or {}
        self.headers = (*headers, *_HEADERS.get(KINDS[code].status, ()))

    @property
    def status(self) -> int:
        return KINDS[self.code].status

    def document(self, request_id: str) -> bytes:
        kind = KINDS[self.code]
        shown: dict[str, Any] = {
            "type": f"/docs#{self.code}",
            "title": kind.title,
            "status": kind.status,
            "code": self.code,
            "detail": " ".join(part for part in (self.detail, kind.way_out) if part) or kind.title,
        }
        if self.field:
            shown["field"] = self.field
        return msgspec.json.encode(shown | self.extra | shown | {"request_id": request_id})


def refused(rejected: Rejected, scale: int = 0, fields: Mapping[str, str] = _AS_THEY_ARE) -> Problem:
    """A refusal of the core as a problem: its figures stand beside the code, by name, points as decimals of `scale`."""
    field = rejected.field
    for start, ours in fields.items():
        if field.startswith(start):
            field = ours + field[len(start) :]
            break
    extra = dict(rejected.detail)
    if rejected.code in _ABOUT_POINTS and not str(extra.get("limited", "")).startswith("count"):
        extra = {name: decimal_text(value, scale) if isinstance(value, int) else value for name, value in extra.items()}
    return Problem(rejected.code, field=field, extra=extra)


_ABOUT_POINTS = frozenset(
    {
        _R.INSUFFICIENT_POINTS,
        _R.REVERSAL_EXCEEDS_REDEMPTION,
        _R.REDEMPTION_BELOW_MINIMUM,
        _R.REDEMPTION_ABOVE_MAXIMUM,
        _R.REDEMPTION_NOT_A_MULTIPLE,
        _R.LIFETIME_POINTS_TOO_LOW,
        _R.TRANSFER_BELOW_MINIMUM,
        _R.TRANSFER_LIMIT_EXCEEDED,
    }
)
"""Codes whose figures are points, except where a number of transfers is limited."""
