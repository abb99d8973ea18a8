"""What a partner carries away: ask, and believe an answer only after it proved itself.

    with Partner.open(Path("aus"), "CAN", passphrase) as canada:
        answer = canada.query(samples, purpose=Purpose.TRAVEL_ENTER_REMAIN, agreement=("au", 1), ...)

The packages below this one that a partner needs are `gateway.ledger`, `directory`, `wire` and `keys`;
nothing of the answering gateway. Importing it changes nothing for the rest of a program: no environment, no channel of
others. TLS 1.3 is demanded of each partner before a question leaves (`gateway.client.channel`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gateway.client.answer import Answer
    from gateway.client.details_request import DetailsMatter, Disclosed
    from gateway.client.errors import (
        AnswerRejected,
        DeadlineExceeded,
        DirectoryRefused,
        KeyStale,
        NothingToRedeliver,
        OwnCertificateEnded,
        PartnerError,
        ReceiptMissing,
        Refused,
        SplitView,
        TlsTooOld,
        Unreachable,
    )
    from gateway.client.partner import Partner
    from gateway.client.request_builder import Matter, Outgoing

__all__ = [
    "Answer",
    "AnswerRejected",
    "DeadlineExceeded",
    "DetailsMatter",
    "DirectoryRefused",
    "Disclosed",
    "KeyStale",
    "Matter",
    "NothingToRedeliver",
    "Outgoing",
    "OwnCertificateEnded",
    "Partner",
    "PartnerError",
    "ReceiptMissing",
    "Refused",
    "SplitView",
    "TlsTooOld",
    "Unreachable",
]


def __getattr__(name: str) -> object:
    """Import what a partner asks with when its first name is used: an officer's command needs the channel alone."""
    if name in __all__:
        from gateway.client import answer, details_request, errors, partner, request_builder

        for module in (answer, request_builder, errors, details_request, partner):
            if name in vars(module):
                return vars(module)[name]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
