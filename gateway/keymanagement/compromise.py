"""A key compromise: a key is suspected, and one person stops it.

    (1) refused in this gateway, both ways, from the next call on; nothing is published yet
    (2) an ALARM, with who ordered it and since when the key is in doubt
    (3) our public entry without the key, one version higher, to all who carry it to partners
    (4) which messages it signed, or were sealed to it, since then: out of the ledger, for the telephone

A key of ours is SUSPENDED, never more: one person alone may stop, and not destroy (keys.md 5). Where it was the only
one of its kind that partners may know, its successor is made in the same step, PREACTIVE. A successor of a KEM key
opens from the moment that partners have it; every other has to be promoted, and that takes two persons. A key
of a partner is refused whatever its bundles say, until two persons believe it again. Only a key that there is: one in
their bundle, one that a caller showed, or one that our ledger has a message of. An order that stops nothing is none.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime
from itertools import islice
from typing import Any

from gateway import user_files
from gateway.admin.operation import Answer, Handler, Officer, of_all
from gateway.admin.pages import Page
from gateway.errors import PasserelleError, UserError
from gateway.keymanagement.active_keyset import ActiveKeyset
from gateway.keymanagement.blocklist import Blocklist
from gateway.keymanagement.transitions import named
from gateway.ledger import events
from gateway.ledger.entry import Leaf
from gateway.operations import compromise
from gateway.store.engine import StorageEngine
from gateway.store.ledger.affected_entries import Affected, iter_affected
from gateway.store.ledger.sequencer import Sequencer
from gateway.trust import key_names
from gateway.trust.bundle import MalformedBundle
from gateway.trust.key_names import WHOLE, Identified, among, spelt
from gateway.trust.partners import Directory
from keys.errors import KeyNotUsable, KeysError
from keys.key_record import KeyEvent, KeyRecord
from keys.keyset import Keyset
from keys.lifecycle import KeyKind, KeyState

SUSPECTED = "its secrecy is in doubt"

_STOPPED = frozenset({KeyState.SUSPENDED, KeyState.COMPROMISED, KeyState.DESTROYED})

# What a suspension would only lock ourselves out of, and what to do instead.
_INSTEAD = {
    KeyKind.DATA: "it seals our own records alone: give it a successor with `passerelle keys rotate`,"
    " and see `A key compromise` in docs/operators.md",
    KeyKind.AUDIT: "its private half is the auditor's: adopt another key of the auditor",
}


class ShownCertificates:
    """The leaf certificates that callers of each partner showed since the gateway opened. For several threads."""

    def __init__(self) -> None:
        self._shown: dict[str, dict[bytes, bytes]] = {}

    def add(self, partner: str, certificate: bytes, pinned: bytes) -> None:
        """Remember what a caller showed, DER or PEM, under its pin: once, however often it comes."""
        self._shown.setdefault(partner, {})[pinned] = certificate

    def of(self, partner: str) -> tuple[bytes, ...]:
        """Return what callers of a partner showed."""
        return tuple(self._shown.get(partner, {}).values())


class CompromiseOperations:
    """The operations on suspected keys."""

    def __init__(  # noqa: PLR0917 - whatever a stolen key touches
        self,
        active_keyset: ActiveKeyset,
        directory: Directory,
        blocklist: Blocklist,
        shown: ShownCertificates,
        database: StorageEngine,
        sequencer: Sequencer,
        clock: Callable[[], datetime],
    ) -> None:
        self._active_keyset, self._directory, self._blocklist = active_keyset, directory, blocklist
        self._shown = shown
        self._database, self._sequencer, self._clock = database, sequencer, clock

    def handlers(self) -> tuple[Handler[Any], ...]:
        """Return what may be done here."""
        return (
            Handler(request=compromise.Compromised, do=self._compromised),
            Handler(request=compromise.Affected, do=self._affected),
            Handler(
                request=compromise.Believe,
                do=self._believe,
                state=of_all(self._refused),
                plan=self._plan,
            ),
        )

    def _compromised(self, officer: Officer, request: compromise.Compromised) -> Answer:
        key, since = spelt(request.key), request.since
        reason = request.reason or SUSPECTED
        self._demand_past(since)
        if request.partner:
            return self._theirs(officer, request.partner, key, since, reason)
        return self._ours(officer, key, since, reason)

    def _ours(self, officer: Officer, key: str, since: datetime, reason: str) -> Answer:
        record = self._ours_named(key)
        if record.kind in _INSTEAD:
            raise UserError(f"a {record.kind.value} key is not suspended: {_INSTEAD[record.kind]}")
        events = self._active_keyset.change(  # (1)
            lambda keyset, now: _stop(keyset, record.kid, now, reason, officer.person),
            actor=officer.person,
        )
        one = Identified(record.kid, record.kind.value, ())
        state = self._active_keyset.current.record(record.kid).state
        facts = {"state_before": record.state.value, "state_after": state.value, "reason": reason}
        self._sequencer.commit((_alarm(officer, "", one, since, facts),))  # (2)
        version, why = self._published(officer)  # (3)
        made = [event for event in events if event.previous is None]
        return {
            "key": record.kid.hex(),
            "kind": record.kind.value,
            "partner": "",
            "state": state.value,
            "new": bool(events),
            "successor": made[0].kid.hex() if made else "",
            "directory_version": version,
            "published": not why,
            "why_not": why,
            "since": since.isoformat(),
        }

    def _theirs(
        self, officer: Officer, partner: str, key: str, since: datetime, reason: str
    ) -> Answer:
        one = self._theirs_named(partner, key)
        leaf = _alarm(officer, partner, one, since, {"state_after": "REFUSED", "reason": reason})
        new = self._blocklist.refuse(  # (1), (2)
            partner, one.kid, leaf, now=self._clock(), actor=officer.person
        )
        return {
            "key": one.kid.hex(),
            "kind": one.kind,
            "partner": partner,
            "state": "REFUSED",
            "new": new,
            "successor": "",
            "directory_version": 0,
            "published": False,
            "why_not": "",
            "since": since.isoformat(),
        }

    def _published(self, officer: Officer) -> tuple[int, str]:
        """Publish; a failure is reported and does not undo the refusal in this gateway."""
        try:
            return self._active_keyset.publish(actor=officer.person).version, ""
        except MalformedBundle as fault:
            return 0, f"our entry would name no key for {fault.element}: promote a successor"
        except (PasserelleError, KeysError, OSError) as fault:
            return 0, user_files.fault_text(fault)

    def _affected(self, officer: Officer, request: compromise.Affected) -> Answer:
        key, partner, page = spelt(request.key), request.partner, Page(request)
        kid = self._theirs_named(partner, key).kid if partner else self._kid(key)
        begun = page.after(int)
        after = -1 if begun is None else int(str(begun[0]))
        found = iter_affected(self._database, kid, request.since, after=after)
        shown, more = page.cut(list(islice(found, page.size + 1)), lambda one: (one.index,))
        self._read_by(officer, partner, kid, request.since)  # each page is a reading
        return {"entries": [_row(one) for one in shown], "next_page_token": more}

    def _believe(self, officer: Officer, request: compromise.Believe) -> Answer:
        one = self._barred_named(request.partner, spelt(request.key))
        facts = {**officer.facts, "reason": request.reason, "state_after": "BELIEVED"}
        leaf = events.key_alarm("BELIEVED", request.partner, one.kid, "", facts)
        self._blocklist.believe(request.partner, one.kid, leaf)
        return {"key": one.kid.hex(), "partner": request.partner, "state": "BELIEVED"}

    def _plan(self, request: compromise.Believe) -> tuple[str, ...]:
        partner = request.partner
        one = self._barred_named(partner, spelt(request.key))
        kind = f"{one.kind} " if one.kind else ""
        return (
            f"The {kind}key {one.kid.hex()[:16]} of {partner} is refused no longer: what it signs counts again.",
        )

    def _refused(self) -> object:
        """Return the state that a proposal to believe a key again is bound to."""
        return {
            bundle.party: sorted(kid.hex() for kid in self._blocklist.of(bundle.party))
            for bundle in self._directory.stated()
        }

    def _kid(self, key: str) -> bytes:
        """Return a key of ours by its beginning, or any by its whole id: an old one may be in no keyset."""
        try:
            return self._ours_named(key).kid
        except UserError:
            if len(key) == WHOLE:
                return bytes.fromhex(key)
            raise

    def _ours_named(self, key: str) -> KeyRecord:
        """Return the key of ours that digits name; raises UserError, which says where they name a partner's."""
        try:
            return named(self._active_keyset.current, key)
        except UserError:
            theirs = [
                bundle.party
                for bundle in self._directory.stated()
                if among(self._known(bundle.party), key)
            ]
            if theirs:
                raise UserError(
                    f"key: that is a key of {', '.join(theirs)}, not of ours; say --partner {theirs[0]}"
                ) from None
            raise

    def _theirs_named(self, partner: str, key: str) -> Identified:
        """Return a partner's key by the beginning of any of its ids, else by its whole id where our ledger has it."""
        known = self._known(partner)
        found = among(known, key)
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"key: several keys of {partner} begin so ({key_names.listed(found)}); give more digits"
            )
        if len(key) == WHOLE and self._in_ledger(partner, bytes.fromhex(key)):
            return Identified(bytes.fromhex(key), "", (key,))
        if any(
            each.startswith(key)
            for record in self._active_keyset.current.records
            for each in key_names.of_record(record)
        ):
            raise UserError("key: that is a key of ours; leave --partner out")
        raise UserError(
            f"key: {partner} has no such key, and no message of it is in our ledger; its keys are"
            f" {key_names.listed(known)}. Of a TLS certificate they may read you its pin, which `passerelle keys show`"
            " of theirs shows; of a key that its bundle no longer has, all 64 digits"
        )

    def _barred_named(self, partner: str, key: str) -> Identified:
        """Return a refused key of a partner by the beginning of any of its ids."""
        barred = self._blocklist.of(partner)
        kinds: dict[bytes, Identified] = {}
        with suppress(UserError):  # its bundle may be gone, and its refused keys stay refused
            kinds = {one.kid: one for one in self._known(partner)}
        refused = [kinds.get(kid, Identified(kid, "", (kid.hex(),))) for kid in sorted(barred)]
        found = among(refused, key)
        if len(found) == 1:
            return found[0]
        if found:
            raise UserError(
                f"key: several refused keys of {partner} begin so ({key_names.listed(found)}); give more digits"
            )
        raise UserError(
            f"key: no such key of {partner} is refused, so there is none to unblock; refused are: {key_names.listed(refused)}"
        )

    def _known(self, partner: str) -> tuple[Identified, ...]:
        """Return the keys of a partner that there are: of its bundle, by more ids where a caller showed its leaf."""
        bundle = next((one for one in self._directory.stated() if one.party == partner), None)
        if bundle is None:
            raise UserError(f"no bundle of {partner} is known; see `passerelle party list`")
        seen = [
            key_names.of_certificate(each, KeyKind.TLS_LEAF) for each in self._shown.of(partner)
        ]
        return (*{one.kid: one for one in (*key_names.of_bundle(bundle), *seen)}.values(),)

    def _in_ledger(self, partner: str, kid: bytes) -> bool:
        """Say whether a message with the partner bears the id of a key, which is not ours."""
        if any(record.kid == kid for record in self._active_keyset.current.records):
            return False
        begin = datetime.fromtimestamp(0, UTC)
        return any(one.partner == partner for one in iter_affected(self._database, kid, begin)) or (
            kid in self._blocklist.of(partner)
        )

    def _demand_past(self, since: datetime) -> None:
        if since > self._clock():
            raise UserError(
                "since: the last certain moment lies in the past; set the clock, or the time"
            )

    def _read_by(self, officer: Officer, partner: str, kid: bytes, since: datetime) -> None:
        leaf = events.affected_reading(officer.person, partner, kid, since)
        self._sequencer.commit((leaf,))


def _stop(
    keyset: Keyset, kid: bytes, now: datetime, reason: str, actor: str
) -> tuple[Keyset, tuple[KeyEvent, ...]]:
    """Suspend a key, and make a successor where partners would know none of its kind; pure.

    Nothing moves where the key is stopped already: the order can be given again after an interruption.
    """
    record = keyset.record(kid)
    if record.state in _STOPPED:
        return keyset, ()
    keyset, stopped = keyset.transition(kid, KeyState.SUSPENDED, now, reason, actor)
    if keyset.published(record.kind):
        return keyset, (stopped,)
    with suppress(KeyNotUsable):  # a TLS leaf whose authority is stopped too: that one comes first
        keyset, made = keyset.generate(
            record.kind, now, reason=f"follows {kid.hex()[:16]}", actor=actor
        )
        return keyset, (stopped, made)
    return keyset, (stopped,)


def _alarm(
    officer: Officer, partner: str, of: Identified, since: datetime, facts: dict[str, str]
) -> Leaf:
    detail = {**officer.facts, "since": since.isoformat(), **facts}
    return events.key_alarm("COMPROMISED", partner, of.kid, of.kind, detail)


def _row(one: Affected) -> dict[str, object]:
    return {
        "index": one.index,
        "type": one.type.name,
        "time": one.time.isoformat(timespec="milliseconds"),
        "partner": one.partner,
        "direction": "" if one.direction is None else one.direction.name,
        "transaction": one.number,
        "message_id": one.message_id.hex(),
        "use": one.use.value,
    }
