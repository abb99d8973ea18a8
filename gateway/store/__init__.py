"""What do we know? The only room with SQL: rows, the ledger's leaves among them, and one pen."""
