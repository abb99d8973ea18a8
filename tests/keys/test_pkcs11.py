"""A key in a token: SoftHSM 2 where it can be had; what a token may refuse is told with the remedy."""

from __future__ import annotations

import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from keys import custody_pkcs11 as ours
from keys.custody import FileCustody, create_custody, open_custody
from keys.custody_pkcs11 import Pkcs11Custody, TokenUri
from keys.errors import CustodyFault


@pytest.mark.parametrize(
    "uri",
    [
        "pkcs11:",
        "pkcs11:token=a",
        "pkcs11:token=a;object=b",
        "pkcs11:token=a;object=?module-path=/m.so",
        "pkcs11:token=a;token=b;object=c?module-path=/m.so",
        "pkcs11:token=a;object=b;slot=1?module-path=/m.so",
        "token=a;object=b?module-path=/m.so",
    ],
)
def test_a_uri_that_names_no_object_is_refused_with_its_form(uri: str) -> None:
    with pytest.raises(CustodyFault, match="object=NAME"):
        TokenUri.parse(uri)


@pytest.mark.parametrize("part", ["pin-value=1234", "pin-source=/tmp/pin"])
def test_a_pin_in_a_uri_is_refused_and_not_repeated(part: str) -> None:
    """RFC 7512 has a member for it; settings, logs and process lists have the URI."""
    with pytest.raises(CustodyFault, match="does not belong into a URI") as refused:
        TokenUri.parse(f"pkcs11:token=a;object=b?module-path=/m.so&{part}")
    assert "1234" not in str(refused.value)


def test_a_uri_is_read_with_its_escapes() -> None:
    read = TokenUri.parse("pkcs11:token=our%20token;object=kek%3B1?module-path=/m.so")

    assert read == TokenUri((("token", "our token"),), "kek;1", "/m.so")


def test_every_attribute_of_the_rfc_is_understood() -> None:
    """RFC 7512 section 2.3; what p11tool and pkcs11-tool print for an object has most of them."""
    read = TokenUri.parse(
        "PKCS11:library-manufacturer=SoftHSM;library-description=Implementation%20of%20PKCS11;library-version=2.6;"
        "slot-manufacturer=SoftHSM%20project;slot-description=SoftHSM%20slot;slot-id=7;model=SoftHSM%20v2;manufacturer=SoftHSM%20project;serial=d2a9cb8bcf3f8c4f;token=p%C3%A9age;"
        "id=%00%ffk;object=kek;type=secret-key?module-path=/m.so&x-vendor=ours"
    )

    said = dict(read.stated)
    assert (said["token"], said["serial"]) == ("péage", "d2a9cb8bcf3f8c4f")
    assert (said["model"], said["slot-id"]) == ("SoftHSM v2", "7")
    assert (read.label, read.id, read.module) == ("kek", b"\x00\xffk", "/m.so")


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        (
            "pkcs11:token=a;object=b;colour=red?module-path=/m.so",
            "no attribute colour; it has id, ",
        ),
        ("pkcs11:token=a;object=b;type=private?module-path=/m.so", "type=secret-key"),
        ("pkcs11:token=a;object=b;type=red?module-path=/m.so", "type is one of cert, data"),
        ("pkcs11:token=a?module-path=/m.so", "says which key"),
        ("pkcs11:token=a;object=b", "says by which module"),
        ("pkcs11:token=%zz;object=b?module-path=/m.so", "%25 is a % itself"),
        ("pkcs11:token=%ff;object=b?module-path=/m.so", "token is text in UTF-8"),
        ("pkcs11:token=a;object=b;slot-id=one?module-path=/m.so", "slot-id is a number"),
        ("pkcs11:token=a;object=b;library-version=x?module-path=/m.so", "MAJOR.MINOR"),
        ("pkcs11:token=a;object=b?module-name=nobody-has-it", "write module-path=FILE instead"),
        ("pkcs11:object=b;object=c?module-path=/m.so", "object stands twice"),
        ("pkcs11:token;object=c?module-path=/m.so", "each part is NAME=VALUE"),
        ("pkcs12:token=a;object=c?module-path=/m.so", "begins with pkcs11:"),
    ],
)
def test_what_a_uri_lacks_is_said_with_its_form(uri: str, said: str) -> None:
    with pytest.raises(CustodyFault, match=r"module-path=") as refused:
        TokenUri.parse(uri)

    assert said in str(refused.value)


def test_a_module_is_found_by_its_name_in_the_folder_that_is_stated(tmp_path: Path) -> None:
    (tmp_path / "libours.so").touch()

    read = TokenUri.parse(f"pkcs11:token=a;object=b?module-name=ours&module-path={tmp_path}")

    assert read.module == str(tmp_path / "libours.so")


def test_a_token_is_found_by_whatever_it_says_of_itself_and_is_one(tokens: Any) -> None:
    """By label or by serial, model and manufacturer: one token, one login, one owner of its session."""
    custody = create_custody(tokens.uri("good", "named"), lambda: tokens.pin)
    assert isinstance(custody, Pkcs11Custody)
    maker, model, serial, _ = custody._owner.serves
    path = f"model={quote(model)};manufacturer={quote(maker)};serial={serial};slot-manufacturer={quote(maker)}"
    uri = f"pkcs11:{path};type=secret-key;object=named?module-path={tokens.module}"

    again = open_custody(uri, lambda: tokens.pin)

    assert again.unwrap(custody.wrap(b"seed", b"a"), b"a") == b"seed"
    assert isinstance(again, Pkcs11Custody)
    assert again._owner is custody._owner
    with pytest.raises(CustodyFault, match="there is no token"):
        open_custody(uri.replace(serial, serial[::-1] + "0"), lambda: tokens.pin)
    with pytest.raises(CustodyFault, match="several tokens fit"):
        open_custody(
            f"pkcs11:model={quote(model)};object=named?module-path={tokens.module}",
            lambda: tokens.pin,
        )


def test_a_key_is_found_by_its_id(tokens: Any) -> None:
    """Two keys of one label are told apart by it."""
    one = create_custody(tokens.uri("good", "ided").replace("?", ";id=%01?"), lambda: tokens.pin)
    two = create_custody(tokens.uri("good", "ided").replace("?", ";id=%02?"), lambda: tokens.pin)

    alone = open_custody(
        tokens.uri("good", "ided").replace("object=ided", "id=%02"), lambda: tokens.pin
    )

    assert alone.unwrap(two.wrap(b"seed", b"a"), b"a") == b"seed"
    with pytest.raises(CustodyFault, match="not wrapped by this custody"):
        alone.unwrap(one.wrap(b"seed", b"a"), b"a")


def test_a_missing_module_is_told_before_the_pin_is_asked_for() -> None:
    pytest.importorskip("pkcs11")

    with pytest.raises(CustodyFault, match="there is no module"):
        Pkcs11Custody.open(
            "pkcs11:token=a;object=b?module-path=/none.so", lambda: pytest.fail("asked")
        )


def test_a_module_that_is_none_is_told(tmp_path: Path) -> None:
    pytest.importorskip("pkcs11")
    (tmp_path / "m.so").write_bytes(b"no module")

    with pytest.raises(CustodyFault, match="correct module-path"):
        Pkcs11Custody.open(
            f"pkcs11:token=a;object=b?module-path={tmp_path / 'm.so'}", lambda: b"1234"
        )


def test_the_key_cannot_be_read_out_of_the_token(tokens: Any) -> None:
    """SENSITIVE and not EXTRACTABLE, ever: keys.md 6."""
    import pkcs11
    from pkcs11 import Attribute
    from pkcs11.exceptions import AttributeSensitive

    custody = create_custody(tokens.uri("good", "kept"), lambda: tokens.pin)
    assert isinstance(custody, Pkcs11Custody)

    def read(_: object) -> tuple[bool, bool, bool]:
        key = custody._key
        with pytest.raises(AttributeSensitive):
            key[Attribute.VALUE]
        return (
            key[Attribute.SENSITIVE],
            key[Attribute.EXTRACTABLE],
            key[Attribute.NEVER_EXTRACTABLE],
        )

    assert custody._owner.do(read) == (True, False, True)
    assert pkcs11.__name__ == "pkcs11"


def test_a_key_that_can_leave_the_token_is_refused(tokens: Any) -> None:
    from pkcs11 import Attribute, KeyType

    custody = create_custody(tokens.uri("good", "strict"), lambda: tokens.pin)
    assert isinstance(custody, Pkcs11Custody)
    custody._owner.do(
        lambda session: session.generate_key(
            KeyType.AES,
            256,
            label="loose",
            store=True,
            template={Attribute.SENSITIVE: False, Attribute.EXTRACTABLE: True},
        )
    )

    for attempt in (open_custody, create_custody):
        with pytest.raises(CustodyFault, match="could be read out of its token"):
            attempt(tokens.uri("good", "loose"), lambda: tokens.pin)


def test_two_keys_of_one_name_are_not_guessed_between(tokens: Any) -> None:
    custody = create_custody(tokens.uri("good", "twin"), lambda: tokens.pin)
    assert isinstance(custody, Pkcs11Custody)
    custody._owner.do(lambda session: ours._generate(session, custody.uri))

    with pytest.raises(CustodyFault, match="holds 2 keys twin"):
        open_custody(tokens.uri("good", "twin"), lambda: tokens.pin)


def test_making_it_twice_takes_the_key_that_stands(tokens: Any) -> None:
    """A run that was interrupted goes on with what it made."""
    uri = tokens.uri("good", "again")
    blob = create_custody(uri, lambda: tokens.pin).wrap(b"seed", b"a")

    assert create_custody(uri, lambda: tokens.pin).unwrap(blob, b"a") == b"seed"


def test_a_missing_token_is_named(tokens: Any) -> None:
    with pytest.raises(CustodyFault, match="there is no token absent; put it in"):
        open_custody(tokens.uri("absent", "kek"), lambda: tokens.pin)


def test_a_missing_object_is_named(tokens: Any) -> None:
    with pytest.raises(CustodyFault, match="holds no AES key nothing"):
        open_custody(tokens.uri("good", "nothing"), lambda: tokens.pin)


@pytest.mark.parametrize("pin", [b"4321-wrong", b"1", b"1234-canary-pinn"])
def test_a_wrong_pin_is_refused_and_not_repeated(tokens: Any, pin: bytes) -> None:
    """At the first login, which the token refuses."""
    with pytest.raises(CustodyFault, match="wrong PIN for the token fresh") as refused:
        open_custody(tokens.uri("fresh", "kek"), lambda: pin)
    assert pin.decode() not in str(refused.value).replace("token fresh", "")[:40]


def test_a_wrong_pin_is_refused_also_when_the_token_is_logged_in(tokens: Any) -> None:
    """A second login in one process is not asked for its PIN by the token: we ask."""
    uri = tokens.uri("good", "second")
    create_custody(uri, lambda: tokens.pin)

    with pytest.raises(CustodyFault, match="wrong PIN"):
        open_custody(uri, lambda: b"4321-wrong")
    with pytest.raises(CustodyFault, match="empty PIN"):
        open_custody(uri, lambda: b"")


class Refusing:
    """A module whose token refuses as real ones do and SoftHSM does not."""

    def __init__(self, fault: str) -> None:
        self._fault = fault

    def reinitialize(self) -> None:
        pass

    def get_tokens(self) -> list[Refusing]:
        return [self]

    label, model, manufacturer_id, serial = "t", "m", "us", b"1"

    def open(self, **_: object) -> object:
        import pkcs11

        raise getattr(pkcs11.exceptions, self._fault)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ("PinLocked", "is locked after wrong PINs; its security officer unlocks it"),
        ("PinExpired", "has expired; set a new one"),
        ("UserPinNotInitialized", "has no PIN yet; set one"),
        ("TokenNotPresent", "put it in"),
        ("DeviceRemoved", "does not answer; put it back"),
        ("FunctionFailed", "does not answer"),
    ],
)
def test_a_locked_or_unready_token_is_told_with_the_remedy(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: str, told: str
) -> None:
    library = pytest.importorskip("pkcs11")
    module = tmp_path / "m.so"
    module.touch()
    monkeypatch.setattr(library, "lib", lambda _: Refusing(fault))

    with pytest.raises(CustodyFault, match=told):
        open_custody(f"pkcs11:token=t;object=o?module-path={module}", lambda: b"1234")
    assert all(path != str(module) for path, _ in ours._owners)


REMOVAL = """
import shutil, sys
from pathlib import Path
from keys.custody import create_custody
from keys.errors import CustodyFault

uri, pin, folder = sys.argv[1], sys.argv[2].encode(), Path(sys.argv[3])
custody = create_custody(uri, lambda: pin)
blob = custody.wrap(b"seed", b"a")
for path in list(folder.iterdir()):
    if b"removed" in (path / "token.object").read_bytes():
        shutil.rmtree(path)
        print("removed")
for attempt in (lambda: custody.wrap(b"seed", b"a"), lambda: custody.unwrap(blob, b"a")):
    try:
        attempt()
    except CustodyFault as fault:
        print(fault)
"""


def test_a_token_that_is_removed_is_told_from_a_blob_that_is_not_ours(
    tokens: Any, tmp_path: Path
) -> None:
    """With tokens and a process of its own: one that is gone disturbs the others of SoftHSM."""
    shutil.copytree(tokens.folder, tmp_path / "tokens")
    settings = tmp_path / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {tmp_path / 'tokens'}\n", encoding="utf-8")
    words = [tokens.uri("removed", "kek"), tokens.pin.decode(), str(tmp_path / "tokens")]
    run = subprocess.run(
        [sys.executable, "-c", REMOVAL, *words],
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "SOFTHSM2_CONF": str(settings)},
    )

    told = run.stdout.splitlines()
    assert told[0] == "removed"
    assert len(told) == 3
    assert all("does not answer; put it back" in line for line in told[1:])


def test_many_threads_share_one_owner(tokens: Any) -> None:
    """A session used by two threads crashes SoftHSM (keys.md 6): here eight ask, one thread works."""
    custody = create_custody(tokens.uri("good", "threads"), lambda: tokens.pin)
    assert isinstance(custody, Pkcs11Custody)
    workers: set[int] = set()
    find = custody._owner.do

    def round_trip(number: int) -> bool:
        secret = number.to_bytes(4, "big")
        find(lambda _: workers.add(threading.get_ident()))
        return custody.unwrap(custody.wrap(secret, b"a"), b"a") == secret

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(round_trip, range(400)))
    assert len(workers) == 1


def test_two_tokens_of_one_module_serve_side_by_side(tokens: Any) -> None:
    """Re-wrapping from one to the other needs both."""
    one = create_custody(tokens.uri("good", "side"), lambda: tokens.pin)
    other = create_custody(tokens.uri("other", "side"), lambda: tokens.pin)

    assert one.unwrap(one.wrap(b"seed", b"a"), b"a") == b"seed"
    with pytest.raises(CustodyFault, match="not wrapped by this custody"):
        other.unwrap(one.wrap(b"seed", b"a"), b"a")


def test_a_session_is_not_carried_through_a_fork(
    tokens: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    custody = create_custody(tokens.uri("good", "fork"), lambda: tokens.pin)
    child = os.getpid() + 1
    monkeypatch.setattr(os, "getpid", lambda: child)

    with pytest.raises(CustodyFault, match="fork"):
        custody.wrap(b"seed", b"a")


def test_a_token_custody_shows_and_ships_nothing(tokens: Any) -> None:
    custody = create_custody(tokens.uri("good", "mute"), lambda: tokens.pin)
    assert isinstance(custody, Pkcs11Custody)

    assert repr(custody) == "<Pkcs11Custody>"
    assert tokens.pin.decode() not in custody.describe()
    with pytest.raises(TypeError):
        pickle.dumps(custody)
    with pytest.raises(TypeError):
        hash(custody)
    assert not isinstance(custody, FileCustody)
