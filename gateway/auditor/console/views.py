"""What the console's pages show of an index: exchanges that are searched for, entries in order, one entry."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gateway.auditor.index import Index
from gateway.auditor.result_table import DAY_MS, WAYS, iso
from gateway.domain.messages import Receipt
from gateway.language import Message, say
from gateway.ledger.entry import EntryType, encode
from gateway.ledger.errors import AuditFault
from gateway.ledger.exchange_history import OpenedEntry
from gateway.ledger.merkle import leaf_hash, verify_inclusion
from gateway.ledger.proof import parse_proof
from gateway.ledger.signed_note import LogIdentity

PAGE = 50  # rows of one page


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is searched for; empty is anything. `word` is a number, a case, or a destruction receipt."""

    word: str = ""
    partner: str = ""
    closing: str = ""
    since: int | None = None
    until: int | None = None
    before: int | None = None


def search(index: Index, wanted: Wanted) -> list[dict[str, object]]:
    """Return the exchanges that fit, the newest first, one more than a page where there are more."""
    said, values = ["1"], []
    if wanted.word:
        said.append(
            '(number = ? OR "case" = ? OR transaction_reference = ? OR receipt = ?)',
        )
        values += [wanted.word] * 4
    for condition, value in (
        ("partner = ?", wanted.partner),
        ("closing = ?", wanted.closing),
        ("asked_ms >= ?", wanted.since),
        ("asked_ms < ?", wanted.until),
        ("idx < ?", wanted.before),
    ):
        if value not in ("", None):
            said.append(condition)
            values.append(value)  # type: ignore[arg-type]
    found = index.each(
        'SELECT idx, asked_ms, partner, direction, number, operation, purpose, "case", closing, reason,'
        f" disclosed_outcome FROM exchanges WHERE {' AND '.join(said)} ORDER BY idx DESC LIMIT {PAGE + 1}",
        values,
    )
    return [
        {
            "index": row[0],
            "time": iso(row[1]),
            "partner": row[2],
            "way": WAYS.get(row[3]),
            "number": row[4],
            "operation": row[5],
            "purpose": row[6],
            "case": row[7],
            "closing": row[8],
            "reason": row[9] or "",
            "outcome": row[10],
        }
        for row in found
    ]


def entries(index: Index, kind: str, before: int | None) -> list[OpenedEntry]:
    """Return entries, the newest first, one more than a page where there are more."""
    said, values = ["1"], []
    if kind:
        said.append("type = ?")
        values.append(int(EntryType[kind]))
    if before is not None:
        said.append("entries.idx < ?")
        values.append(before)
    places = (
        f"SELECT idx FROM entries WHERE {' AND '.join(said)} ORDER BY idx DESC LIMIT {PAGE + 1}"
    )
    return list(index.entries_where(f"entries.idx IN ({places})", values))[::-1]


def days(index: Index, last: int = 30) -> list[tuple[str, int]]:
    """Return how many entries were written on each of the last days."""
    end = index.rows("SELECT time_ms FROM entries ORDER BY idx DESC LIMIT 1")
    if not end:
        return []
    today = end[0][0] // DAY_MS
    wanted = f"SELECT time_ms / {DAY_MS}, count(*) FROM entries WHERE time_ms >= ? GROUP BY 1"
    counted: dict[int, int] = dict(index.rows(wanted, ((today - last + 1) * DAY_MS,)))
    return [
        (str(iso(day * DAY_MS))[5:10], counted.get(day, 0))
        for day in range(today - last + 1, today + 1)
    ]


def entry(index: Index, number: int) -> OpenedEntry | None:
    """Return one entry."""
    return next(index.entries_where("entries.idx = ?", (number,)), None)


def fields(told: OpenedEntry) -> Mapping[Message, str]:
    """Return what a leaf says, by name; what it does not say is left out."""
    frame = told.frame
    said = {
        say("time"): frame.time.isoformat(timespec="milliseconds"),
        say("type"): frame.type.name,
        say("class"): frame.entry_class.name,
        say("partner"): frame.partner_id,
        say("direction"): frame.direction.name if frame.direction else "",
        say("transaction"): frame.transaction_number,
        say("subject"): frame.subject_reference,
        say("agreement"): f"{frame.agreement_id}@{frame.agreement_version}"
        if frame.agreement_id
        else "",
        say("policy"): frame.policy_id,
        say("message"): frame.message_id.hex(),
        say("transcript"): frame.transcript.hex(),
        say("signing key"): frame.signing_key_id.hex(),
        say("sealing key"): frame.kem_key_id.hex(),
        say("directory version"): str(frame.directory_version or ""),
        say("leaf hash"): leaf_hash(encode(frame)).hex(),
    }
    return {name: value for name, value in said.items() if value}


def checked(receipt: Receipt, log: LogIdentity) -> list[tuple[Message, str, bool]]:
    """Return each step of checking a proof: what, what was found, and whether it holds."""
    leaf = leaf_hash(receipt.leaf)
    steps: list[tuple[Message, str, bool]] = [(say("hash of the entry"), leaf.hex(), True)]
    try:
        proof = parse_proof(receipt.tlog_proof)
        signed = log.open(proof.checkpoint)
        stated = {"origin": signed.origin, "size": signed.size, "root": signed.root.hex()}
        said = say("{origin}, {size} entries, root {root}", **stated)
        steps.append((say("checkpoint, signed by both keys of the ledger"), said, True))
        verify_inclusion(
            leaf, proof.hashes, index=proof.index, size=signed.size, expected=signed.root
        )
        where = say("index {index}, {count} hashes", index=proof.index, count=len(proof.hashes))
        steps.append((say("entry in the tree"), where, True))
    except AuditFault as fault:
        steps.append((say("proof"), str(fault), False))
    return steps
