"""The name of a key in a token: a PKCS#11 URI, as RFC 7512 has it.

    pkcs11:token=LABEL;object=NAME?module-path=/path/to/module.so

Every attribute that the RFC defines is understood; what the URI does not state is not asked for, and all that it states
has to fit. As the RFC has it (section 2.5), an attribute of the path that is not known fits nothing, and one of the
query is passed over. A PIN in a URI is refused: settings, logs and lists of processes have the URI.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import unquote_to_bytes

from keys.errors import CustodyFault

SCHEME: Final = "pkcs11"
FORM: Final = "pkcs11:token=LABEL;object=NAME?module-path=/path/to/module.so"
TYPE: Final = "secret-key"  # of an AES key, among those that an object may have

OF_LIBRARY: Final = frozenset({"library-manufacturer", "library-description", "library-version"})
OF_SLOT: Final = frozenset({"slot-id", "slot-manufacturer", "slot-description"})
OF_TOKEN: Final = frozenset({"token", "manufacturer", "model", "serial"})
_OF_OBJECT: Final = frozenset({"object", "id", "type"})
_PATH: Final = OF_LIBRARY | OF_SLOT | OF_TOKEN | _OF_OBJECT
_TYPES: Final = frozenset({"public", "private", "cert", TYPE, "data"})
_PINS: Final = frozenset({"pin-value", "pin-source"})
_NAME: Final = re.compile(r"[a-z0-9-]+", re.IGNORECASE)
_ESCAPES: Final = re.compile(r"(?:[^%]|%[0-9A-Fa-f]{2})*", re.DOTALL)
_VERSION: Final = re.compile(r"[0-9]{1,3}(\.[0-9]{1,3})?")
# Where systems keep modules, and how they call them: `module-name` says neither.
_FOLDERS: Final = (
    *("/usr/lib/pkcs11", "/usr/lib64/pkcs11", "/usr/local/lib/pkcs11", "/usr/lib", "/usr/lib64"),
    *("/usr/local/lib", "/usr/lib/softhsm", "/usr/lib64/softhsm"),
)
_FILES: Final = ("{}.so", "lib{}.so", "{}-pkcs11.so", "lib{}-pkcs11.so")


@dataclass(frozen=True, slots=True)
class TokenUri:
    """Which object of which token, by which module; no secret.

    stated   what token, slot and library must say of themselves, by the RFC's names, in their order
    label    CKA_LABEL of the object; empty where only its id is stated
    id       CKA_ID of the object; empty where only its label is
    module   path of the module
    """

    stated: tuple[tuple[str, str], ...]
    label: str
    module: str
    id: bytes = b""

    @property
    def token(self) -> str:
        """What people know the token by: its label, else whatever else of it is stated."""
        said = dict(self.stated)
        return (
            said.get("token")
            or ", ".join(f"{name} {value}" for name, value in self.stated)
            or "in the slot"
        )

    @property
    def key(self) -> str:
        """What people know the object by."""
        return self.label or f"with id {self.id.hex()}"

    @classmethod
    def parse(cls, uri: str) -> TokenUri:
        """Read a URI. Raises CustodyFault for another form, saying which part, and for a PIN in it."""
        scheme, _, rest = uri.partition(":")
        if scheme.lower() != SCHEME:
            raise _fault("it begins with pkcs11:")
        path, _, query = rest.partition("?")
        said = dict(_attributes(path, ";"))
        asked = {
            name: value
            for name, value in _attributes(query, "&")
            if name in {"module-path", "module-name"}
        }
        _demand_known(said)
        if not {"object", "id"} & said.keys():
            raise _fault("object=NAME, or id=%NN…, says which key")
        if "module-path" not in asked and "module-name" not in asked:
            raise _fault("?module-path=FILE says by which module the token is reached")
        return cls(
            tuple((name, _text(name, said[name])) for name in sorted(said.keys() - _OF_OBJECT)),
            _text("object", said["object"]) if "object" in said else "",
            _module({name: _text(name, value) for name, value in asked.items()}),
            said.get("id", b""),
        )


def _attributes(part: str, mark: str) -> Iterator[tuple[str, bytes]]:
    """Yield name and value of each attribute; a name may be there once."""
    seen: set[str] = set()
    for one in part.split(mark) if part else ():
        name, equals, value = one.partition("=")
        name = name.lower() if _NAME.fullmatch(name) else ""
        if name in _PINS:
            raise CustodyFault(
                "a PIN does not belong into a URI; give it as the passphrase is given"
            )
        if not name or not equals or not value:
            raise _fault("each part is NAME=VALUE")
        if name in seen:
            raise _fault(f"{name} stands twice in it")
        if not _ESCAPES.fullmatch(value):
            raise _fault(f"{name} has a % that is not followed by two digits (%25 is a % itself)")
        seen.add(name)
        yield name, unquote_to_bytes(value)


def _demand_known(said: dict[str, bytes]) -> None:
    unknown = sorted(said.keys() - _PATH)
    if unknown:
        raise _fault(f"RFC 7512 knows no attribute {unknown[0]}; it has {', '.join(sorted(_PATH))}")
    kind = said.get("type", TYPE.encode()).decode(errors="replace")
    if kind not in _TYPES:
        raise _fault(f"type is one of {', '.join(sorted(_TYPES))}")
    if kind != TYPE:
        raise _fault(f"a custody is an AES key: type={TYPE}, or leave it out")
    if "slot-id" in said and not said["slot-id"].isdigit():
        raise _fault("slot-id is a number")
    if "library-version" in said and not _VERSION.fullmatch(
        said["library-version"].decode(errors="replace")
    ):
        raise _fault("library-version is MAJOR.MINOR, e.g. 2.6")


def _text(name: str, value: bytes) -> str:
    try:
        return value.decode()
    except UnicodeDecodeError:
        raise _fault(f"{name} is text in UTF-8; only id has other bytes") from None


def _module(asked: dict[str, str]) -> str:
    """Return the path of the module: what is stated, a name in the folder that is, or a name where systems keep them."""
    path, name = asked.get("module-path", ""), asked.get("module-name", "")
    if path and not (name and Path(path).is_dir()):
        return path
    folders = (
        [Path(path)]
        if path
        else [*map(Path, _FOLDERS), *sorted(Path("/usr/lib").glob("*-linux-gnu*/pkcs11"))]
    )
    for folder in folders:
        for form in _FILES:
            if (folder / form.format(name)).is_file():
                return str(folder / form.format(name))
    raise CustodyFault(
        f"no module of the name {name} is found; write module-path=FILE instead of module-name"
    )


def _fault(why: str) -> CustodyFault:
    return CustodyFault(f"this names no key in a token: {why}; write {FORM}")
