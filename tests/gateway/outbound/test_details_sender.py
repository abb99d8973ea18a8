"""A refused request for details is told to whoever asked, in their own words."""

from __future__ import annotations

import pytest

from gateway.errors import TO_THE_ASKER, meaning, meaning_to_the_asker
from gateway.outbound import details_sender
from gateway.outbound.transport import Delivery, Fate


@pytest.mark.parametrize("reason", sorted(TO_THE_ASKER))
def test_what_a_partner_refused_is_told_from_our_side(reason: str) -> None:
    """Of a quota that is used up it is we who used it up; the answering gateway says it of its partner."""
    told = details_sender._none_came(Delivery(Fate.REFUSED, reason))

    assert meaning_to_the_asker(reason) in told
    assert meaning(reason) not in told


def test_a_reason_without_words_of_its_own_is_told_as_it_is_known() -> None:
    assert meaning_to_the_asker("FIELD_NOT_PERMITTED") == meaning("FIELD_NOT_PERMITTED")
    assert meaning_to_the_asker("OF_A_LATER_RELEASE") == ""
