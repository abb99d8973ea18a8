"""The tables of what follows a query: what was disclosed, reviewed, corrected, asked, held and refused.

As in `schema`: times are milliseconds since 1970, UTC, and `idx` columns name leaves. What speaks of a
person is sealed by the data key; what is left open here are pseudonyms, numbers, states and times.
"""

from __future__ import annotations

from sqlalchemy import ForeignKeyConstraint, Index, Table

from gateway.store.schema import blob, integer, metadata, text

__all__ = [
    "asked",
    "correction_papers",
    "corrections",
    "decisions",
    "disclosures",
    "filed_notices",
    "holds",
    "metadata",
    "proposals",
    "reviews",
    "sightings",
    "staff",
]

# Where each disclosed datum went: one row a field and disclosure. `number` is the query's, `details_number`
# that of the request for details. `request_index` names its RESPONSE leaf.
disclosures = Table(
    "disclosures",
    metadata,
    text("partner", key=True),
    text("details_number", key=True),
    integer("field", key=True),
    text("number"),
    blob("hit_reference"),
    integer("subject_id"),
    text("authority"),
    integer("record_version"),
    integer("disclose_ms"),
    integer("response_index"),
    Index(None, "partner", "number"),
    Index(None, "subject_id"),
    Index(None, "hit_reference"),
)

# A query that waits for an examiner. `sealed` holds probe, candidate and what the permit said, under a key
# of its own (`sealed_key`); the verdict, or the end of time, erases both.
reviews = Table(
    "reviews",
    metadata,
    text("case_id", key=True),
    text("partner"),
    text("number"),
    blob("message_id"),
    integer("state"),
    integer("persons"),
    blob("sealed", null=True),
    blob("sealed_key", null=True),
    text("leased_by", null=True),
    integer("lease_ms", null=True),
    text("first_examiner", null=True),
    integer("first_verdict", null=True),
    text("second_examiner", null=True),
    integer("verdict", null=True),
    integer("open_ms"),
    integer("due_ms"),
    integer("close_ms", null=True),
    integer("request_index"),
    ForeignKeyConstraint(
        ["partner", "number"], ["transactions.partner", "transactions.number"], ondelete="CASCADE"
    ),
    Index(None, "state", "due_ms"),
)

# Corrections both ways (direction 1 = from a partner, 2 = to a partner). `sealed` is empty since
# revision 0005: what a correction says lies in `correction_papers`, where no list and no round reads it.
corrections = Table(
    "corrections",
    metadata,
    blob("id", key=True),
    text("partner", key=True),
    integer("direction", key=True),
    text("number"),
    integer("kind"),
    integer("state"),
    blob("sealed", null=True),
    text("opened_by"),
    integer("open_ms"),
    integer("due_ms"),
    integer("send_ms", null=True),
    integer("next_ms", null=True),
    integer("attempts"),
    integer("ack_ms", null=True),
    integer("outcome", null=True),
    text("note", null=True),
    integer("open_index"),
    Index(None, "partner", "number"),
    Index(None, "partner", "direction", "open_ms"),
    Index(None, "state", "next_ms"),
    Index(None, "state", "due_ms"),
)

# What a correction says, and the envelope that carries it: up to half a megabyte, a photograph among it. Read one
# at a time; it goes when the duty is done.
correction_papers = Table(
    "correction_papers",
    metadata,
    blob("id", key=True),
    text("partner", key=True),
    integer("direction", key=True),
    blob("sealed"),
)

# What we asked partners. `sealed` holds question and answer; `used_ms` is when the answer was used for an
# administrative purpose, `used_in` the pseudonym of the record that used it. What our own law stopped is a row too, with
# no message identifier: it was never written. `received` has the bit of each
# field code that the partner may have disclosed under it; NULL in rows from before revision 0005.
asked = Table(
    "asked",
    metadata,
    text("partner", key=True),
    text("number", key=True),
    blob("message_id"),
    integer("purpose"),
    text("agreement"),
    integer("version"),
    text("case_reference"),
    integer("state"),
    integer("outcome", null=True),
    blob("sealed", null=True),
    integer("subject_id", null=True),
    integer("ask_ms"),
    integer("answer_ms", null=True),
    integer("used_ms", null=True),
    text("used_in", null=True),
    integer("asked_index"),
    integer("answered_index", null=True),
    integer("received", null=True),
    Index(None, "case_reference"),
    Index(None, "state", "answer_ms"),
)

# Notices about an answer that was used: the corrected values are beside it (IRPR 315.27(3)), one row a notice,
# sealed. They go with the folder of the answer.
filed_notices = Table(
    "filed_notices",
    metadata,
    text("partner", key=True),
    text("number", key=True),
    blob("id", key=True),
    integer("file_ms"),
    blob("sealed"),
)

# A hold stops every erasure of what it names until it is released.
holds = Table(
    "holds",
    metadata,
    text("id", key=True),
    text("kind"),
    text("reference"),
    text("reason"),
    text("placed_by"),
    integer("place_ms"),
    text("released_by", null=True),
    integer("release_ms", null=True),
    Index(None, "kind", "reference"),
)

# An official's decision to refuse a partner all or part of what is held of a person.
decisions = Table(
    "decisions",
    metadata,
    text("id", key=True),
    integer("subject_id"),
    text("partner"),
    integer("scope"),
    text("fields"),
    integer("ground"),
    text("terms"),
    text("reason"),
    text("decided_by"),
    integer("decide_ms"),
    integer("lift_ms", null=True),
    text("lifted_by", null=True),
    Index(None, "subject_id", "partner"),
)

# Our people: which roles a certificate gives to whom. A row is never removed; it ends.
staff = Table(
    "staff",
    metadata,
    blob("pin", key=True),
    text("person"),
    text("roles"),
    integer("grant_ms"),
    integer("expire_ms"),
    integer("end_ms", null=True),
    integer("suspend_ms", null=True),
    blob("approving", null=True),  # public half of the key that signs proposals and approvals
    Index(None, "person"),
)

# What one person proposed and another has to approve: the signed text as it came, and what became of it.
proposals = Table(
    "proposals",
    metadata,
    text("id", key=True),
    text("action"),
    blob("text"),
    blob("signature"),
    text("proposer"),
    text("state"),
    text("decider", null=True),
    blob("approval", null=True),
    text("note", null=True),
    integer("create_ms"),
    integer("expire_ms"),
    integer("decide_ms", null=True),
    Index(None, "state", "expire_ms"),
)

# The newest version of our own entry that each partner was seen to use: what promotes a key.
sightings = Table(
    "sightings",
    metadata,
    text("partner", key=True),
    integer("version"),
    integer("see_ms"),
)
