"""The tree of what can go wrong with keys.

KeysError
├── WrongPassphrase     the file is intact, the passphrase does not open it
├── DamagedFile         a key file is truncated, altered or not ours; the message says how to recover
├── CustodyFault        the key above the keys cannot be reached, or did not wrap this
├── UnknownKey          no such key here
├── KeyNotUsable        the key is here and its state or dates forbid the use
├── IllegalTransition   an edge of the life cycle that is not drawn
├── MalformedKey        public bytes that are no key of this suite
├── PayloadTooLarge     a payload above the largest size class that it may have
├── OpenRefused         a sealed thing did not open; it never says why
├── SignatureRefused    a signature did not verify; it never says which half
├── CertificateFault    a certificate that we cannot use
└── SelfTestFailed      this machine's cryptography does not give the published answers

Messages name the remedy. None holds a seed, a passphrase, a plaintext or a value out of a request.
"""

from __future__ import annotations

from pathlib import Path


class KeysError(Exception):
    """Anything that this package raises on purpose."""


class WrongPassphrase(KeysError):
    """The file is intact, and the passphrase does not open it."""

    def __init__(self, path: Path) -> None:
        super().__init__(f"{path}: wrong passphrase; the file itself is undamaged, so try again")
        self.path = path


class DamagedFile(KeysError):
    """A key file is truncated, altered or not of our making; all of it is refused."""

    def __init__(self, path: Path, what: str, remedy: str = "restore it from backup") -> None:
        super().__init__(f"{path}: {what}; {remedy}")
        self.path = path
        self.what = what


class CustodyFault(KeysError):
    """The key above the keys cannot be reached, or is not the one that wrapped this."""


class UnknownKey(KeysError):
    """No such key is held here."""


class KeyNotUsable(KeysError):
    """The key is held here, and its state or its dates forbid this use."""


class IllegalTransition(KeysError):
    """An edge of the key life cycle that is not drawn does not exist."""


class MalformedKey(KeysError):
    """Bytes that are no public key of this suite."""


class PayloadTooLarge(KeysError):
    """A payload does not fit the largest size class."""


class OpenRefused(KeysError):
    """Something sealed did not open.

    Wrong key, altered bytes, other header, other commitment, false padding: one error and one text for
    all, because a sender who could distinguish them could learn from the difference.
    """

    def __init__(self) -> None:
        super().__init__("did not open; it was altered, or sealed for another key or header")


class SignatureRefused(KeysError):
    """A signature did not verify; which half failed is nobody's business."""

    def __init__(self) -> None:
        super().__init__("signature refused; the bytes were altered, or signed by another key")


class CertificateFault(KeysError):
    """A certificate cannot be read, or does not say what ours must say."""


class SelfTestFailed(KeysError):
    """The cryptography installed here does not reproduce a published answer; do not serve."""
