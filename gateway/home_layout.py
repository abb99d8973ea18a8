"""What lies where in a party's home directory; the names are contracts, backups and years-old homes have them.

Below the settings: `[store] path`, `[keys]`, `[directory]` and `[agreements] folder` may say other places.
"""

from __future__ import annotations

from typing import Final

SETTINGS: Final = "passerelle.toml"
OWN_ENTRY: Final = "party.json"  # what partners import of us
ADMIN_ADDRESS: Final = (
    "door.json"  # while the gateway serves: {"admin": "host:port", "authority": PEM, …}
)
RESTORED: Final = "restored.json"  # the mark of a restored home, until the restoration is recorded
WITNESS: Final = "witness"  # folder of the last checkpoint seen of each partner
AUDITOR: Final = (
    "auditor"  # kek.json and keyset.json of the auditor; they do not stay on this machine
)
KEEPERS: Final = "keepers"  # five persons' keys for our directory; none of them stays either
FOLDERS: Final = ("parties", "agreements", "store", WITNESS)  # of a new home
