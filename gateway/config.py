"""Settings: `passerelle.toml`, then `PASSERELLE_SECTION__KEY` in the environment, then flags; frozen.

A key that we do not know refuses, for a misspelt limit is no limit. No setting is a secret: secrets are
named by a URI or a file. Defaults are safe. What two persons must agree on (agreements, keys, roles) is
not here but in its own files and in the ledger.

Beside each setting: its unit, why its default, and what whoever can change it could do.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Final, Literal, get_origin

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_settings import (
    BaseSettings,
    InitSettingsSource,
    PydanticBaseSettingsSource,
    SettingsConfigDict,
    SettingsError,
)

from gateway import bounded_toml, user_files
from gateway.bounded_toml import TomlRefused
from gateway.errors import UserError
from gateway.home_layout import SETTINGS
from gateway.settings_names import PREFIX, OldName, refuse_old_variables, with_new_names
from keys import atomic_file, custody_rewrap, strict_json

MAX_FILE = 65_536  # bytes; a settings file is a page

Address = Annotated[
    str, Field(pattern=r"^(\[[0-9A-Fa-f:]{2,39}\]|[A-Za-z0-9.-]{1,253}):[0-9]{1,5}$")
]
Host = Annotated[str, Field(pattern=r"^[A-Za-z0-9.:-]{1,253}$")]


class _Section(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class GatewaySection(_Section):
    """Who we are."""

    # Our name in every header and in our partners' directories. Whoever changes it is refused everywhere.
    party: Annotated[str, Field(pattern=r"^[A-Z0-9-]{2,32}$")]
    # The authority's full name, in the bundle that partners import. For people; nothing decides by it.
    legal_name: Annotated[str, Field(max_length=200)] = ""
    # Name of our ledger in its checkpoints (C2SP tlog-checkpoint, "origin"). Partners pin it with the
    # ledger's keys, so whoever changes it makes every receipt fail.
    origin: Annotated[str, Field(pattern=r"^[A-Za-z0-9./-]{1,200}$")] = Field(
        default_factory=lambda known: f"passerelle/{known.get('party', '')}"
    )


class Exchange(_Section):
    """The partners' listener."""

    # host:port. Loopback, so that a gateway is not on a network before somebody says so. Whoever changes
    # it decides who can connect; who is accepted is decided by the certificates.
    listen: Address = "127.0.0.1:7443"
    # Names and addresses in our TLS leaf, by which partners reach us. Whoever changes them can make
    # partners' handshakes fail.
    hosts: tuple[Host, ...] = ("127.0.0.1", "localhost")
    # host:port of an HTTP proxy by which partners are reached (CONNECT). None = directly: `http_proxy` and its like in
    # the environment are not heeded, and the way to our own admin port goes through none. TLS and pins go through it
    # unchanged; it learns whom we ask, when and how much. What `no_proxy` names is reached directly all the same. Whoever
    # sets it can have our traffic watched and cut, not read.
    proxy: Address | None = None
    # Threads that receive calls: they say who calls, refuse or hand over, and never wait. Calls are answered in
    # threads of their own, as many as partners have places. More only compete for the processor; with fewer a
    # certificate that is slow to read delays the next caller.
    worker_threads: Annotated[int, Field(ge=1, le=512)] = 4
    # Concurrent calls, from the first look at a message until its answer was taken. Each has a thread, up to
    # 1 MiB of request and up to 300 kB of answer, so this bounds a partner's share of all three (protocol 12).
    # Whoever raises it lets one partner keep more memory; whose turn it is to search goes by partners all the same.
    calls_per_partner: Annotated[int, Field(ge=1, le=512)] = 8
    # Calls a second, refilling a bucket of `rate_burst` calls. A partner's year is 1,100 queries a day, a
    # core answers some hundreds a second: this stops a runaway client, not a busy one. The legal quota is
    # the agreement's. Whoever raises both lets one partner load the gateway.
    rate_per_second: Annotated[float, Field(gt=0, le=100_000)] = 200.0
    # Calls that the bucket holds: so many at once, after a pause. A message that is refused costs twenty.
    rate_burst: Annotated[int, Field(ge=1, le=100_000)] = 400
    # Copies of a message that was seen before, answered or refused: a second, refilling a bucket of `copies_burst`. An
    # honest client sends three in ten seconds after a break; each copy is the work of a verification and up to 300 kB of answer.
    # Whoever raises both makes old messages a load that no quota counts.
    copies_per_second: Annotated[float, Field(gt=0, le=100_000)] = 2.0
    # Copies that the bucket holds: so many at once, after a pause.
    copies_burst: Annotated[int, Field(ge=1, le=100_000)] = 16
    # Refusals a second to one address (IPv6: one /64) whose caller is not identified, refilling a bucket of
    # `unidentified_burst`; beyond it they say RATE_LIMITED and are cheaper. All addresses together have ten times
    # as much. A partner with a wrong certificate tries a few times. Whoever raises both lets unidentified callers load us.
    unidentified_per_second: Annotated[float, Field(gt=0, le=100_000)] = 10.0
    # Refusals that the bucket of an address holds: so many at once, after a pause.
    unidentified_burst: Annotated[int, Field(ge=1, le=100_000)] = 50
    # Milliseconds; the earliest moment an answer leaves. 0 = measured from the gallery at hand, never
    # below 50. Whoever lowers it can let the time of an answer say what the answer does not.
    quantum_floor_ms: Annotated[int, Field(ge=0, le=10_000)] = 0
    # Milliseconds; later answers leave at whole steps after the floor. 25 is the smallest step at which
    # hit and no hit could not be distinguished. Whoever lowers it, as above.
    quantum_step_ms: Annotated[int, Field(ge=1, le=10_000)] = 25


class Admin(_Section):
    """The listener of our own people: officers with an officer certificate of our authority."""

    # host:port. Loopback on any free port; commands find it by a file in the home directory. Whoever
    # changes it decides who can connect; who is accepted is decided by the officer certificates.
    listen: Address = "127.0.0.1:0"


class Health(_Section):
    """The orchestrator's listener: health and metrics, no personal data."""

    # host:port. Its own port, because a saturated exchange refuses health checks too; loopback, because
    # the volume of queries is nobody else's business.
    listen: Address = "127.0.0.1:7444"
    # Port on 127.0.0.1 of Prometheus' text over HTTP; 0 takes any free one.
    metrics_port: Annotated[int, Field(ge=0, le=65_535)] = 7445


class Keys(_Section):
    """Where the key above our keys is."""

    # URI. A file in the home directory, sealed by a passphrase. Whoever changes it can stop the gateway,
    # not read a key.
    custody: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]*:.{1,1000}$")] = "file:keys/kek.json"
    # Path of our wrapped keys. Whoever can write there can stop the gateway; what is in it is sealed.
    keyset: Path = Path("keys/keyset.json")
    # Path. None = asked for at the terminal. Whoever can read that file and the keyset is the gateway.
    passphrase_file: Path | None = None


class Directory(_Section):
    """Whom we know."""

    # Path of the folder of partners' bundles. Whoever can write there decides who is a partner; what was
    # imported is in the ledger.
    folder: Path = Path("parties")
    # host:port of partners' endpoints that are allowed though they are on this machine, on its link or a name of
    # ours, as behind a tunnel. Without an exception a gateway on a network connects to none of these. Whoever
    # adds one can have our own outgoing connections reach it.
    allowed_endpoints: tuple[Address, ...] = ()


class Agreements(_Section):
    """What was agreed."""

    # Path of the folder of agreement files. Whoever can write there can permit what nobody agreed; the
    # digest of the file is in every entry that relied on it.
    folder: Path = Path("agreements")


class Store(_Section):
    """Where we remember."""

    # Path of the database. On a disk that flushes when told to. Whoever can write there can stop the
    # gateway and lose records; altering them shows in the ledger.
    path: Path = Path("store/passerelle.db")


class Evidence(_Section):
    """What others hold of our ledger: published files, witnesses, time stamps."""

    # Path of the folder of tiles and checkpoints. Whoever can write there can delay auditors and lose files
    # that we rebuild from rows; they cannot forge: checkpoints are signed and witnessed.
    tiles: Path = Path("ledger")
    # Path of a policy (C2SP tlog-policy): whose cosignatures a checkpoint needs. None = witnesses are heard,
    # none is demanded. Whoever changes it decides how many must look before a lost history is noticed.
    policy: Path | None = None
    # Seconds within which the quorum is wanted; later there is an alarm. Partners' gateways look every ten
    # minutes: the default misses two of their rounds.
    cosigned_s: Annotated[float, Field(ge=1, le=86_400)] = 1800.0
    # Hours that files, cosignatures or time stamps may be late before nothing is answered (ledger section 10;
    # X-Road stops after the same time).
    overdue_h: Annotated[float, Field(gt=0, le=24)] = 4.0
    # Address of a time stamp authority (RFC 3161), http or https. None = no time stamps.
    authority: Annotated[str, Field(pattern=r"^https?://.{1,500}$")] | None = None
    # Path of the certificates, PEM, that the authority's tokens must lead to. Whoever changes it can have
    # stamps of their own believed.
    authority_roots: Path | None = None
    # Seconds between two time stamps.
    stamped_s: Annotated[float, Field(ge=60, le=86_400)] = 3600.0


class Extraction(_Section):
    """What makes records of images; decoders and extractors run in child processes alone."""

    # Name of the extractor of fingers, an entry point of the group `passerelle.extractors`; `leader` comes with the
    # extra `images`. None = images of fingers are not read. Whoever changes it decides which code sees pictures of
    # partners, in a process that can do nothing but answer.
    finger: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    # Name of the extractor of faces; `onnx` takes the model that `face_card` describes. None = not read.
    face: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    # Path of the card of the model of faces, TOML: what it is, what it takes, and its SHA-256. Whoever can change it and
    # the model decides which faces are alike.
    face_card: Path | None = None
    # Name of the extractor of irises. None = images of irises are refused.
    iris: Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,64}$")] | None = None
    # Child processes of each extractor, each with 0.3 GB, and 0.3 to 1 GB more for the picture it has. More only compete
    # for the processors: a finger takes one for one to two seconds.
    processes: Annotated[int, Field(ge=1, le=64)] = 1
    # Queries whose pictures may wait for a child process, of all partners together, by modality; beyond, they are told to
    # come again. How many pictures one of them has does not count.
    waiting: Annotated[int, Field(ge=1, le=1_024)] = 16
    # Seconds of processor time that one picture may take, and about as long by the clock; then it has failed. Whoever
    # raises it lets a picture that was made to be slow hold a processor longer.
    picture_s: Annotated[int, Field(ge=1, le=60)] = 20
    # Mebibytes of address space of a child process, libraries and picture together. A picture that wants more has failed.
    memory_mib: Annotated[int, Field(ge=256, le=65_536)] = 3_072


class Matching(_Section):
    """How samples are held in memory to be searched."""

    # float32: the numbers of face vectors as they were sent. int16: in 16 bits each, 1.3 kB a face of 512 numbers instead of
    # 2.4, and as fast; scores change by less than a thousandth. Whoever changes it changes nothing that is stored.
    face_vectors: Literal["float32", "int16"] = "float32"
    # Processes that hold the galleries and search them beside each other; each holds everybody, and takes memory of its
    # own. "auto": one for each processor, at most 8; none where there is one processor, or a kernel that cannot shut them in
    # (Linux on x86_64 or aarch64 can). 0: the gateway's own process searches, one question at a time, for a machine whose
    # memory ends first.
    workers: Literal["auto"] | Annotated[int, Field(ge=0, le=64)] = "auto"


class Telemetry(_Section):
    """What is written to the log; none of it is content."""

    # info, warning or error: lines below it are not written. Whoever raises it makes a fault harder to find; the ledger
    # has what has to be kept.
    level: Literal["info", "warning", "error"] = "info"
    # The access log, one line a call: info = all, warning = those that were refused, error = faults of ours alone. It
    # says who called what, when and how it ended, which tells of the volume of queries. Whoever raises it sees less.
    access: Literal["info", "warning", "error"] = "info"


class Limits(_Section):
    """What we accept of unidentified callers; the protocol's own numbers, which may be tightened, never loosened."""

    # Bytes. The largest envelope, of a query that carries images, has about 2,105,000; the rest is room for the receipt and
    # later formats. A partner holds at most `calls_per_partner` of them in memory, some five times each while it is read.
    # Whoever lowers it below that refuses images, and the capabilities say so; no other message has more than 300,000.
    max_message_bytes: Annotated[int, Field(ge=300_000, le=2_162_688)] = 2_162_688
    # Seconds. Longer calls hold a thread for nothing; the result waits for GetQueryState (protocol 4).
    max_deadline_s: Annotated[float, Field(gt=0, le=60)] = 60.0
    # Milliseconds. Less time than that is not worth beginning (protocol 12).
    min_deadline_ms: Annotated[int, Field(ge=1, le=60_000)] = 100
    # Seconds. How far two honest clocks may differ (protocol 4). Whoever raises it lengthens the time in
    # which a stolen message can be sent.
    clock_skew_s: Annotated[float, Field(ge=0, le=120)] = 120.0
    # Connections to the partners' listener in all. Each costs a file descriptor and some 50 KiB; `passerelle check` says
    # whether the process may have so many. Whoever lowers it can shut partners out, whoever raises it lets a crowd cost more.
    connections: Annotated[int, Field(ge=8, le=16_384)] = 512
    # Connections to that listener on which nobody was identified yet, in all and from one IPv4 address (one /64 of
    # IPv6); beyond, the oldest is cut. A partner is identified with their first call, within a second; sixteen leave
    # room for several behind one address. Whoever raises them lets unidentified callers hold more of `connections`.
    unidentified: Annotated[int, Field(ge=4, le=8_192)] = 128
    unidentified_per_address: Annotated[int, Field(ge=2, le=8_192)] = 16
    # Seconds in which a connection must bring its first lawful call. A TLS handshake over a bad line takes two or three.
    # Whoever raises it lets silence last longer.
    identified_s: Annotated[float, Field(ge=2, le=300)] = 20.0
    # Connections of one partner; beyond, the one longest silent is cut. A client library holds one for each process.
    # Whoever raises it lets one partner take more of `connections`.
    connections_per_partner: Annotated[int, Field(ge=2, le=1_024)] = 64
    # Seconds that a thread of ours may make no progress before the process is ended for a supervisor to start it anew. The
    # longest step has no sign of life for 15 s. Whoever raises it lets a stuck gateway wait longer.
    watchdog_s: Annotated[float, Field(ge=5, le=55)] = 45.0
    # Seconds. How long a message lives; replay rows are kept for as long and a margin (protocol 8).
    message_life_s: Annotated[float, Field(gt=0, le=600)] = 600.0


class Settings(BaseSettings):
    """All settings of one party, and where its home directory is.

    What `load` returns has absolute paths; in the file they are relative to `home`, the file's folder.
    """

    model_config = SettingsConfigDict(
        extra="forbid", frozen=True, env_prefix=PREFIX, env_nested_delimiter="__"
    )

    home: Path
    gateway: GatewaySection
    exchange: Exchange = Exchange()
    admin: Admin = Admin()
    health: Health = Health()
    keys: Keys = Keys()
    directory: Directory = Directory()
    agreements: Agreements = Agreements()
    store: Store = Store()
    evidence: Evidence = Evidence()
    limits: Limits = Limits()
    extraction: Extraction = Extraction()
    matching: Matching = Matching()
    telemetry: Telemetry = Telemetry()

    def digest(self) -> str:
        """Return what the ledger states of all settings in force: SHA-256 of their JSON, hexadecimal. None is secret."""
        tree = self.model_dump(mode="json", exclude={"home"})
        return sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()

    def at(self, path: Path | str) -> Path:
        """Return `path` as seen from the home directory."""
        return self.home / path


def load(home: Path, **overrides: Mapping[str, object]) -> Settings:
    """Return the settings of the party in `home`; `overrides` are flags, by section.

    Raises `UserError` that names the key and what to do: no file, not TOML, a key that does not exist, a
    value out of its range.
    """
    home = home.absolute()
    tree = _read(home / SETTINGS)
    _refuse_unknown_variables()

    class Layered(Settings):
        @classmethod
        def settings_customise_sources(
            cls,
            settings_cls: type[BaseSettings],
            init_settings: PydanticBaseSettingsSource,
            env_settings: PydanticBaseSettingsSource,
            dotenv_settings: PydanticBaseSettingsSource,
            file_secret_settings: PydanticBaseSettingsSource,
        ) -> tuple[PydanticBaseSettingsSource, ...]:
            """Flags over environment over file; no dotenv and no secrets folder."""
            del dotenv_settings, file_secret_settings
            return init_settings, env_settings, InitSettingsSource(settings_cls, tree)

    flags: dict[str, Any] = {"home": home, **overrides}
    try:
        return _anchored(Layered(**flags))
    except ValidationError as error:
        raise UserError("\n".join(_complaints(error, overrides))) from None
    except SettingsError:
        # Raised for a variable of a list, or of a whole section, that is not JSON; its text is the validator's.
        raise UserError("\n".join(_no_json())) from None


def _anchored(settings: Settings) -> Settings:
    """Return `settings` with every path seen from the home directory."""
    keys, named = settings.keys, settings.keys.passphrase_file
    keyset = settings.at(keys.keyset)
    evidence = settings.evidence
    sections = {
        "keys": keys.model_copy(
            update={
                # After a change of custody that was interrupted its journal knows better than we do.
                "custody": custody_rewrap.in_force(keyset, keys.custody, settings.at),
                "keyset": keyset,
                "passphrase_file": None if named is None else settings.at(named),
            }
        ),
        "directory": settings.directory.model_copy(
            update={"folder": settings.at(settings.directory.folder)}
        ),
        "agreements": Agreements(folder=settings.at(settings.agreements.folder)),
        "store": Store(path=settings.at(settings.store.path)),
        "extraction": settings.extraction.model_copy(
            update={
                "face_card": None
                if settings.extraction.face_card is None
                else settings.at(settings.extraction.face_card)
            }
        ),
        "evidence": evidence.model_copy(
            update={
                "tiles": settings.at(evidence.tiles),
                "policy": None if evidence.policy is None else settings.at(evidence.policy),
                "authority_roots": None
                if evidence.authority_roots is None
                else settings.at(evidence.authority_roots),
            }
        ),
    }
    return settings.model_copy(update=sections)


def write_default(
    home: Path,
    party: str,
    listen: str,
    host: str,
    *,
    legal_name: str = "",
    more_hosts: Sequence[str] = (),
) -> str:
    """Write the settings of a new party into `home` and return their text.

    host         the name or address by which partners reach `listen`
    more_hosts   others by which they do

    Raises `UserError` where the settings are already there, or would not be accepted.
    """
    _, _, port = listen.rpartition(":")
    # Health asks for no certificate: on a network only where somebody says so in the file.
    loopback = "[::1]" if listen.startswith("[") else "127.0.0.1"
    # Port 0 takes any free port, and then health and metrics do too; else they are the next two.
    first = int(port) if port.isdigit() else 0
    text = _DEFAULT.format(
        party=_quoted(party),
        legal_name=_quoted(legal_name or party),
        listen=_quoted(listen),
        hosts=_quoted(list(dict.fromkeys([host, *more_hosts, "127.0.0.1", "localhost"]))),
        health=_quoted(f"{loopback}:{first + 1 if first else 0}"),
        metrics_port=first + 2 if first else 0,
    )
    path = home / SETTINGS
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with atomic_file.create_new(path) as file:
            file.write(text.encode())
    except FileExistsError:
        raise UserError(
            f"{path} is there already; take another folder, or edit that file"
        ) from None
    try:
        load(home)
    except UserError:
        path.unlink()
        raise
    return text


_DEFAULT = """\
# Settings of this party. Whatever is not here has the default that `passerelle check` prints.
# A key that does not exist refuses to start. No secret belongs into this file.

[gateway]
party = {party}
legal_name = {legal_name}

[exchange]
listen = {listen}
hosts = {hosts}   # names and addresses in our TLS certificate

[health]
listen = {health}
metrics_port = {metrics_port}

[keys]
custody = "file:keys/kek.json"
"""


def _quoted(value: object) -> str:
    """Return a string or a list of strings as TOML, whose basic strings are JSON's without surrogates."""
    return json.dumps(value, ensure_ascii=False)


def _read(path: Path) -> dict[str, Any]:
    try:
        tree = bounded_toml.read(user_files.read(path, MAX_FILE), MAX_FILE)
    except user_files.FileMissing:
        raise UserError(f"there is no {path}; make the party with `passerelle init`") from None
    except user_files.FileRefused as fault:
        raise UserError(f"{path} cannot be read: {fault}") from None
    except TomlRefused as fault:
        raise UserError(f"{path}: {fault}; correct it there") from None
    if "home" in tree:
        raise UserError(f"{SETTINGS}: home is not a setting; it is the folder of the file")
    try:
        return with_new_names(tree)
    except OldName as fault:
        raise UserError(f"{path}: {fault}") from None


def _refuse_unknown_variables() -> None:
    """Refuse a variable that looks like a setting of a section that does not exist.

    Those of a known section are refused with the rest; one without two underscores is no setting.
    """
    try:
        refuse_old_variables(os.environ)
    except OldName as fault:
        raise UserError(str(fault)) from None
    for name in sorted(os.environ):
        section, mark, _ = name.removeprefix(PREFIX).partition("__")
        if name.startswith(PREFIX) and mark and section.lower() not in Settings.model_fields:
            raise UserError(f"environment: {name} names no section; unset it")


def _complaints(
    error: ValidationError, flags: Mapping[str, Mapping[str, object]] = MappingProxyType({})
) -> list[str]:
    """Return one line for each fault: which key, where it was set, and what is wrong; never the value."""
    lines = []
    for fault in error.errors(include_input=False, include_url=False):
        if fault["type"] == "default_factory_not_called":
            continue  # it follows from what is wrong with the setting that the default is made of
        key = ".".join(str(part) for part in fault["loc"])
        setting = ".".join(str(part) for part in fault["loc"][:2])
        if setting in EITHER:  # one fault for each kind of value that it might have been
            said = f"{setting}: {EITHER[setting]}"
        elif fault["type"] == "extra_forbidden":
            said = f"{key} is not a setting; there are: {', '.join(_known(fault['loc']))}"
        else:
            said = f"{key}: {_wanted(key, fault['type'], fault.get('ctx', {}))}"
        variable = "" if _flagged(fault["loc"], flags) else _variable(fault["loc"])
        lines.append(f"{said}; {variable} in the environment sets it" if variable else said)
    return [*dict.fromkeys(lines)]


def _flagged(location: tuple[int | str, ...], flags: Mapping[str, Mapping[str, object]]) -> bool:
    """Say whether a flag stated the setting: a flag is stronger than a variable."""
    return len(location) > 1 and str(location[1]) in flags.get(str(location[0]), {})


def _variable(location: tuple[int | str, ...]) -> str:
    """Return the variable of the environment that states a setting, or its whole section; empty where none does."""
    names = ["__".join(str(part) for part in location[:depth]) for depth in (2, 1)]
    wanted = [f"{PREFIX}{name}".upper() for name in names]
    return next((name for one in wanted for name in sorted(os.environ) if name.upper() == one), "")


def _no_json() -> list[str]:
    """Return one line for each variable that has to be JSON and is not: a list, or a whole section; never the value."""
    lines = []
    for name in sorted(os.environ):
        section, _, key = name.upper().removeprefix(PREFIX).lower().partition("__")
        kind = Settings.model_fields.get(section)
        fields = getattr(kind and kind.annotation, "model_fields", None)
        if not name.upper().startswith(PREFIX) or fields is None or _is_json(os.environ[name]):
            continue
        if not key:
            lines.append(
                f"{name} in the environment: a whole section is written as JSON;"
                f" better set each setting alone, e.g. {name}__{min(fields).upper()}=…"
            )
        elif key in fields and get_origin(fields[key].annotation) is tuple:
            lines.append(
                f"{section}.{key}: write a list as JSON, e.g. {name}='{_list_of(f'{section}.{key}')}';"
                f" {name} in the environment sets it"
            )
    return lines or ["a variable of the environment is not JSON; unset it, or say it in the file"]


def _is_json(text: str) -> bool:
    try:
        strict_json.read(text.encode(), MAX_FILE)
    except ValueError:
        return False
    return True


def _list_of(key: str) -> str:
    """Return what a setting that is a list looks like, in TOML and in JSON alike."""
    return json.dumps([FORMS[key].rpartition("e.g. ")[2]])


# What a setting that has a form looks like, with an example; of a list, each of its members.
FORMS: Final[Mapping[str, str]] = {
    "gateway.party": "2 to 32 of A-Z, 0-9 and hyphen, e.g. CAN",
    "gateway.origin": "the name of the ledger: letters, digits, dots, slashes and hyphens, e.g. gateway.example.ca/log",
    "exchange.listen": "HOST:PORT, e.g. 0.0.0.0:7443, or [::1]:7443",
    "exchange.hosts": "a name or an address without port, e.g. gateway.example.ca",
    "exchange.proxy": "HOST:PORT, e.g. proxy.example.ca:3128",
    "admin.listen": "HOST:PORT, e.g. 127.0.0.1:0",
    "health.listen": "HOST:PORT, e.g. 127.0.0.1:7444",
    "extraction.finger": "the name of an installed extractor, e.g. leader",
    "extraction.face": "the name of an installed extractor, e.g. onnx",
    "extraction.iris": "the name of an installed extractor, e.g. codes",
    "keys.custody": "file:PATH, e.g. file:keys/kek.json, or a token's URI, pkcs11:…",
    "directory.allowed_endpoints": "HOST:PORT, e.g. 10.0.0.7:7443",
    "evidence.authority": "an http or https address, e.g. https://tsa.example.ca/tsr",
}
# What a setting may be that has values of two kinds.
EITHER: Final[Mapping[str, str]] = {"matching.workers": '"auto", or a whole number from 0 to 64'}
_TYPES: Final[Mapping[str, str]] = {
    "missing": "is missing",
    "int_type": "a whole number",
    "int_parsing": "a whole number",
    "int_from_float": "a whole number",
    "int_parsing_size": "a smaller whole number",
    "float_type": "a number",
    "float_parsing": "a number",
    "finite_number": "a number",
    "bool_type": "true or false",
    "bool_parsing": "true or false",
    "string_type": "a text, in quotes",
    "path_type": "the path of a file, in quotes",
    "model_type": "a section, with a line for each of its settings",
    "model_attributes_type": "a section, with a line for each of its settings",
    "dict_type": "a section, with a line for each of its settings",
}
_BOUNDS: Final[Mapping[str, str]] = {
    "greater_than": "more than {gt}",
    "greater_than_equal": "at least {ge}",
    "less_than": "less than {lt}",
    "less_than_equal": "at most {le}",
    "string_too_long": "at most {max_length} characters",
    "string_too_short": "at least {min_length} characters",
    "too_short": "at least {min_length} of them",
    "too_long": "at most {max_length} of them",
}


def _wanted(key: str, kind: str, bounds: Mapping[str, object]) -> str:
    """Return what a setting has to be, in our words: a validator's name patterns and types."""
    named = key.rstrip("0123456789").rstrip(".")
    if kind == "string_pattern_mismatch" and named in FORMS:
        return f"write {FORMS[named]}"
    if kind in {"tuple_type", "list_type"}:
        return f"a list, e.g. {_list_of(named)}"
    if kind == "literal_error":
        return f"one of {str(bounds['expected']).replace(' or ', ', ').replace(chr(39), '')}"
    if kind in _BOUNDS:
        return _BOUNDS[kind].format(**bounds)
    if kind == "value_error":  # raised by a rule of our own, in our words
        return str(bounds.get("error"))
    return _TYPES.get(kind, "another kind of value is wanted; docs/settings.md says which")


def _known(location: tuple[int | str, ...]) -> list[str]:
    """Return the keys beside one that does not exist: of its section, or the sections themselves."""
    section = Settings.model_fields[str(location[0])].annotation if len(location) > 1 else Settings
    fields = getattr(section, "model_fields", {})
    return sorted(set(fields) - {"home"})
