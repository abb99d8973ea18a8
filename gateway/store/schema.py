"""The tables. Column names here are the contract with the migrations; a test compares the two.

Times are milliseconds since 1970, UTC. `idx` is a leaf's place in the ledger: it comes from the sequencer,
never from the database, because a rolled-back AUTOINCREMENT would leave a gap. Nothing here holds a hash
of a print or template: such a hash can be searched.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    Table,
    Text,
)
from sqlalchemy import (
    text as sql,
)

REVISION = "0017"  # the newest migration; a store of another revision is migrated or refused

# Constraints get names, so that a later migration can speak of them on every database.
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(referred_table_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_INTEGER = BigInteger().with_variant(
    Integer, "sqlite"
)  # 64 bits everywhere; SQLite's own word for it


def integer(name: str, *, key: bool = False, null: bool = False) -> Column[int]:
    """Return a column of 64-bit integers."""
    return Column(name, _INTEGER, primary_key=key, nullable=null, autoincrement=False)


def text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    """Return a column of text."""
    return Column(name, Text, primary_key=key, nullable=null)


def blob(name: str, *, key: bool = False, null: bool = False) -> Column[bytes]:
    """Return a column of bytes."""
    return Column(name, LargeBinary, primary_key=key, nullable=null)


# The bytes of a leaf are stored as hashed; the other columns repeat what is looked up.
leaves = Table(
    "leaves",
    metadata,
    integer("idx", key=True),
    blob("leaf"),
    blob("leaf_hash"),
    integer("type"),
    integer("time_ms"),
    text("partner"),
    blob("message_id"),
    text("transaction_number"),
    Index(None, "leaf_hash"),
    Index(None, "partner", "message_id"),
    Index(None, "transaction_number"),
    Index(None, "type", "time_ms"),
    # Which numbers a partner has used: REQUEST entries alone (type 1, a stable number of the ledger).
    Index(
        "ix_leaves_request_number",
        "partner",
        "transaction_number",
        sqlite_where=sql("type = 1"),
        postgresql_where=sql("type = 1"),
    ),
)

# Hashes of complete subtrees above the leaves: node (level, number) covers leaves number·2^level onwards.
nodes = Table(
    "nodes",
    metadata,
    integer("level", key=True),
    integer("number", key=True),
    blob("hash"),
)

details = Table("details", metadata, integer("idx", key=True), blob("ciphertext"))

# Apart from the ciphertexts: to shred a detail is to delete its row here, and backups leave the table out.
detail_keys = Table("detail_keys", metadata, integer("idx", key=True), blob("sealed_dek"))

# The keys by which those are sealed once more (`ledger.detail_periods`): of new details (`moved` = 0), or of what was left of a
# period of which something was shredded (`touched` = 1). `first` is the entry at which the period begins.
detail_periods = Table(
    "detail_periods",
    metadata,
    blob("id", key=True),
    blob("seed"),
    integer("moved"),
    integer("touched"),
    integer("first"),
    integer("begin_ms"),
)

checkpoints = Table(
    "checkpoints",
    metadata,
    integer("size", key=True),
    blob("root"),
    integer("time_ms"),
    blob("note"),
)

# Lines of witnesses under our checkpoints; `note` is the checkpoint as it was cosigned, with that line alone.
cosignatures = Table(
    "cosignatures",
    metadata,
    integer("size", key=True),
    text("witness", key=True),
    blob("note"),
    Index(None, "witness", "size"),
)

# RFC 3161 tokens over our checkpoints; `idx` is the TIMESTAMP entry that states the digest of the token.
timestamps = Table(
    "timestamps",
    metadata,
    integer("size", key=True),
    blob("token"),
    integer("idx"),
)

replay = Table(
    "replay",
    metadata,
    text("sender", key=True),
    blob("message_id", key=True),
    blob("transcript"),
    integer("state"),
    integer("operation"),
    text("transaction_number"),
    integer("request_index"),
    integer("response_index", null=True),
    blob("header", null=True),
    blob("sealed", null=True),
    blob("signature", null=True),
    integer("expires_ms"),
    integer("stored_until_ms"),
    text("refusal", null=True),
    Index(None, "sender", "transaction_number"),
    Index(None, "state", "stored_until_ms"),
)

# quota_day is the day whose quota, and whose year's, the query holds; NULL where it holds none (any more).
# `subject` is who was found, sealed: a number of ours may come back instead of prints (IRPR 315.38).
transactions = Table(
    "transactions",
    metadata,
    text("partner", key=True),
    text("number", key=True),
    blob("message_id"),
    integer("purpose"),
    text("agreement"),
    integer("version"),
    integer("state"),
    integer("outcome", null=True),
    blob("result", null=True),
    integer("request_index"),
    integer("response_index", null=True),
    integer("receive_ms"),
    integer("decide_ms", null=True),
    text("quota_day", null=True),
    blob("subject", null=True),
)

quotas = Table(
    "quotas",
    metadata,
    text("partner", key=True),
    integer("purpose", key=True),
    integer("direction", key=True),
    text("period", key=True),
    integer("used"),
)

# `fields` are the codes that the reference was first used for; NULL while nothing was disclosed by it.
hit_references = Table(
    "hit_references",
    metadata,
    blob("reference", key=True),
    text("partner"),
    text("transaction_number"),
    integer("subject_id"),
    integer("expires_ms"),
    text("fields", null=True),
    ForeignKeyConstraint(
        ["partner", "transaction_number"],
        ["transactions.partner", "transactions.number"],
        ondelete="CASCADE",
    ),
    Index(None, "partner", "transaction_number"),
    Index(None, "expires_ms"),
)

# `record` holds status and data of the person, sealed; NULL where only prints were ever enrolled.
subjects = Table(
    "subjects",
    metadata,
    integer("id", key=True),
    Column("reference", Text, nullable=False, unique=True),
    blob("record", null=True),
    integer("record_version", null=True),
    integer("record_ms", null=True),
)

# `label` is the version of the label under which a sample is sealed; the first knew only fingers.
samples = Table(
    "samples",
    metadata,
    Column(
        "subject_id",
        _INTEGER,
        ForeignKey("subjects.id", ondelete="CASCADE"),
        primary_key=True,
        autoincrement=False,
    ),
    integer("modality", key=True),
    integer("position", key=True),
    integer("impression_number", key=True),
    integer("format"),
    text("extractor"),
    integer("impression"),
    blob("sealed"),
    integer("label"),
)

values = Table("values", metadata, text("key", key=True), text("value"))

# What follows a query: disclosed, reviewed, corrected, asked, held and refused. What speaks of a person is sealed by the
# data key; what is left open there are pseudonyms, numbers, states and times.

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

# Corrections both ways (direction 1 = a partner told us, 2 = we tell a partner). `sealed` is empty since
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

# Notices about an answer that was used: the right values stand beside it (IRPR 315.27(3)), one row a notice,
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

# What changed that every process over this store follows: numbered from 1, in the order of commits (`change_feed`).
changes = Table("changes", metadata, integer("number", key=True), text("kind"))

# Which process does a periodic job, and until when it is alone with it (`leases`). No backup holds them.
leases = Table(
    "leases",
    metadata,
    text("job", key=True),
    text("owner"),
    integer("until_ms"),
)
