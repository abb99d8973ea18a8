"""An effect: one statement that becomes true together with the leaves that record it, or not at all.

Services build effects and hand them on; only the sequencer applies them. A statement may name the index that a
leaf of the same commit will take, which nobody knows before the sequencer does: it writes `LEAF`, and the
effect says which leaf is meant.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import BindParameter, Connection, CursorResult, Integer, bindparam
from sqlalchemy.exc import IntegrityError
from sqlalchemy.sql.dml import UpdateBase

from gateway.errors import InternalError, PasserelleError

LEAF: BindParameter[int] = bindparam(
    "leaf_index", type_=Integer
)  # index of the leaf an effect names


class EffectRefused(Exception):
    """A statement met a conflict or touched other rows than it must; for the sequencer's ears only."""

    def __init__(self, effect: Effect) -> None:
        super().__init__("an effect did not apply")
        self.effect = effect


@dataclass(frozen=True, slots=True)
class Effect:
    """One statement and what it means when it cannot apply.

    values    by name, for a statement made once and used by many; building one takes longer than SQLite takes to do it
    rows      how many rows it must touch; None = any number
    leaf      which leaf of its commit `LEAF` means, counted like a list: 0 the first, -1 the last
    refusal   reads why, after the commit was rolled back, and returns the error for its caller
    """

    statement: UpdateBase = field(repr=False)
    rows: int | None = None
    leaf: int | None = None
    refusal: Callable[[Connection], PasserelleError] | None = field(default=None, repr=False)
    values: Mapping[str, object] = field(default_factory=dict, repr=False)

    def apply(self, connection: Connection, indices: Sequence[int]) -> None:
        """Execute the statement; `indices` are those of the leaves of the same commit.

        Raises EffectRefused on a conflict or another number of rows. Only the sequencer calls this.
        """
        values = dict(self.values)
        if self.leaf is not None:
            values["leaf_index"] = indices[self.leaf]
        try:
            done: CursorResult[object] = connection.execute(self.statement, values)
        except IntegrityError:
            raise EffectRefused(self) from None
        if self.rows is not None and done.rowcount != self.rows:
            raise EffectRefused(self)

    def explain(self, connection: Connection) -> PasserelleError:
        """Return why it did not apply; a InternalError where nobody foresaw that it might not."""
        if self.refusal is None:
            return InternalError("an effect did not apply, and none of its builders expected that")
        return self.refusal(connection)


def says(
    kind: Callable[..., PasserelleError], *operands: object
) -> Callable[[Connection], PasserelleError]:
    """Return a refusal that needs no look at the rows."""
    return lambda _: kind(*operands)
