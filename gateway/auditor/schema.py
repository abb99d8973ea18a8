"""The tables of an auditor's index, and what of a detail is in a column of its own.

    entries     one row a leaf: what the frame says, and the leaf without its padding
    details     what was opened of the details, as JSON; forgotten when the key to it was shredded
    exchanges   one row a question, ours or a partner's: what was asked, how it ended, who looked at it. A message that
                came again, damaged or intact, is the same question

Times are milliseconds since 1970, UTC. `direction` is 1 where a partner asked us, 2 where we asked; what our own law
stopped has no message identifier, since it never left. What is sealed and could not be opened is NULL, never an empty
word. `wanted` are the fields that were asked for, `fields` those that were disclosed, `kept_back` those that the law or
an official kept from the asker.
"""

from __future__ import annotations

from typing import Final

FORMAT: Final = "passerelle/3/index"

TABLES: Final = """
CREATE TABLE meta (key TEXT PRIMARY KEY, value BLOB) WITHOUT ROWID;
CREATE TABLE entries (
    idx INTEGER PRIMARY KEY, type INTEGER, class INTEGER, time_ms INTEGER, partner TEXT, direction INTEGER,
    number TEXT, message_id BLOB, subject TEXT, agreement TEXT, version INTEGER, signing_key BLOB, kem_key BLOB,
    sealed INTEGER, leaf BLOB);
CREATE INDEX entries_number ON entries (number);
CREATE INDEX entries_type ON entries (type, time_ms, partner);
CREATE INDEX entries_subject ON entries (subject) WHERE subject <> '';
CREATE TABLE details (idx INTEGER PRIMARY KEY, facts TEXT);
CREATE TABLE exchanges (
    idx INTEGER PRIMARY KEY, partner TEXT, direction INTEGER, number TEXT, message_id BLOB, asked_ms INTEGER,
    operation TEXT, agreement TEXT, version INTEGER,
    closing TEXT, closed_ms INTEGER, closed_idx INTEGER, reviewed_ms INTEGER, verdict_ms INTEGER, verdict_idx INTEGER,
    destroyed_ms INTEGER, destroyed_idx INTEGER, receipt TEXT,
    purpose TEXT, paragraph TEXT, "case" TEXT, unit TEXT, person TEXT, transaction_reference TEXT,
    prior TEXT, wanted TEXT, kept_back TEXT,
    reason TEXT, element TEXT, why TEXT, true_outcome TEXT, disclosed_outcome TEXT, ground TEXT, status_kind TEXT,
    calibration TEXT, gallery_size INTEGER, threshold REAL, scores REAL, fpir REAL, duration_ms INTEGER,
    verdict TEXT, examiner TEXT, fields TEXT, subject TEXT);
CREATE INDEX exchanges_asked ON exchanges (asked_ms, partner, direction, operation, "case");
CREATE INDEX exchanges_message ON exchanges (message_id, partner);
CREATE INDEX exchanges_number ON exchanges (number);
CREATE INDEX exchanges_closed ON exchanges (closed_idx);
CREATE INDEX exchanges_verdict ON exchanges (verdict_idx);
CREATE INDEX exchanges_case ON exchanges ("case", partner);
CREATE INDEX exchanges_calibration ON exchanges (calibration, closed_ms, true_outcome, partner)
    WHERE calibration IS NOT NULL;
CREATE INDEX exchanges_duty ON exchanges (asked_ms, closing, reviewed_ms, destroyed_ms, closed_ms, true_outcome, partner)
    WHERE direction = 1 AND operation = 'SUBMIT_QUERY';
CREATE INDEX exchanges_reference ON exchanges (transaction_reference);
CREATE INDEX exchanges_subject ON exchanges (subject) WHERE subject IS NOT NULL;
CREATE INDEX exchanges_prior ON exchanges (prior) WHERE prior IS NOT NULL;
"""

ASKED: Final = (
    *("purpose", "paragraph", "case", "unit", "person", "transaction_reference", "prior", "wanted"),
)
CLOSED: Final = (
    *("reason", "element", "why", "true_outcome", "disclosed_outcome", "ground", "status_kind"),
    *("calibration", "gallery_size", "threshold", "scores", "fpir", "duration_ms", "fields"),
    *("kept_back", "subject"),
)
DECIDED: Final = ("true_outcome", "disclosed_outcome", "why", "verdict", "examiner", "subject")
NUMBERS: Final = frozenset({"gallery_size", "threshold", "scores", "fpir", "duration_ms"})
# Columns that are named otherwise than the fact that fills them.
FACTS: Final = {"prior": "prior_transaction", "wanted": "fields", "kept_back": "fields_withheld"}
