"""The directory's root key holders: five folders with a person's keys each, and the directory that they begin.

Each root key holder has a key for the root, the first three also one for the targets. Of each role's keys so few are of
Ed25519 that they are no quorum (keys.md section 3). All five folders begin under one passphrase; whoever takes
one gives it an own one with `passerelle directory root-key`.
"""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from gateway.directory.repository import Repository
from gateway.errors import InternalError
from gateway.trust.bundle import Anchor
from gateway.trust.directory_files import FOLDER, DirectoryFiles
from keys import atomic_file
from keys.custody import FileCustody
from keys.keyset import Keyset
from keys.tuf_root_key import KEK, Algorithm, make

KEEPERS = "keepers"  # in the home directory, until they are handed out

_E, _M = Algorithm.ED25519, Algorithm.ML_DSA_65
SEATS: tuple[tuple[Algorithm, Algorithm | None], ...] = (  # of the root, of the targets
    (_E, _M),
    (_M, _E),
    (_M, _M),
    (_M, None),
    (_E, None),
)


def begin(home: Path, keyset: Keyset, party: str, passphrase: bytes, now: datetime) -> Anchor:
    """Make the root key holders' folders and a directory that they sign; return what trust in it starts from.

    Nothing is published yet: the entry that says where trust starts is written first.
    """
    folder = home / KEEPERS
    custody = FileCustody.create(folder / "1" / KEK, passphrase)
    sealed = (folder / "1" / KEK).read_bytes()
    keepers = []
    for number, (root, targets) in enumerate(SEATS, start=1):
        own = folder / str(number)
        if number > 1:
            atomic_file.replace(own / KEK, sealed)  # one passphrase, derived once
        keepers.append(
            make(own, custody, party=party, name=str(number), root=root, targets=targets)
        )
    files = DirectoryFiles(home / FOLDER)
    Repository(files, party).found(keepers, keyset, now)
    anchor = files.anchor()
    if anchor is None:
        raise InternalError("the directory was not founded")
    return anchor
