"""What examiners' verdicts come to; pure.

One person's SAME is a match where the agreement is content with one person; where it asks for two, both must say
SAME. Both DIFFERENT is no match. Whoever cannot say, or two who say opposite things, leave the question open, and
what was not settled is never NO_MATCH: the asker learns that these prints do not suffice, and may send better ones.
There is no third person: that two trained people disagree is what the prints have to say.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from gateway.domain.messages import Outcome, ServiceLevel
from gateway.domain.person import Saying, Verdict

MOST_PERSONS = 2  # whom an agreement's review clause may ask for (law.md 3.3)

# How long a probe may wait for examiners (Eurodac: urgent 1 h, else 24 h; law.md 10). A review that is asked for in
# ten seconds is no review, so REAL_TIME waits as URGENT does.
PATIENCE = {
    ServiceLevel.REAL_TIME: timedelta(hours=1),
    ServiceLevel.URGENT: timedelta(hours=1),
    ServiceLevel.ROUTINE: timedelta(hours=24),
}

# At or below which score a modality clearly says that two samples are not one person's, log10 likelihood ratio: ten times
# likelier so (chosen). No modality may say much less: one finger never says below -1.5, a model of faces no less than its data
# can tell. Of one person at most one pair in ten does, where scores are likelihood ratios (Markov's inequality).
CLEARLY_NO = -1.0


def saying(score: float, threshold: float) -> Saying:
    """Return what a modality says by itself; `threshold` is the least score that would be a match by it alone."""
    if score <= CLEARLY_NO:
        return Saying.CONTRADICTS
    return Saying.SUPPORTS if score >= threshold else Saying.UNDECIDED


def conclude(verdicts: Sequence[Verdict], persons: int) -> Outcome | None:
    """Return what the verdicts so far come to; None where another person must look.

    persons   different people whose verdict the agreement asks for

    Raises ValueError for no verdict, or for more than were asked for.
    """
    if not 1 <= persons <= MOST_PERSONS or not 1 <= len(verdicts) <= persons:
        raise ValueError("one verdict of each person that the agreement asks for")
    if Verdict.INCONCLUSIVE in verdicts:
        return Outcome.QUALITY_INSUFFICIENT
    if len(verdicts) < persons:
        return None
    if len(set(verdicts)) > 1:
        return Outcome.QUALITY_INSUFFICIENT
    return Outcome.MATCH if verdicts[0] is Verdict.SAME else Outcome.NO_MATCH
