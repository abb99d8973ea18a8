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

REVISION = "0001"  # the newest migration; a store of another revision is migrated or refused

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


def _integer(name: str, *, key: bool = False, null: bool = False) -> Column[int]:
    return Column(name, _INTEGER, primary_key=key, nullable=null, autoincrement=False)


def _text(name: str, *, key: bool = False, null: bool = False) -> Column[str]:
    return Column(name, Text, primary_key=key, nullable=null)


def _blob(name: str, *, key: bool = False, null: bool = False) -> Column[bytes]:
    return Column(name, LargeBinary, primary_key=key, nullable=null)


# The bytes of a leaf are stored as hashed; the other columns repeat what is looked up.
leaves = Table(
    "leaves",
    metadata,
    _integer("idx", key=True),
    _blob("leaf"),
    _blob("leaf_hash"),
    _integer("type"),
    _integer("time_ms"),
    _text("partner"),
    _blob("message_id"),
    _text("transaction_number"),
    Index(None, "leaf_hash"),
    Index(None, "partner", "message_id"),
)

# Hashes of complete subtrees above the leaves: node (level, number) covers leaves number·2^level onwards.
nodes = Table(
    "nodes",
    metadata,
    _integer("level", key=True),
    _integer("number", key=True),
    _blob("hash"),
)

details = Table("details", metadata, _integer("idx", key=True), _blob("ciphertext"))

# Apart from the ciphertexts: to shred a detail is to delete its row here, and backups leave the table out.
detail_keys = Table("detail_keys", metadata, _integer("idx", key=True), _blob("sealed_dek"))

checkpoints = Table(
    "checkpoints",
    metadata,
    _integer("size", key=True),
    _blob("root"),
    _integer("time_ms"),
    _blob("note"),
)

replay = Table(
    "replay",
    metadata,
    _text("sender", key=True),
    _blob("message_id", key=True),
    _blob("transcript"),
    _integer("state"),
    _integer("operation"),
    _text("transaction_number"),
    _integer("request_index"),
    _integer("response_index", null=True),
    _blob("header", null=True),
    _blob("sealed", null=True),
    _blob("signature", null=True),
    _integer("expires_ms"),
    _integer("stored_until_ms"),
    Index(None, "sender", "transaction_number"),
    Index(None, "state", "stored_until_ms"),
)

# quota_day is the day whose quota, and whose year's, the query holds; NULL where it holds none (any more).
transactions = Table(
    "transactions",
    metadata,
    _text("partner", key=True),
    _text("number", key=True),
    _blob("message_id"),
    _integer("purpose"),
    _text("agreement"),
    _integer("version"),
    _integer("state"),
    _integer("outcome", null=True),
    _blob("result", null=True),
    _integer("request_index"),
    _integer("response_index", null=True),
    _integer("receive_ms"),
    _integer("decide_ms", null=True),
    _text("quota_day", null=True),
)

quotas = Table(
    "quotas",
    metadata,
    _text("partner", key=True),
    _integer("purpose", key=True),
    _integer("direction", key=True),
    _text("period", key=True),
    _integer("used"),
)

hit_references = Table(
    "hit_references",
    metadata,
    _blob("reference", key=True),
    _text("partner"),
    _text("transaction_number"),
    _integer("subject_id"),
    _integer("expires_ms"),
    ForeignKeyConstraint(
        ["partner", "transaction_number"],
        ["transactions.partner", "transactions.number"],
        ondelete="CASCADE",
    ),
    Index(None, "partner", "transaction_number"),
    Index(None, "expires_ms"),
)

subjects = Table(
    "subjects",
    metadata,
    _integer("id", key=True),
    Column("reference", Text, nullable=False, unique=True),
)

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
    _integer("position", key=True),
    _integer("format"),
    _text("extractor"),
    _integer("impression"),
    _blob("sealed"),
)

values = Table("values", metadata, _text("key", key=True), _text("value"))
