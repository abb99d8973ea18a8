"""Settings: what is not known refuses, and the complaint names the key."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, TypeAdapter, ValidationError

from gateway import config, home_layout
from gateway.config import load, write_default
from gateway.errors import UserError
from gateway.exercises import settings_reference
from tests.conftest import WORKERS


@pytest.fixture
def home(tmp_path: Path) -> Path:
    write_default(
        tmp_path, "CAN", "127.0.0.1:7443", "gateway.example.ca", legal_name="Department of Examples"
    )
    return tmp_path


def add(home: Path, text: str) -> None:
    path = home / home_layout.SETTINGS
    path.write_text(path.read_text() + text)


def refused(home: Path, **overrides: dict[str, object]) -> str:
    with pytest.raises(UserError) as caught:
        load(home, **overrides)
    return str(caught.value)


def test_a_new_party_has_settings_that_load(home: Path) -> None:
    settings = load(home)

    assert settings.gateway.party == "CAN"
    assert settings.gateway.legal_name == "Department of Examples"
    assert settings.gateway.origin == "passerelle/CAN"
    assert settings.exchange.listen == "127.0.0.1:7443"
    assert settings.exchange.hosts == ("gateway.example.ca", "127.0.0.1", "localhost")
    assert settings.health.listen == "127.0.0.1:7444"
    assert settings.health.metrics_port == 7445
    assert (settings.exchange.quantum_floor_ms, settings.exchange.quantum_step_ms) == (0, 25)


@pytest.mark.parametrize(
    "name",
    [
        "worker_threads",
        "calls_per_partner",
        "rate_per_second",
        "rate_burst",
        "copies_per_second",
        "copies_burst",
        "unidentified_per_second",
        "unidentified_burst",
    ],
)
def test_no_share_can_be_set_to_nothing_or_to_no_end(home: Path, name: str) -> None:
    for value in (0, -1, 1_000_000):
        assert f"exchange.{name}" in refused(home, exchange={name: value})


def test_paths_are_those_of_the_folder(home: Path) -> None:
    settings = load(home)

    assert settings.keys.custody == f"file:{home}/keys/kek.json"
    assert settings.keys.keyset == home / "keys/keyset.json"
    assert settings.keys.passphrase_file is None
    assert settings.directory.folder == home / "parties"
    assert settings.agreements.folder == home / "agreements"
    assert settings.store.path == home / "store/passerelle.db"
    assert settings.at("lock") == home / "lock"


def test_absolute_paths_and_other_custodies_stay_as_they_are(home: Path) -> None:
    settings = load(
        home,
        keys={"custody": "pkcs11:token=gateway", "passphrase_file": "/run/secrets/pass"},
        store={"path": "/var/lib/passerelle.db"},
    )

    assert settings.keys.custody == "pkcs11:token=gateway"
    assert settings.keys.passphrase_file == Path("/run/secrets/pass")
    assert settings.store.path == Path("/var/lib/passerelle.db")


@pytest.mark.parametrize(
    ("listen", "health"),
    [
        ("0.0.0.0:7443", "127.0.0.1:7444"),
        ("[::]:7443", "[::1]:7444"),
        ("10.0.0.7:0", "127.0.0.1:0"),
    ],
)
def test_a_listener_on_a_network_leaves_health_on_loopback(
    tmp_path: Path, listen: str, health: str
) -> None:
    """Health asks for no certificate: somebody has to say in the file that it is on a network."""
    write_default(tmp_path, "AUS", listen, "gateway.example")
    assert load(tmp_path).health.listen == health

    path = tmp_path / home_layout.SETTINGS
    path.write_text(path.read_text().replace(f'listen = "{health}"', 'listen = "0.0.0.0:7444"'))
    assert load(tmp_path).health.listen == "0.0.0.0:7444"


@pytest.mark.parametrize(
    "text",
    [
        "connections = 7",
        "connections = 100000",
        "unidentified = 0",
        "unidentified_per_address = 1",
        "identified_s = 1000",
        "connections_per_partner = 1",
        "watchdog_s = 600",
    ],
)
def test_a_limit_on_unidentified_callers_cannot_be_set_out_of_reach(home: Path, text: str) -> None:
    add(home, f"\n[limits]\n{text}\n")
    assert refused(home).startswith(f"limits.{text.split(' = ', maxsplit=1)[0]}")


def test_any_free_port_is_any_free_port_for_health_and_metrics_too(tmp_path: Path) -> None:
    write_default(tmp_path, "AUS", "127.0.0.1:0", "localhost")

    settings = load(tmp_path)

    assert settings.health.listen == "127.0.0.1:0"
    assert settings.health.metrics_port == 0
    assert settings.gateway.legal_name == "AUS"


def test_a_party_may_have_several_names_on_the_network(tmp_path: Path) -> None:
    write_default(tmp_path, "CAN", "0.0.0.0:1", "a.example", more_hosts=["b.example", "a.example"])

    assert load(tmp_path).exchange.hosts == ("a.example", "b.example", "127.0.0.1", "localhost")


def test_settings_are_not_written_twice(home: Path) -> None:
    before = (home / home_layout.SETTINGS).read_text()

    with pytest.raises(UserError, match="already"):
        write_default(home, "AUS", "127.0.0.1:1", "x")

    assert (home / home_layout.SETTINGS).read_text() == before


@pytest.mark.parametrize(
    ("party", "listen", "host", "name"),
    [
        ("can", "127.0.0.1:7443", "localhost", "x"),
        ("CAN", "127.0.0.1", "localhost", "x"),
        ("CAN", "127.0.0.1:7443", "no such host", "x"),
        ("CAN", "127.0.0.1:7443", "localhost", "x" * 201),
    ],
)
def test_settings_that_would_not_load_are_not_left_behind(
    tmp_path: Path, party: str, listen: str, host: str, name: str
) -> None:
    with pytest.raises(UserError):
        write_default(tmp_path, party, listen, host, legal_name=name)

    assert not (tmp_path / home_layout.SETTINGS).exists()


def test_a_name_may_have_quotes_and_accents(tmp_path: Path) -> None:
    name = 'Ministère "de l’Intérieur" \\ #1'

    write_default(tmp_path, "FR-MI", "127.0.0.1:1", "localhost", legal_name=name)

    assert load(tmp_path).gateway.legal_name == name


def test_flags_come_before_the_environment_and_that_before_the_file(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(home, "\n[limits]\nclock_skew_s = 10\nmax_deadline_s = 10\nmin_deadline_ms = 10\n")
    monkeypatch.setenv("PASSERELLE_LIMITS__CLOCK_SKEW_S", "20")
    monkeypatch.setenv("PASSERELLE_LIMITS__MAX_DEADLINE_S", "20")

    limits = load(home, limits={"max_deadline_s": 30}).limits

    assert (limits.max_deadline_s, limits.clock_skew_s, limits.min_deadline_ms) == (30, 20, 10)


def test_a_list_in_the_environment_is_json(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERELLE_EXCHANGE__HOSTS", '["a.example"]')
    assert load(home).exchange.hosts == ("a.example",)

    monkeypatch.setenv("PASSERELLE_EXCHANGE__HOSTS", "a.example")
    assert refused(home) == (
        "exchange.hosts: write a list as JSON, e.g. PASSERELLE_EXCHANGE__HOSTS='[\"gateway.example.ca\"]';"
        " PASSERELLE_EXCHANGE__HOSTS in the environment sets it"
    )
    monkeypatch.setenv("PASSERELLE_EXCHANGE__HOSTS", '{"a": 1}')
    assert refused(home) == (
        'exchange.hosts: a list, e.g. ["gateway.example.ca"]; PASSERELLE_EXCHANGE__HOSTS in the environment sets it'
    )


def test_a_whole_section_in_the_environment_is_json_and_told_so(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERELLE_EXCHANGE", "127.0.0.1:1")

    said = refused(home)

    assert said.startswith("PASSERELLE_EXCHANGE in the environment: a whole section is written as")
    assert "127.0.0.1" not in said


def test_a_wrong_value_from_the_environment_names_its_variable_and_one_from_a_flag_does_not(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERELLE_TELEMETRY__LEVEL", "loud")
    said = "telemetry.level: one of info, warning, error"

    assert refused(home) == f"{said}; PASSERELLE_TELEMETRY__LEVEL in the environment sets it"
    assert refused(home, telemetry={"level": "shrill"}) == said


# Words of the validator's that would tell an operator nothing: they must never come through.
RAW = re.compile(r"_error|_type|_parsing|Input should|EnvSettingsSource|another kind|\^|\$")


def test_no_wrong_value_of_any_setting_is_told_in_a_validators_words(home: Path) -> None:
    wrong = (None, True, -1, 1e300, 10**9, "", "\x00", "x y", [], [3], {"a": 1}, "x" * 2000)
    told = []
    for section, field in config.Settings.model_fields.items():
        for name in getattr(field.annotation, "model_fields", {}):
            for value in wrong:
                try:
                    load(home, **{section: {name: value}})
                except UserError as fault:
                    told.append(str(fault))

    assert len(told) > 300
    assert [said for said in told if RAW.search(said)] == []


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("[exchange.lisen]\n", "exchange.lisen"),
        ("[exchanges]\nlisten = 1\n", "exchanges"),
        ("[limits]\nmax_mesage_bytes = 1\n", "limits.max_mesage_bytes"),
        ("[store]\npath = 3\n", "store.path"),
        ("[limits]\nclock_skew_s = 121\n", "limits.clock_skew_s"),
        ("[limits]\nmax_deadline_s = 61\n", "limits.max_deadline_s"),
        ("[limits]\nmessage_life_s = 601\n", "limits.message_life_s"),
        ("[limits]\nmax_message_bytes = 2162689\n", "limits.max_message_bytes"),
    ],
)
def test_a_key_that_is_wrong_is_named(home: Path, text: str, key: str) -> None:
    add(home, text)

    assert key in refused(home)


def test_a_misspelt_key_is_told_what_there_is(home: Path) -> None:
    assert "exchange.lisen is not a setting; there are: calls_per_partner" in refused(
        home, exchange={"lisen": "127.0.0.1:1"}
    )
    assert "there are: admin, agreements, directory, evidence, exchange" in refused(
        home, exchanges={"a": 1}
    )


def test_a_key_deeper_than_there_are_keys_is_refused(home: Path) -> None:
    assert "gateway.party" in refused(home, gateway={"party": {"name": "x"}})


def test_a_value_never_stands_in_a_complaint(home: Path) -> None:
    told = refused(home, keys={"custody": "hunter2"}, exchange={"worker_threads": "hunter2"})

    assert "keys.custody" in told
    assert "exchange.worker_threads" in told
    assert "hunter2" not in told


def test_a_variable_of_no_section_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERELLE_EXCHANGES__LISTEN", "127.0.0.1:1")

    assert "PASSERELLE_EXCHANGES__LISTEN" in refused(home)


def test_a_variable_of_no_key_is_refused(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PASSERELLE_EXCHANGE__LISEN", "127.0.0.1:1")

    assert "exchange.lisen is not a setting" in refused(home)


def test_a_variable_without_two_underscores_is_none_of_ours(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PASSERELLE_SHARED", "/somewhere")
    monkeypatch.setenv("PASSERELLE_HOME", "/somewhere")

    assert load(home).home == home


def test_the_folder_of_the_file_is_not_a_setting(home: Path) -> None:
    path = home / home_layout.SETTINGS
    path.write_text('home = "/elsewhere"\n' + path.read_text())

    assert "home is not a setting" in refused(home)


@pytest.mark.parametrize(
    ("octets", "told"),
    [
        (b"[gateway\n", "line 1"),
        (b"[gateway", "line 1: not TOML"),
        (b"\xff", "UTF-8"),
        (b"a = " + b"[" * 50_000, "line 1: more than 16 levels"),
        (b"#" * 70_000, "larger than 65536 bytes"),
        (b"", "gateway"),
    ],
)
def test_a_file_that_is_no_settings_is_refused(home: Path, octets: bytes, told: str) -> None:
    (home / home_layout.SETTINGS).write_bytes(octets)

    assert told in refused(home)


def test_no_file_says_how_to_make_one(tmp_path: Path) -> None:
    assert "passerelle init" in refused(tmp_path)


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / home_layout.SETTINGS).mkdir()

    assert "cannot be read" in refused(tmp_path)


def test_settings_do_not_change_after_the_start(home: Path) -> None:
    settings = load(home)

    with pytest.raises(ValidationError):
        settings.gateway = settings.gateway
    with pytest.raises(ValidationError):
        settings.limits.clock_skew_s = 5


def _patterned(model: Any, before: str = "") -> Iterator[str]:
    """Yield the settings whose values, or whose members, have a form."""
    for name, field in model.model_fields.items():
        key = f"{before}{name}"
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from _patterned(field.annotation, f"{key}.")
        elif "pattern" in str(
            TypeAdapter(Annotated[field.annotation, None, *field.metadata]).json_schema()
        ):
            yield key


@pytest.mark.parametrize("value", ['"two"', "-1", "65", "1.5", "[2]"])
def test_a_setting_of_two_kinds_says_both_in_one_line(
    home: Path, monkeypatch: pytest.MonkeyPatch, value: str
) -> None:
    monkeypatch.delenv(WORKERS)
    add(home, f"\n[matching]\nworkers = {value}\n")

    said = refused(home)

    assert said.count("matching.workers") == 1
    assert 'matching.workers: "auto", or a whole number from 0 to 64' in said


def test_every_setting_that_has_a_form_says_it_with_an_example() -> None:
    assert set(_patterned(config.Settings)) == set(config.FORMS)
    assert all("e.g." in form for form in config.FORMS.values())


def test_the_reference_of_settings_shows_no_pattern() -> None:
    text = settings_reference.render()

    assert "`^" not in text
    assert all(form in text for key, form in config.FORMS.items() if key.startswith("gateway."))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('[exchange]\nlisten = "7443"', "exchange.listen: write HOST:PORT, e.g. 0.0.0.0:7443"),
        ('[exchange]\nhosts = ["a b"]', "exchange.hosts.0: write a name or an address"),
        ("[limits]\nwatchdog_s = 1", "limits.watchdog_s: at least 5"),
        ('[limits]\nwatchdog_s = "soon"', "limits.watchdog_s: a number"),
        ('[evidence]\nauthority = "ftp:x"', "e.g. https://tsa.example.ca/tsr"),
        ('[exchange]\nhosts = "a"', 'exchange.hosts: a list, e.g. ["gateway.example.ca"]'),
        ('[telemetry]\nlevel = "loud"', "telemetry.level: one of info, warning, error"),
    ],
)
def test_a_wrong_setting_is_told_what_it_should_be_and_never_a_pattern(
    tmp_path: Path, line: str, said: str
) -> None:
    (tmp_path / home_layout.SETTINGS).write_text(f'[gateway]\nparty = "CAN"\n{line}\n')

    with pytest.raises(UserError) as told:
        config.load(tmp_path)

    assert said in str(told.value)
    assert "pattern" not in str(told.value)
    assert "[A-Z" not in str(told.value)


def test_a_section_under_its_old_name_is_read(tmp_path: Path) -> None:
    """A home directory may be years old; both names at once are a mistake."""
    file = tmp_path / home_layout.SETTINGS
    file.write_text('[house]\nparty = "CAN"\n')
    assert config.load(tmp_path).gateway.party == "CAN"

    file.write_text('[house]\nparty = "CAN"\n[gateway]\nparty = "AUS"\n')
    with pytest.raises(UserError, match=r"\[house\] is the old name of \[gateway\]"):
        config.load(tmp_path)


def test_a_setting_under_its_old_name_is_read(tmp_path: Path) -> None:
    file = tmp_path / home_layout.SETTINGS
    file.write_text(
        '[gateway]\nparty = "CAN"\n[limits]\nstrangers = 64\nstrangers_per_address = 8\n'
    )
    limits = config.load(tmp_path).limits
    assert (limits.unidentified, limits.unidentified_per_address) == (64, 8)

    file.write_text('[gateway]\nparty = "CAN"\n[limits]\nstrangers = 64\nunidentified = 64\n')
    with pytest.raises(
        UserError, match=r"limits\.strangers is the old name of limits\.unidentified"
    ):
        config.load(tmp_path)

    file.write_text('limits = 64\n[gateway]\nparty = "CAN"\n')
    with pytest.raises(UserError, match="limits"):
        config.load(tmp_path)


@pytest.mark.parametrize(
    ("old", "value", "new"),
    [
        ("PASSERELLE_HOUSE__PARTY", "AUS", "PASSERELLE_GATEWAY__PARTY"),
        ("passerelle_house__party", "AUS", "PASSERELLE_GATEWAY__PARTY"),
        ("PASSERELLE_HOUSE", '{"party": "AUS"}', "PASSERELLE_GATEWAY;"),
        ("PASSERELLE_LIMITS__STRANGERS", "64", "PASSERELLE_LIMITS__UNIDENTIFIED;"),
        ("PASSERELLE_LIMITS", '{"strangers": 64}', "unidentified;"),
        ("passerelle_limits", '{"strangers_per_address": 8}', "unidentified_per_address;"),
    ],
)
def test_a_variable_under_its_old_name_is_told_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, old: str, value: str, new: str
) -> None:
    (tmp_path / home_layout.SETTINGS).write_text('[gateway]\nparty = "CAN"\n')
    monkeypatch.setenv(old, value)

    with pytest.raises(UserError, match=f"{old}.* is now {new}"):
        config.load(tmp_path)
