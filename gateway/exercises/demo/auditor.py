"""What an auditor finds afterwards, with keys that the gateway does not have.

The asker learns no identity, so whether a hit was on the right person is the auditor's to say: the sealed
details name the subject of every hit. And the asker's last checkpoint is held against the ledger, for a
ledger whose end was cut off would still verify by itself.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from gateway import config
from gateway.domain.messages import Outcome
from gateway.exercises.demo.parties import Party
from gateway.ledger import entry
from gateway.ledger.signed_note import LogIdentity
from gateway.ledger.verify import verify_log
from gateway.store.address import open_store
from gateway.store.engine import StorageEngine
from gateway.store.ledger import stored_ledger
from gateway.store.ledger.detail_periods import Periods, open_periods, open_stored_key
from gateway.store.people import subjects
from gateway.trust.bundle import PartyBundle
from keys.custody import FileCustody, open_custody
from keys.data_encryption import DataRing
from keys.envelope import OpeningKey
from keys.keyset import Keyset, KeysetInForce


@dataclass(frozen=True, slots=True)
class Findings:
    """What the auditor says.

    found       file number of the person found, by transaction number, shown to the partner or not
    masked      numbers of those that were answered as if nobody had been found
    consistent  whether the ledger verifies and continues what the asker saw last
    """

    found: Mapping[str, str]
    masked: frozenset[str]
    consistent: bool


def examine(party: Party, checkpoint: Path) -> Findings:
    """Read a party's ledger with its auditor's key; `checkpoint` is what a partner kept of it."""
    custody = FileCustody.open(party.home / "auditor" / "kek.json", party.auditor_passphrase())
    key = Keyset.load(party.home / "auditor" / "keyset.json", custody).audit_opening()
    log = PartyBundle.parse((party.home / "party.json").read_bytes()).log
    settings = config.load(party.home)
    own = Keyset.load(settings.keys.keyset, open_custody(settings.keys.custody, party.passphrase))
    ring = DataRing(KeysetInForce(own))
    with closing(open_store(settings.store.path)) as database:
        kept = checkpoint.read_bytes()
        size = log.open(kept).size
        notes = _with(kept, size, stored_ledger.iter_checkpoints(database), log)
        report = verify_log(stored_ledger.iter_leaves(database), notes, log)
        with database.reader() as reader:
            periods = open_periods(reader, ring)  # in life, `audit.read` answers with these
        found, masked = _searches(database, key, periods)
        return Findings(found, masked, report.ok)


def _searches(
    database: StorageEngine, key: OpeningKey, periods: Periods
) -> tuple[dict[str, str], frozenset[str]]:
    """Return whom each query found, by transaction number, and which were not shown, as the sealed details say."""
    leaves = list(stored_ledger.iter_leaves(database))
    found, masked = {}, set()
    for detail in stored_ledger.iter_details(database):
        frame = entry.decode(leaves[detail.index])
        if frame.type is not entry.EntryType.RESPONSE or detail.sealed_dek is None:
            continue
        sealed = open_stored_key(detail.index, detail.sealed_dek, periods)
        facts = entry.open_detail(frame, detail.ciphertext, sealed or detail.sealed_dek, key)
        if "subject" in facts:
            with database.reader() as reader:
                reference = subjects.reference_of(reader, int(facts["subject"]))
            found[frame.transaction_number] = reference or ""
        true, shown = (facts.get(f"{name}_outcome") for name in ("true", "disclosed"))
        if (true, shown) == (Outcome.MATCH.name, Outcome.NO_MATCH.name):
            masked.add(frame.transaction_number)
    return found, frozenset(masked)


def _with(kept: bytes, size: int, notes: Iterable[bytes], log: LogIdentity) -> Iterable[bytes]:
    """Put a checkpoint from elsewhere at its place among the ledger's own, in order of size."""
    waiting = True
    for signed in notes:
        if waiting and log.open(signed).size >= size:
            yield kept
            waiting = False
        yield signed
    if waiting:
        yield kept
