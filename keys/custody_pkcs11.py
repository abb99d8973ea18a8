"""Custody in a token: the key above the keys never leaves it (keys 6).

    pkcs11:token=LABEL;object=NAME?module-path=/path/to/module.so

is a URI of RFC 7512 (`keys.pkcs11_uri`). The key is an AES-256 token object that is SENSITIVE and not EXTRACTABLE; seeds are
encrypted by AES-GCM inside the token. Exactly one thread owns the session and others ask it through a
queue: a session that two threads use crashes SoftHSM 2.6.1. A token logs in once a process, so all
custodies of one token share its owner. A PIN is handled like a passphrase and is not kept.

`python-pkcs11` is imported when a token is first named; gateways that keep their key in a file need none.
"""

from __future__ import annotations

import hashlib
import hmac
import os
import queue
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any, TypeVar

from keys.errors import CustodyFault
from keys.pkcs11_uri import FORM, OF_TOKEN, SCHEME, TokenUri
from keys.secret import handle

__all__ = ["FORM", "SCHEME", "Pkcs11Custody", "TokenUri"]

T = TypeVar("T")

KEY_BITS = 256
NONCE_BYTES = 12  # SP 800-38D, as in `custody`
TAG_BITS = 128
ANSWER_S = 30.0  # seconds for one operation; a network token that is silent for longer has failed


@handle
class Pkcs11Custody:
    """A key in a token."""

    __slots__ = ("_key", "_owner", "uri")

    def __init__(self, uri: TokenUri, owner: _Owner, key: Any) -> None:  # noqa: ANN401 - lazy library
        self.uri = uri
        self._owner = owner
        self._key = key

    @classmethod
    def open(cls, uri: str, pin: Callable[[], bytes]) -> Pkcs11Custody:
        """Return the custody of an existing object.

        Raises CustodyFault, which names the remedy: no module, no token, wrong or locked PIN, no such
        object, or one that could leave the token.
        """
        named = TokenUri.parse(uri)
        owner = _owner_of(named, pin)
        key = owner.do(lambda session: _find(session, named))
        if key is None:
            raise CustodyFault(
                f"the token {named.token} holds no AES key {named.key}; name another object,"
                " or put back the token that was used"
            )
        owner.do(lambda _: _demand_kept(key, named))
        return cls(named, owner, key)

    @classmethod
    def create(cls, uri: str, pin: Callable[[], bytes]) -> Pkcs11Custody:
        """Generate the key inside the token; where it exists already, take it if nothing can read it.

        Nothing is lost by taking it: what was wrapped under it stays readable. Raises CustodyFault.
        """
        named = TokenUri.parse(uri)
        owner = _owner_of(named, pin)
        key = owner.do(lambda session: _find(session, named) or _generate(session, named))
        owner.do(lambda _: _demand_kept(key, named))
        return cls(named, owner, key)

    def wrap(self, secret: bytes, aad: bytes) -> bytes:
        """Return nonce (12) ‖ ciphertext ‖ tag (16) under AES-256-GCM, made inside the token."""
        from pkcs11 import GCMParams, Mechanism

        nonce = secrets.token_bytes(NONCE_BYTES)
        params = GCMParams(nonce, aad or None, TAG_BITS)
        sealed: bytes = self._owner.do(
            lambda _: self._key.encrypt(secret, mechanism=Mechanism.AES_GCM, mechanism_param=params)
        )
        return nonce + sealed

    def unwrap(self, blob: bytes, aad: bytes) -> bytes:
        """Return what was wrapped under the same `aad`. Raises CustodyFault."""
        from pkcs11 import GCMParams, Mechanism

        if len(blob) < NONCE_BYTES + TAG_BITS // 8:
            raise CustodyFault(_NOT_OURS)
        params = GCMParams(blob[:NONCE_BYTES], aad or None, TAG_BITS)

        def decrypt(_: Any) -> bytes:  # noqa: ANN401
            opened: bytes = self._key.decrypt(
                blob[NONCE_BYTES:], mechanism=Mechanism.AES_GCM, mechanism_param=params
            )
            return opened

        return self._owner.do(decrypt, opening=True)

    def describe(self) -> str:
        """Return the token and the object; the module is where the machine says."""
        return f"{SCHEME}:token={self.uri.token};object={self.uri.key} (AES-256 inside the token)"


_NOT_OURS = "not wrapped by this custody, or altered since"


class _Owner:
    """The one thread that holds a token's session; it lives as long as the process.

    serves   what the token says of itself: one that two URIs name differently is one
    """

    def __init__(self, uri: TokenUri, pin: bytes, *, look_again: bool) -> None:
        self._uri = uri
        self._look_again = look_again
        self._process = os.getpid()
        self._work: queue.SimpleQueue[tuple[Callable[[Any], Any], Future[Any]]] = (
            queue.SimpleQueue()
        )
        # A token that is logged in says nothing of a later PIN. What is kept detects a wrong one, in this process.
        self._salt = secrets.token_bytes(32)
        self._proof = self._proved(pin)
        self.serves: tuple[str, ...] = ()
        threading.Thread(target=self._run, args=(pin,), name="token", daemon=True).start()
        self.do(lambda session: session)

    def knows(self, pin: bytes) -> bool:
        """Say whether this is the PIN that the session was opened with."""
        return hmac.compare_digest(self._proof, self._proved(pin))

    def do(self, work: Callable[[Any], T], *, opening: bool = False) -> T:
        """Have the owner do `work` with its session and return the answer. Raises CustodyFault.

        opening   a refusal of the token means that the blob is not ours, unless the token is gone
        """
        if os.getpid() != self._process:
            raise CustodyFault("a token's session does not survive a fork; open it afterwards")
        answer: Future[T] = Future()
        self._work.put((work, answer))
        try:
            return answer.result(timeout=ANSWER_S)
        except CustodyFault:
            raise
        except TimeoutError:
            raise CustodyFault(f"{self._gone()}: it was silent for {ANSWER_S:.0f} s") from None
        except Exception as fault:  # noqa: BLE001 - whatever a token's module invents ends here
            raise CustodyFault(self._meaning(fault, opening=opening)) from None

    def _run(self, pin: bytes) -> None:
        session: Any = None
        failed: Exception | None = None
        try:
            token = _token(self._uri, look_again=self._look_again)
            session = token.open(rw=True, user_pin=pin.decode())
            self.serves = _identity(token)
        except Exception as fault:  # noqa: BLE001 - reported to whoever asks first
            failed = fault
        del pin
        while True:
            work, answer = self._work.get()
            try:
                if failed is not None:
                    raise failed  # noqa: TRY301
                answer.set_result(work(session))
            except Exception as fault:  # noqa: BLE001
                answer.set_exception(fault)
            del work, answer
            if failed is not None:
                return

    def _proved(self, pin: bytes) -> bytes:
        return hmac.new(self._salt, pin, hashlib.sha256).digest()

    def _gone(self) -> str:
        return (
            f"the token {self._uri.token} does not answer; put it back or mend its service,"
            " then restart"
        )

    def _meaning(self, fault: Exception, *, opening: bool) -> str:
        """Return in words what a token's refusal means, and the remedy; never a value of ours."""
        name = type(fault).__name__
        if name in _MEANINGS:
            return _MEANINGS[name].format(token=self._uri.token)
        if opening and name in _REFUSALS and self._alive():
            return _NOT_OURS
        return f"{self._gone()} ({name})"

    def _alive(self) -> bool:
        """Ask the token for its object again: a refusal to decrypt says nothing of why."""
        answer: Future[Any] = Future()
        self._work.put((lambda session: _find(session, self._uri), answer))
        try:
            return answer.result(timeout=ANSWER_S) is not None
        except Exception:  # noqa: BLE001
            return False


_REFUSALS = frozenset(
    {"GeneralError", "EncryptedDataInvalid", "EncryptedDataLenRange", "FunctionFailed"}
)
_MEANINGS = {
    "PinIncorrect": "wrong PIN for the token {token}; try again, and know that a token locks after a few",
    "PinInvalid": "wrong PIN for the token {token}; try again, and know that a token locks after a few",
    "PinLenRange": "wrong PIN for the token {token}: it is too short or too long",
    "PinLocked": "the token {token} is locked after wrong PINs; its security officer unlocks it",
    "PinExpired": "the PIN of the token {token} has expired; set a new one with the token's own tool",
    "UserPinNotInitialized": "the token {token} has no PIN yet; set one with the token's own tool",
    "NoSuchToken": "there is no token {token}; put it in, or name the one that is there",
    "MultipleTokensReturned": "several tokens fit {token}; state also its serial, e.g. ;serial=0123, or leave in the one that is meant",
    "TokenNotPresent": "there is no token {token}; put it in",
    "TokenNotRecognised": "the token {token} is not one that its module knows; name the right module",
    "TokenWriteProtected": "the token {token} is write-protected; no key can be made in it",
    "DeviceMemory": "the token {token} is full; remove what it no longer needs with its own tool",
    "UserAlreadyLoggedIn": "another part of this process holds the token {token}; restart",
}

_owners: dict[tuple[str, tuple[str, ...]], _Owner] = {}
_owners_lock = threading.Lock()


def _owner_of(uri: TokenUri, pin: Callable[[], bytes]) -> _Owner:
    """Return the owner of a token's session, new or shared; a wrong PIN is refused either way."""
    _demand_library(uri)
    given = pin()
    if not given:
        raise CustodyFault("an empty PIN opens no token; give one")
    try:
        given.decode()
    except UnicodeDecodeError:  # PKCS #11 has PINs in UTF-8, and this error would show its bytes
        raise CustodyFault(_MEANINGS["PinIncorrect"].format(token=uri.token)) from None
    with _owners_lock:
        beside = [owner for (module, _), owner in _owners.items() if module == uri.module]
        # Which token is meant is asked of the module where it is used already: in one of its own threads.
        serves = (
            beside[0].do(lambda _: _identity(_token(uri, look_again=False))) if beside else None
        )
        owner = None if serves is None else _owners.get((uri.module, serves))
        if owner is None:
            owner = _Owner(uri, given, look_again=not beside)
            _owners[uri.module, owner.serves] = owner
        elif not owner.knows(given):
            raise CustodyFault(_MEANINGS["PinIncorrect"].format(token=uri.token))
        return owner


def _demand_library(uri: TokenUri) -> None:
    try:
        import pkcs11  # noqa: F401
    except ImportError:
        raise CustodyFault(
            "keys in a token need python-pkcs11; install it: pip install 'passerelle[pkcs11]'"
        ) from None
    if not os.path.isfile(uri.module):  # noqa: PTH113 - a string of the URI, not a path of ours
        raise CustodyFault(
            f"there is no module {uri.module}; install the token's software, or correct module-path"
        )


def _token(uri: TokenUri, *, look_again: bool) -> Any:  # noqa: ANN401
    """Return the one token that fits; look_again: see those that came since, which ends every session of the module."""
    import pkcs11

    try:
        library = pkcs11.lib(uri.module)
        if look_again:
            library.reinitialize()
    except (RuntimeError, OSError):
        raise CustodyFault(
            f"{uri.module} is no PKCS#11 module of this machine; correct module-path"
        ) from None
    found = [token for token in library.get_tokens() if _fits(uri, token, library)]
    if len(found) == 1:
        return found[0]
    which = "MultipleTokensReturned" if found else "NoSuchToken"
    raise CustodyFault(_MEANINGS[which].format(token=uri.token))


def _identity(token: Any) -> tuple[str, ...]:  # noqa: ANN401
    """Return what a token says of itself: what distinguishes it from every other of its module."""
    return tuple(str(_spoken(token)[name]) for name in sorted(OF_TOKEN))


def _spoken(token: Any) -> dict[str, str]:  # noqa: ANN401
    serial = token.serial
    return {
        "token": token.label,
        "manufacturer": token.manufacturer_id,
        "model": token.model,
        "serial": serial.decode("ascii", errors="replace")
        if isinstance(serial, bytes)
        else str(serial),
    }


def _fits(uri: TokenUri, token: Any, library: Any) -> bool:  # noqa: ANN401
    """Say whether token, slot and library are as a URI states, attribute by attribute (RFC 7512 section 2.5)."""
    spoken = {name: value.strip() for name, value in _spoken(token).items()}
    for name, stated in uri.stated:
        if name in spoken:
            fits = spoken[name] == stated
        elif name == "slot-id":
            fits = token.slot.slot_id == int(stated)
        elif name == "library-version":
            major, _, minor = stated.partition(".")
            fits = library.library_version == (int(major), int(minor or 0))
        else:
            of, what = (token.slot, "slot") if name.startswith("slot-") else (library, "library")
            said = "manufacturer_id" if name.endswith("-manufacturer") else f"{what}_description"
            fits = str(getattr(of, said)).strip() == stated
        if not fits:
            return False
    return True


def _find(session: Any, uri: TokenUri) -> Any:  # noqa: ANN401
    from pkcs11 import Attribute, KeyType, ObjectClass

    wanted: dict[Attribute, object] = {
        Attribute.CLASS: ObjectClass.SECRET_KEY,
        Attribute.KEY_TYPE: KeyType.AES,
    }
    if uri.label:
        wanted[Attribute.LABEL] = uri.label
    if uri.id:
        wanted[Attribute.ID] = uri.id
    found = list(session.get_objects(wanted))
    if len(found) > 1:
        raise CustodyFault(
            f"the token {uri.token} holds {len(found)} keys {uri.key}; state label (object=) and id (id=), or give each"
            " its own"
        )
    return found[0] if found else None


def _generate(session: Any, uri: TokenUri) -> Any:  # noqa: ANN401
    from pkcs11 import Attribute, KeyType

    template = {
        Attribute.SENSITIVE: True,
        Attribute.EXTRACTABLE: False,
        Attribute.ENCRYPT: True,
        Attribute.DECRYPT: True,
        Attribute.WRAP: False,
        Attribute.UNWRAP: False,
    }
    return session.generate_key(
        KeyType.AES,
        KEY_BITS,
        id=uri.id or None,
        label=uri.label or None,
        store=True,
        template=template,
    )


def _demand_kept(key: Any, uri: TokenUri) -> None:  # noqa: ANN401
    """Refuse a key that was ever, or could be, outside the token."""
    from pkcs11 import Attribute

    if not (key[Attribute.SENSITIVE] and not key[Attribute.EXTRACTABLE]):
        raise CustodyFault(
            f"the key {uri.key} could be read out of its token; make one that cannot:"
            " passerelle keys rewrap, with another object"
        )
