"""A match that was a mistake discloses nothing more, and nobody's stale copy stands in the way of another's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from gateway.admin.operation import Officer
from gateway.domain.correction import CorrectionKind
from gateway.domain.person import DetailsOutcome, FieldCode
from gateway.errors import UserError
from gateway.operations.declaration import Role
from gateway.store.casework import corrections
from gateway.wire import correction_payload as wire
from tests.gateway.promises.test_details import ask, details, record

if TYPE_CHECKING:
    from tests.gateway.conftest import Pair, People

BIRTH = (FieldCode.DATE_OF_BIRTH,)
CASEWORKER = Officer("P-7", frozenset({Role.CASEWORKER}))


def correct(pair: Pair, **values: Any) -> Any:
    return pair.gateway.admin.perform(CASEWORKER, "corrections.open", {"reason": "why", **values})


@pytest.mark.parametrize("kind", [CorrectionKind.WRONG_PERSON, CorrectionKind.WITHDRAWN])
@pytest.mark.parametrize("used", [False, True])
def test_a_match_that_was_taken_back_leads_to_nobody(
    pair: Pair, people: People, kind: CorrectionKind, used: bool
) -> None:
    """Protocol 7: WRONG_PERSON withdraws the hit; used before or not, its reference gives nothing."""
    record(pair, 1)
    partner = pair.partner()
    answer = ask(partner, people)
    other = ask(partner, people)
    if used:
        told = details(partner, people, answer, BIRTH).details
        assert told.outcome is DetailsOutcome.DISCLOSED

    correct(pair, number=answer.transaction_number, kind=kind.name)

    assert details(partner, people, answer, BIRTH).details.outcome is DetailsOutcome.UNAVAILABLE
    # Another query's match was not taken back.
    assert details(partner, people, other, BIRTH).details.outcome is DetailsOutcome.DISCLOSED


def test_who_has_the_right_value_already_does_not_keep_it_from_whoever_has_not(
    pair: Pair, people: People
) -> None:
    """315.42(1): one query learned the old value and one the new; the old one is corrected."""
    record(pair, 1)
    partner = pair.partner()
    old, new = ask(partner, people), ask(partner, people)
    details(partner, people, old, BIRTH)
    record(pair, 1)  # a newer version
    details(partner, people, new, BIRTH)

    opened = correct(pair, subject="P-1", kind="WRONG_VALUE")["opened"]

    assert [each["number"] for each in opened] == [old.transaction_number]
    with pair.gateway.database.reader() as reader:
        (row,) = corrections.every(reader)
        papers = corrections.papers_of(reader, pair.gateway.keys.data_key, row)
    notice = wire.read_notice(papers.notice)
    assert notice.fields == BIRTH


def test_where_everybody_has_the_right_value_nobody_is_told(pair: Pair, people: People) -> None:
    record(pair, 1)
    partner = pair.partner()
    details(partner, people, ask(partner, people), BIRTH)

    with pytest.raises(UserError, match="no newer value"):
        correct(pair, subject="P-1", kind="WRONG_VALUE")
