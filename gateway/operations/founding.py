"""What whoever holds the keys' passphrase may ask for without an officer certificate, while the gateway does not serve.

Without it nobody could be the first operator, and nobody come back where every operator is gone. After the founding, each
grant or end by it is an ALARM.
"""

from __future__ import annotations

from typing import Final

from gateway.operations import keys, staff

FOUNDING: Final = frozenset(
    each.declaration.name
    for each in (staff.Add, staff.End, staff.Suspend, staff.Resume)
    if each.declaration.founds
)
CUSTODIAL: Final = FOUNDING | {each.declaration.name for each in (staff.List, keys.List, keys.Show)}
