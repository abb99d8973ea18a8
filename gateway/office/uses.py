"""Answers are shown, details asked for, and their use recorded: without a record of use no duty can be computed."""

from __future__ import annotations

import base64
from collections.abc import Callable

from gateway.audit.entry import EntryClass, EntryType, Frame
from gateway.casework import TEXT, Field
from gateway.errands import Errand, ErrandAct, ErrandState, Folder, Seeking
from gateway.errors import InProgress, Remedy
from gateway.office import amending
from gateway.office.acts import Act, Answer, Officer, Role
from gateway.office.arguments import Arguments
from gateway.office.asking import Asker, field_codes, told
from gateway.office.duties import Files, use_leaf
from gateway.office.reading import NUMBER, PARTY
from gateway.store import errands
from gateway.store.sequencer import Leaf
from gateway.store.times import milliseconds
from gateway.terms import Direction, Outcome
from gateway.wire import corrections as corrections_wire
from gateway.wire import payloads

_CASEWORKERS = frozenset({Role.CASEWORKER})
_SHOWN = (ErrandState.ANSWERED, ErrandState.SHOWN, ErrandState.USED)
_TOUCHED = "it was touched at this moment; look at it and say it again"


class Uses:
    """Where answers are looked at and used."""

    def __init__(self, files: Files, asker: Asker) -> None:
        self._files, self._asker = files, asker

    def acts(self) -> tuple[Act, ...]:
        """Return what may be done here."""
        return (
            Act("asked.list", _CASEWORKERS, self._list),
            Act("asked.show", _CASEWORKERS, self._show),
            Act("asked.details", _CASEWORKERS, self._details),
            Act("use.record", _CASEWORKERS, self._use),
        )

    def _list(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        del officer
        case = arguments.optional("case")

        def do() -> Answer:
            with self._files.database.reader() as reader:
                return {"asked": [told(each) for each in errands.every(reader, case)]}

        return do

    def _show(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        find = self._named(arguments)

        def do() -> Answer:
            errand = find()
            if errand.state not in _SHOWN:
                return told(errand)
            folder = errands.folder_of(self._files.data_key, errand)
            leaf = _shown(errand, officer)
            try:
                moved = errands.moved(errand, ErrandAct.SHOW)
                self._files.sequencer.commit((leaf,), (moved,))
            except InProgress:
                raise Remedy(_TOUCHED) from None
            return {**told(find()), **_contents(errand, folder)}

        return do

    def _details(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        find = self._named(arguments)
        seeking = Seeking(
            fields=field_codes(arguments),
            case=arguments.text("case"),
            unit=arguments.text("unit"),
            person=officer.person,
        )

        def do() -> Answer:
            errand = find()
            try:
                found = self._asker.seek(errand, seeking)
            except InProgress:
                raise Remedy(_TOUCHED) from None
            withheld = found.withholding
            return {
                **told(find()),
                "outcome": found.outcome.name,
                "fields": [field.code.name for field in found.fields],
                "withheld": withheld.scope.name if withheld else "",
            }

        return do

    def _use(self, officer: Officer, arguments: Arguments) -> Callable[[], Answer]:
        find = self._named(arguments)
        used_in = arguments.text("used_in")

        def do() -> Answer:
            errand = find()
            if errand.state not in (ErrandState.SHOWN, ErrandState.USED):
                raise Remedy(
                    f"this query is {errand.state.name}: only an answer that was shown can be used"
                )
            now = milliseconds(self._files.clock())
            used = errands.moved(errand, ErrandAct.USE, used_ms=now, used_in=used_in)
            try:
                self._files.sequencer.commit((use_leaf(errand, officer.person, used_in),), (used,))
            except InProgress:
                raise Remedy(_TOUCHED) from None
            return told(find())

        return do

    def _named(self, arguments: Arguments) -> Callable[[], Errand]:
        number = arguments.text("number", NUMBER)
        partner = arguments.optional("partner", PARTY)

        def find() -> Errand:
            with self._files.database.reader() as reader:
                found = errands.by_number(reader, number)
            if partner:
                found = tuple(each for each in found if each.partner == partner)
            if len(found) != 1:
                raise Remedy("we asked nobody under this number; `passerelle asked list` names all")
            return found[0]

        return find


def _shown(errand: Errand, officer: Officer) -> Leaf:
    frame = Frame(
        type=EntryType.AUDIT_READ,
        entry_class=EntryClass.OTHER,
        partner_id=errand.partner,
        direction=Direction.OUTBOUND,
        transaction_number=errand.number,
    )
    return Leaf(frame, {"actor": officer.person, "case": errand.case, "source": "answer"})


def _contents(errand: Errand, folder: Folder) -> dict[str, object]:
    """Return what was answered; right values stand beside those that were used (315.27(3))."""
    outcome = errand.outcome.name if errand.outcome else ""
    until = ""
    if folder.answer and errand.outcome is Outcome.MATCH:
        expires = payloads.read_result(folder.answer).details_expire_time
        until = expires.isoformat() if expires else ""
    notices = [corrections_wire.read_notice(each) for each in folder.corrected]
    return {
        "outcome": outcome,
        "details_until": until,
        "fields": [_shown_field(field) for field in amending.fields_of(folder)],
        "corrected": [
            {
                "kind": notice.kind.name,
                "fields": [code.name for code in notice.fields],
                "right": [_shown_field(field) for field in notice.corrected],
            }
            for notice in notices
        ],
    }


def _shown_field(field: Field) -> dict[str, object]:
    text = field.mime_type == TEXT
    value = field.value.decode() if text else base64.b64encode(field.value).decode()
    return {
        "field": field.code.name,
        "value": value,
        "mime_type": field.mime_type,
        "authority": field.authority,
        "caveats": [each.text for each in field.caveats],
    }
