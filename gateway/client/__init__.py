"""What a partner carries away: ask, and believe an answer only after it proved itself.

    with Partner.open(Path("aus"), "CAN", passphrase) as canada:
        answer = canada.query(samples, purpose=Purpose.TRAVEL_ENTER_REMAIN, agreement=("au", 1), ...)

The packages below this one that a partner needs are `gateway.audit`, `directory`, `wire` and `keys`;
nothing of the answering house.
"""

import os

# gRPC reads its cipher list once, when it is first imported, for clients as for servers. This suite
# exists in TLS 1.2 for RSA certificates only, and our leaves are ECDSA: what remains is TLS 1.3
# (keys.md section 9). A program that imported gRPC before us, or chose a list of its own, keeps it.
os.environ.setdefault("GRPC_SSL_CIPHER_SUITES", "ECDHE-RSA-AES256-GCM-SHA384")

# What goes wrong on the way is raised, with a remedy; gRPC's core need not write it to stderr as well.
os.environ.setdefault("GRPC_VERBOSITY", "NONE")

from gateway.client.answer import Answer
from gateway.client.compose import Matter, Outgoing
from gateway.client.errors import (
    AnswerRejected,
    DeadlineExceeded,
    DirectoryRefused,
    KeyStale,
    NothingToRedeliver,
    PartnerError,
    ReceiptMissing,
    Refused,
    SplitView,
    Unreachable,
)
from gateway.client.follow import DetailsMatter, Disclosed
from gateway.client.partner import Partner

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
    "Partner",
    "PartnerError",
    "ReceiptMissing",
    "Refused",
    "SplitView",
    "Unreachable",
]
