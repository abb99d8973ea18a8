"""What is written into the ledger: a constructor for each kind of entry; nobody else builds a frame.

A constructor takes what happened as typed values and returns the entry. How a value is written as a fact is decided
once, in `entry_builder`; which facts an entry of a type may carry, of which class it is and how it names its subject, is the
table of `gateway.ledger.entry_types`, and an entry outside of it is not built. A fact that is None is not recorded.

`by` is who acts, as an officer's facts say it: the actor, and whoever approved it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import Enum
from hashlib import sha256
from typing import Final, Literal

from gateway.domain.messages import Direction, Modality, Sample
from gateway.domain.person import FieldCode, Ground, Record, Scope, Status
from gateway.law.agreement import Agreement
from gateway.law.quota_policy import Counter
from gateway.ledger.crypto_shredding import LEFT_BEHIND, Erased
from gateway.ledger.entry import EntryType, Leaf
from gateway.ledger.entry_builder import About, Fact, build, stated, to_seconds, written
from gateway.ledger.entry_types import Facts
from gateway.ledger.signed_note import Checkpoint
from keys.key_record import KeyEvent, KeyRecord
from keys.lifecycle import KeyKind, KeyState

ALARM_END: Final = (
    "CLEAR/"  # what the reference of an entry begins with that says that an alarm is over
)
_SHORT: Final = 32  # digits of a digest by which a subject is named

# Gallery, records, what is kept (ledger 2 and 3; law 6)


def enrolment(
    subject: int,
    samples: Sequence[Sample],
    status: Status | None,
    changed: Iterable[str],
    repairs: str,
    *,
    numbers: Sequence[int] = (),
) -> Leaf:
    """Return the entry of a person's samples that were enrolled, or, without any, of a status that was stated.

    samples   what is said of each is its position, format and extractor, and its modality where one is no finger
    numbers   of each among the impressions of its position; said where one is not the first
    status    which makes the first version of the record; `changed` are the names of what it states
    """
    known: Facts = {}
    others = any(each.modality is not Modality.FINGER for each in samples)
    if status is not None:
        known = written(status_kind=status.kind, record_version=1, fields_changed=changed)
    return build(
        EntryType.ENROLLED if samples else EntryType.UPDATED,
        f"S-{subject}",
        subject=subject,
        positions=[each.position for each in samples],
        formats=[each.format for each in samples],
        extractors=[each.extractor for each in samples],
        modality=[each.modality for each in samples] if others else None,
        impression_numbers=numbers if any(each > 1 for each in numbers) else None,
        **known,
        repairs=repairs or None,
    )


def record_change(
    actor: str,
    subject: int,
    records: tuple[Record, Record],
    *,
    before: Iterable[str],
    changed: Iterable[str],
) -> Leaf:
    """Return the entry of a changed record: what was held, is held, is other; names of fields, never values."""
    held, record = records
    return build(
        EntryType.UPDATED,
        f"S-{subject}",
        actor=actor,
        subject=subject,
        record_version=record.version,
        status_kind=record.status.kind,
        state_before=held.status.kind,
        state_after=record.status.kind,
        fields_before=before,
        fields=tuple(record.data),
        fields_changed=changed,
    )


def removal(actor: str, subject: int, reason: str) -> Leaf:
    """Return the entry of a person who is in the gallery no more, nor their record."""
    return build(EntryType.REMOVED, f"S-{subject}", actor=actor, reason=reason, subject=subject)


def hold(  # noqa: PLR0917 - all that an entry says
    reference: str,
    exchange: tuple[str, str],
    kind: str,
    reason: str,
    by: Facts,
    subject: int | None = None,
) -> Leaf:
    """Return the entry of a hold that was placed or released (law 6).

    reference   PLACE, PLACE_ALL or RELEASE, a slash, and the hold's identifier
    exchange    partner and number of what is held, empty where it is neither an exchange nor all of a partner
    subject     a person is named in the sealed detail alone
    """
    about: About = {"partner_id": exchange[0], "transaction_number": exchange[1]}
    facts = {"hold": kind, "reason": reason, **by}
    return build(EntryType.HOLD, reference, about, **facts, subject=subject)


def ruling(
    reference: str,
    partner: str,
    subject: int,
    *,
    scope: Scope,
    fields: Iterable[FieldCode],
    ground: Ground,
    terms: str,
    actor: str,
    reason: str,
) -> Leaf:
    """Return the entry of an official's decision to refuse a partner a person's data, or of its end (IRPR 315.25(4)).

    reference   REFUSE or LIFT, a slash, and the decision's identifier
    """
    return build(
        EntryType.DECISION,
        reference,
        {"partner_id": partner},
        decision=scope,
        subject=subject,
        fields=sorted(fields),
        ground=ground,
        note=terms,
        actor=actor,
        reason=reason,
    )


def erasure(erased: Erased, ground: str, first: datetime, last: datetime, by: Facts) -> Leaf:
    """Return the entry of what was erased because its time was over, or sooner by order (ledger 3, SHRED; law 6).

    ground        the paragraph
    first, last   since when the oldest and the newest was kept
    by            who had it erased; of an order also why, and which answer it was
    """
    return build(
        EntryType.RETENTION,
        erased.reference(),
        retention_class=erased.kept,
        paragraph=ground,
        count=erased.count,
        first=first,
        last=last,
        **by,
    )


# Keys, directory, agreements (ledger 2; keys 5 and 6)


def key_transition(event: KeyEvent, by: Facts) -> Leaf:
    """Return the entry of a key of ours that was made or changed its state: one for each transition.

    by   also the evidence that partners know a key that is promoted, or who does not
    """
    return build(
        EntryType.KEY,
        event.kid.hex(),
        **by,
        key_kind=event.kind,
        state_before=event.previous,
        state_after=event.state,
        reason=event.reason,
    )


def key_order(
    record: KeyRecord, action: str, reason: str, by: Facts, due: datetime | None = None
) -> Leaf:
    """Return the entry of what is decided of a key and moves none yet: ROTATE, DESTROY at `due`, CANCEL."""
    return build(
        EntryType.KEY,
        record.kid.hex(),
        key_kind=record.kind,
        state_before=record.state,
        **by,
        action=action,
        reason=reason,
        due=None if due is None else to_seconds(due),
    )


def key_schedule(kind: KeyKind, every: timedelta, reason: str, by: Facts, *, on: bool) -> Leaf:
    """Return the entry of how often keys of a kind are rotated, and whether they are."""
    schedule = f"{'ON' if on else 'OFF'}/{every.days}"
    reference = f"SCHEDULE/{kind.value}"
    return build(EntryType.KEY, reference, schedule=schedule, key_kind=kind, reason=reason, **by)


def bundle_adoption(
    partner: str, version: int, digest: str, endpoints: Sequence[str], by: Facts
) -> Leaf:
    """Return the entry of a bundle that is believed from now on, a partner's or ours (ledger 2, DIRECTORY)."""
    return build(
        EntryType.DIRECTORY,
        "",
        {"partner_id": partner, "directory_version": version},
        **by,
        partner_version=version,
        source=digest,
        endpoints=endpoints or None,
    )


def bundle_withdrawal(partner: str, version: int) -> Leaf:
    """Return the entry of a partner who leaves, with directory version 0; `version`: the last that was believed."""
    about: About = {"partner_id": partner, "directory_version": 0}
    return build(EntryType.DIRECTORY, "", about, partner_version=version, reason="removed")


def agreement_adoption(agreement: Agreement) -> Leaf:
    """Return the entry of an agreement that is in force from now on (ledger 2, AGREEMENT)."""
    digest = agreement.digest
    return build(EntryType.AGREEMENT, "", _under(agreement), agreement_digest=digest)


def agreement_signature(agreement: Agreement, reason: str, by: Facts) -> Leaf:
    """Return the entry of our signature under an agreement's file, before it is written."""
    facts = {**by, "reason": reason, "agreement_digest": agreement.digest}
    return build(EntryType.AGREEMENT, "SIGNED", _under(agreement), **facts)


def calibration_adoption(
    modality: Modality, model: str, reason: str, by: Facts, *, named: str, digest: str
) -> Leaf:
    """Return the entry of a calibration that two of our people adopted: it counts from its commit on.

    The frame has the model and the file's digest in full, so that what counts is read from the ledger, sealed or not.

    model    the model of faces or coder of irises whose scores it is of
    named    version and the digest's beginning, as each decision states it
    digest   SHA-256 of the file, hexadecimal
    """
    facts = {**by, "calibration": named, "reason": reason}
    return build(EntryType.CALIBRATION, digest, {"policy_id": model}, **facts, modality=modality)


def custody_change(custody: str, state: Literal["BEGUN", "DONE"], by: Facts) -> Leaf:
    """Return the entry of all seeds that come under another custody; `by`: also why (keys 3)."""
    said = {"operation": "custody.rewrap", "custody": custody, "state_after": state}
    return build(EntryType.CUSTODY, **by, **said)


def keyset_recovery(custody: str, since: str) -> Leaf:
    """Return the entry of the last good keyset that was put back; `since`: its newest change."""
    said = {"operation": "custody.recover", "custody": custody, "since": since}
    return build(EntryType.CUSTODY, **said)


def reencryption(key: str, count: int) -> Leaf:
    """Return the entry of a batch of sealed things that moved to the data key in use."""
    reference = f"RESEALED/{key}"
    return build(EntryType.CUSTODY, reference, action="RESEAL", count=count)


def recovery_key(kid: str, reason: str, by: Facts) -> Leaf:
    """Return the entry of the public key that backups are sealed to from now on."""
    return build(
        EntryType.CUSTODY, operation="backup.recipient", recipients=kid, reason=reason, **by
    )


# Service, reading, our own people (ledger 1, 8; ledger 2)


def service(kind: EntryType, software: str, settings: str) -> Leaf:
    """Return the entry that the gateway begins or ends to serve; `settings`: the digest of those in force."""
    return build(kind, software=software, settings_digest=settings)


def reading(
    actor: str,
    *,
    source: str,
    reason: str | None = None,
    exchange: tuple[str, str, Direction | None] = ("", "", None),
    subject: Iterable[int] = (),
    case: Iterable[str] = (),
    transaction_reference: Iterable[str] = (),
    first: int | None = None,
) -> Leaf:
    """Return the entry of a reading, before anything is shown; persons are named in the sealed detail (ledger 1, 8).

    source      what is looked at: an operation, a part of an answer, an auditor's question
    exchange    partner, number and direction, where all that is shown is of one
    first       from which person on, of a page of many
    """
    partner, number, direction = exchange
    about: About = {"partner_id": partner, "transaction_number": number, "direction": direction}
    named = written(subject=subject, case=case, transaction_reference=transaction_reference)
    facts = {"actor": actor, "source": source, **stated(named)}
    return build(EntryType.AUDIT_READ, "", about, **facts, reason=reason, first=first)


def record_reading(actor: str, reason: str, subject: int) -> Leaf:
    """Return the entry of the reading of one person's record."""
    facts = written(actor=actor, reason=reason, subject=subject)
    return build(EntryType.AUDIT_READ, f"S-{subject}", **facts)


def affected_reading(actor: str, partner: str, kid: bytes, since: datetime) -> Leaf:
    """Return the entry of the search for what a compromised key has signed or sealed (keys 6)."""
    about: About = {"partner_id": partner}
    facts = written(actor=actor, since=since, reason="KEY_COMPROMISED")
    return build(EntryType.AUDIT_READ, f"AFFECTED/{kid.hex()[:16]}", about, **facts)


def order(operation: str, roles: Iterable[str], by: Facts) -> Leaf:
    """Return the entry that somebody of ours asks for an operation, before it is done, and as which of us."""
    return build(EntryType.ADMIN, **by, operation=operation, roles=roles)


def staff(
    pin: bytes,
    state: str,
    by: Facts,
    *,
    roles: Iterable[str] | None = None,
    due: datetime | None = None,
) -> Leaf:
    """Return the entry of an officer certificate that was granted, ended, suspended or resumed.

    by           also the person whose it is, and why
    roles, due   for what, and until when, it is granted
    """
    ends = None if due is None else to_seconds(due)
    return build(EntryType.STAFF, _of_pin(pin), **by, roles=roles, state_after=state, due=ends)


def proposal(
    reference: str,
    action: str,
    actor: str,
    *,
    approver: str = "",
    reason: str = "",
    state_digest: str = "",
    expires: datetime | None = None,
) -> Leaf:
    """Return the entry of a step of what takes two persons.

    reference               PROPOSED, the state that it came to, or REFUSED of an approval that did not count; a slash,
                            and the proposal's identifier
    actor                   who proposed it
    state_digest, expires   what a new one is bound to, and how long
    """
    facts = {"proposal": reference.partition("/")[2], "action": action, "actor": actor}
    more = {"approver": approver, "reason": reason, "state_digest": state_digest}
    ends = None if expires is None else to_seconds(expires)
    return build(EntryType.PROPOSAL, reference, **facts, **stated(more), expires=ends)


def backup(kid: str, by: Facts) -> Leaf:
    """Return the entry of a backup that was taken, and of the key that it is sealed to."""
    return build(EntryType.BACKUP, operation="backup", recipients=kid, **by)


def restore(made: str, size: int, root: str, *, keys: bool) -> Leaf:
    """Return the entry of a folder that comes from a backup; `keys`: whether those to sealed details came too."""
    left = "" if keys or not size else f"{LEFT_BEHIND}{size}"
    return build(EntryType.RESTORE, left, **_restored(made, size, root))


# The ledger itself (ledger 7 to 10)


def timestamp(token: bytes, authority: str, over: Checkpoint, at: datetime) -> Leaf:
    """Return the entry of a token over a checkpoint (ledger 8); `at`: the time that it states."""
    return build(
        EntryType.TIMESTAMP,
        sha256(token).hexdigest(),
        authority=authority,
        checkpoint_size=over.size,
        checkpoint_root=over.root,
        since=at,
    )


def split_view(partner: str, digest: str) -> Leaf:
    """Return the entry of evidence that a partner's ledger has two histories (ledger 7); `digest`: of its file."""
    facts = {"reason": "SPLIT_VIEW", "evidence": digest or "none"}
    return build(EntryType.WITNESS, f"SPLIT/{digest[:_SHORT]}", {"partner_id": partner}, **facts)


def clock_step(step: timedelta) -> Leaf:
    """Return the entry of a step of our clock (ledger 10)."""
    reference = "FORWARD" if step > timedelta() else "BACKWARD"
    return build(EntryType.CLOCK, reference, step_ms=round(step / timedelta(milliseconds=1)))


def statement(actor: str, partner: str, period: tuple[str, str], digest: str, count: int) -> Leaf:
    """Return the entry of what we state to a partner of a period; its receipt makes the statement ours (law 9)."""
    about: About = {"partner_id": partner}
    facts = _compared(actor, partner, period)
    return build(EntryType.RECONCILIATION, digest, about, **facts, count=count)


def reconciliation(
    actor: str,
    partner: str,
    period: tuple[str, str],
    *,
    compared: int,
    missing_here: int,
    missing_there: int,
    differing: int,
) -> Leaf:
    """Return the entry of a period that was held against a partner's statement: how many exchanges, how many apart."""
    return build(
        EntryType.RECONCILIATION,
        "",
        {"partner_id": partner},
        **_compared(actor, partner, period),
        compared=compared,
        missing_here=missing_here,
        missing_there=missing_there,
        differing=differing,
    )


# Alarms (ledger 2; `gateway.monitoring.alarms` says when)


def alarm(name: str, reason: str) -> Leaf:
    """Return the entry of an alarm that stands from now on."""
    return _alarm(f"RAISE/{name}", reason)


def overdue_alarm(name: str, reason: str, count: int) -> Leaf:
    """Return the alarm of so many things of a data class that stand past their time (law 6)."""
    return _alarm(f"RAISE/{name}", reason, retention_class=name, count=count)


def expiry_alarm(name: str, partner: str, level: Enum, ends: datetime, remedy: str) -> Leaf:
    """Return the alarm of something that ends soon, and what to do about it."""
    about: About = {"partner_id": partner}
    facts = {"reason": f"EXPIRY_{level.name}", "expires": to_seconds(ends), "note": remedy}
    return build(EntryType.ALARM, f"RAISE/{name}", about, **facts)


def misread_alarm(what: str, partner: str, reason: str) -> Leaf:
    """Return the alarm of samples of a partner that reach somebody only if read otherwise than stated."""
    return build(EntryType.ALARM, f"RAISE/{what}", {"partner_id": partner}, reason=reason)


def alarm_end(name: str, partner: str = "") -> Leaf:
    """Return the entry that says that what raised an alarm is over."""
    return build(EntryType.ALARM, f"{ALARM_END}{name}", {"partner_id": partner})


def staff_alarm(pin: bytes, facts: Facts) -> Leaf:
    """Return the alarm of an officer certificate that was suspended, or granted by whoever holds the passphrase."""
    return build(EntryType.ALARM, _of_pin(pin), **facts)


def review_alarm(case: str, due: datetime) -> Leaf:
    """Return the alarm of a review that nobody decided in time."""
    return _alarm(case, "REVIEW_OVERDUE", due=to_seconds(due))


def denial_alarm(actor: str, operation: str, why: str) -> Leaf:
    """Return the alarm of an officer who asked for what they may not do; `why` as `NotAllowed` has it."""
    return _alarm("", why, actor=actor, operation=operation)


def ledger_loss(made: str, size: int, root: str, witnessed: int, reason: str) -> Leaf:
    """Return the alarm of a backup older than what witnesses have seen: entries are gone (ledger 10)."""
    facts = _restored(made, size, root)
    return _alarm("LEDGER_LOST", reason, **facts, count=witnessed)


def quota_alarm(agreement: Agreement, counter: Counter) -> Leaf:
    """Return the alarm of a quota that is nearly used."""
    which = "quota_year" if counter.yearly else "quota_day"
    facts = {which: f"{counter.used}/{counter.limit}", "reason": "QUOTA_WARNING"}
    return build(EntryType.ALARM, "QUOTA", _under(agreement), **facts, purpose=counter.purpose)


def suspension_alarm(record: KeyRecord, key: str, reason: str, by: Facts) -> Leaf:
    """Return the alarm of a key of ours that is used no more until somebody decides."""
    return _alarm(
        f"SUSPENDED/{key}",
        reason,
        **by,
        key_kind=record.kind,
        state_before=record.state,
        state_after=KeyState.SUSPENDED,
    )


def rotation_alarm(why: str, kind: str, sentence: str, missing: str = "") -> Leaf:
    """Return the alarm of a rotation that waits, or failed; `missing`: the partners that it waits for."""
    facts = {"why": sentence, "key_kind": kind or None, "missing_partners": missing or None}
    return _alarm(f"ROTATION/{why}", why, **facts)


def key_alarm(
    word: Literal["COMPROMISED", "BELIEVED"], partner: str, kid: bytes, kind: str, facts: Facts
) -> Leaf:
    """Return the alarm of a key that may be in other hands, or is believed again (keys 6).

    It names the key where messages name theirs, so that the history of such a message finds it.

    partner   whose it is; empty: ours
    kind      empty where it is not known
    facts     by whom and why, the states of the key; since: the last moment at which it was certainly safe
    """
    about: About = {"partner_id": partner}
    about |= {"kem_key_id": kid} if kind == KeyKind.KEM.value else {"signing_key_id": kid}
    return build(EntryType.ALARM, word, about, **facts, key_kind=kind or None)


def _alarm(reference: str, reason: str, **facts: Fact) -> Leaf:
    return build(EntryType.ALARM, reference, reason=reason, **facts)


def _of_pin(pin: bytes) -> str:
    """Return what an entry calls a certificate: the first half of its pin."""
    return pin.hex()[:_SHORT]


def _compared(actor: str, partner: str, period: tuple[str, str]) -> Facts:
    return {"actor": actor, "partner": partner, "since": period[0], "until": period[1]}


def _under(agreement: Agreement) -> About:
    return {
        "partner_id": agreement.partner,
        "agreement_id": agreement.id,
        "agreement_version": agreement.version,
    }


def _restored(made: str, size: int, root: str) -> dict[str, str]:
    return written(operation="restore", since=made, checkpoint_size=size, checkpoint_root=root)
