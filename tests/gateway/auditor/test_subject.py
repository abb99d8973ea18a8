"""Question 8: all about one person, and nothing about another."""

from __future__ import annotations

import json
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from gateway.auditor.index import Index
from gateway.auditor.questions import subject_text
from gateway.auditor.questions.subject import Decided, Pack, number_of, subject, write_pack
from gateway.auditor.result_table import Period
from gateway.auditor.source import ArchiveSource
from gateway.cli.main import app
from gateway.errors import UserError
from gateway.ledger.archive import Archive
from gateway.ledger.entry import EntryClass, EntryType, Leaf
from gateway.store.people.subjects import reference_of
from tests.gateway import ledger_reading
from tests.gateway.auditor.test_questions import entry
from tests.gateway.auditor.year import indexed, query

HIT = {"true_outcome": "MATCH", "disclosed_outcome": "MATCH"}
SAID = [
    *query(1, 1, subject="77", scores="31.5", **HIT),
    *query(2, 2, subject="78", case="C-2", **HIT),
    *query(3, 3, case="C-7", outbound=True, outcome_received="MATCH"),
    *query(4, 4, subject="77", true_outcome="MATCH", disclosed_outcome="NO_MATCH"),
    *query(5, 5, case="C-5"),
]


def test_a_pack_holds_that_persons_exchanges_alone() -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77", ("C-7",))

    numbers = [row["transaction"] for row in pack.table.documents()]
    assert numbers == ["20260101-00000001", "20260101-00000003", "20260101-00000004"]


def test_a_match_that_was_not_told_waits_for_an_officer() -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77")

    assert len(pack.table.findings) == 1
    assert "not told of" in pack.table.findings[0]
    texts_by_language, document = read(pack)
    for each in (*texts_by_language.values(), json.dumps(document)):
        assert "20260101-00000004" not in each
    assert "DRAFT" in texts_by_language["en"]
    assert "ÉBAUCHE" in texts_by_language["fr"]
    assert (document["draft"], document["undecided"]) == (True, 1)


def read(pack: Pack) -> tuple[dict[str, str], Any]:
    """Return the texts_by_language of a pack by language, and its document."""
    texts = pack.texts(("en", "fr"))
    texts_by_language = {each: texts[f"{each}.txt"].decode() for each in ("en", "fr")}
    return texts_by_language, json.loads(texts["exchanges.json"])


def test_a_match_that_was_not_told_is_told_truly_once_it_is_released() -> None:
    """What is true and what the partner was told are two things, in texts and JSON alike."""
    why = {"why": "au@1:answer.reveal.CITIZEN"}
    told = {"true_outcome": "MATCH", "disclosed_outcome": "NO_MATCH", **why}
    said = [*SAID[:6], *query(4, 4, subject="77", **told)]
    with indexed(said) as index:
        released = Decided(frozenset({6}))
        pack = subject(index, Period(), "77", (), {why["why"]: "IRPR 315.36"}.get, released)  # type: ignore[arg-type]

    texts_by_language, document = read(pack)
    assert pack.table.findings == ()
    assert (
        "result: you were found\n    told to AUS: nobody was found (IRPR 315.36)"
        in texts_by_language["en"]
    )
    assert (
        "réponse donnée à AUS\u00a0: aucune correspondance n’a été trouvée (RIPR 315.36)"
        in texts_by_language["fr"]
    )
    last = document["exchanges"][-1]
    assert (last["found"], last["told"], last["hidden_by"]) == ("MATCH", "NO_MATCH", "IRPR 315.36")
    assert (document["draft"], document["withheld"]) == (False, [])


def test_what_an_officer_withholds_is_said_to_be_withheld_under_its_section() -> None:
    with indexed(SAID) as index:
        decided = Decided(withheld={6: "21"})
        pack = subject(index, Period(), "77", decided=decided)
        with pytest.raises(
            UserError, match="leaf 0: nothing of this person is to be decided there"
        ):
            subject(index, Period(), "77", decided=Decided(frozenset({0})))

    texts_by_language, document = read(pack)
    assert (
        "1 more exchanges of this time are withheld from you under the Privacy Act, s. 21."
        in texts_by_language["en"]
    )
    assert "art. 21" in texts_by_language["fr"]
    assert document["withheld"] == [{"count": 1, "section": "21"}]
    assert (document["draft"], len(document["exchanges"])) == (False, 1)
    assert "20260101-00000004" not in json.dumps(document)


def about(number: int, hours: float, of: int, answer: dict[str, str], wanted: str) -> list[Leaf]:
    """Return a partner's request for fields of an earlier match, and its answer."""
    asked, told = query(number, hours)
    reference = {"transaction_reference": f"20260101-{of:08}"}
    return [
        Leaf(
            replace(asked.frame, subject_reference="REQUEST_HIT_DETAILS"),
            {**(asked.detail or {}), **reference, "fields": wanted},
        ),
        Leaf(replace(told.frame, subject_reference="REQUEST_HIT_DETAILS"), {**reference, **answer}),
    ]


PARTLY = {
    "disclosed_outcome": "DISCLOSED",
    "subject": "77",
    "fields": "LAST_NAME,FIRST_NAME,IMMIGRATION_STATUS",
    "field_authorities": "IRPR 315.41(2)(a)=LAST_NAME,FIRST_NAME;IRPR 315.41(2)(c)=IMMIGRATION_STATUS",
    "fields_withheld": "PHOTOGRAPH",
    "withheld": "PART",
    "ground": "NATIONAL_SECURITY",
}
WANTED = "LAST_NAME,FIRST_NAME,PHOTOGRAPH,IMMIGRATION_STATUS"


def test_each_datum_that_was_disclosed_has_its_legal_basis_and_what_was_not_is_never_said_to_be() -> (
    None
):
    """The request names what was asked for; that is no disclosure, least of all where nothing was disclosed."""
    said = [
        *SAID[:2],
        *about(11, 5, 1, PARTLY, WANTED),
        *about(
            12,
            6,
            1,
            {"disclosed_outcome": "UNAVAILABLE", "why": "the reference leads to nobody"},
            WANTED,
        ),
    ]
    with indexed(said) as index:
        pack = subject(index, Period(), "77", decided=Decided(frozenset({2})))

    texts_by_language, document = read(pack)
    _, partly, nothing = document["exchanges"]
    assert partly["fields"] == [
        {"field": "LAST_NAME", "paragraph": "IRPR 315.41(2)(a)"},
        {"field": "FIRST_NAME", "paragraph": "IRPR 315.41(2)(a)"},
        {"field": "IMMIGRATION_STATUS", "paragraph": "IRPR 315.41(2)(c)"},
    ]
    assert partly["not_disclosed"] == ["PHOTOGRAPH"]
    assert partly["withheld"] == {"scope": "PART", "ground": "NATIONAL_SECURITY"}
    assert (nothing["fields"], nothing["not_disclosed"]) == ([], WANTED.split(","))
    assert (
        "data disclosed: last name, first name (IRPR 315.41(2)(a)); immigration status (IRPR 315.41(2)(c))"
        in texts_by_language["en"]
    )
    assert (
        "withheld from AUS: a part, ground: detrimental to national security"
        in texts_by_language["en"]
    )
    assert "asked for and not disclosed: photograph" in texts_by_language["en"]
    assert texts_by_language["en"].count("data disclosed:") == 1
    assert "statut d’immigration (RIPR 315.41(2)c))" in texts_by_language["fr"]


@pytest.mark.parametrize(
    ("decided", "kept"), [(Decided(), None), (Decided(withheld={2: "22(1)(b)"}), "22(1)(b)")]
)
def test_a_ground_that_is_not_released_is_in_neither_letter_nor_document(
    decided: Decided, kept: str | None
) -> None:
    with indexed([*SAID[:2], *about(11, 5, 1, PARTLY, WANTED)]) as index:
        pack = subject(index, Period(), "77", decided=decided)

    texts_by_language, document = read(pack)
    for each in (*texts_by_language.values(), json.dumps(document)):
        assert not any(
            word in each
            for word in ("NATIONAL_SECURITY", "national security", "sécurité nationale")
        )
    last = document["exchanges"][-1]
    assert [each["field"] for each in last["fields"]] == PARTLY["fields"].split(",")
    assert last.get("withheld_from_you") == kept
    assert (kept is None) is ("s. 22(1)(b)" not in texts_by_language["en"])
    assert len(pack.table.findings) == (kept is None)


def test_our_own_questions_about_a_person_are_in_their_pack() -> None:
    """By name, by the number of a query that found them, and what followed; a question that was stopped went nowhere."""
    asked, told = query(3, 3, case="C-7", outbound=True, outcome_received="MATCH")
    named = [Leaf(asked.frame, {**(asked.detail or {}), "subject": "77"}), told]
    back, answer = query(6, 6, case="C-9", outbound=True)
    by_number = [
        Leaf(back.frame, {**(back.detail or {}), "prior_transaction": "20260101-00000001"}),
        answer,
    ]
    details = [
        Leaf(each.frame, {**(each.detail or {}), **more})
        for each, more in zip(
            query(8, 8, outbound=True, outcome_received="DISCLOSED"),
            (
                {"transaction_reference": "20260101-00000003", "fields": "LAST_NAME,PHOTOGRAPH"},
                {
                    "transaction_reference": "20260101-00000003",
                    "fields": "LAST_NAME",
                    "authorities": "IRPR 315.41(2)(a)",
                },
            ),
            strict=True,
        )
    ]
    stopped = query(9, 9, outbound=True)[0]
    frame = replace(
        stopped.frame,
        message_id=b"",
        entry_class=EntryClass.DENIED,
        agreement_id="au",
        agreement_version=1,
    )
    facts = {**(stopped.detail or {}), "reason": "PERSECUTION_EXCLUSION", "subject": "77"}
    other = query(10, 10, case="C-8", outbound=True)
    with indexed([*SAID[:2], *named, *by_number, *details, Leaf(frame, facts), *other]) as index:
        cite = {"au@1:ask.persecution": "IRPR 315.4(2)"}
        pack = subject(index, Period(), "77", (), lambda rule: cite.get(rule, ""))

    texts_by_language, document = read(pack)
    told_of = [
        (each["transaction"][-2:], each["operation"], each["told"], each["paragraph"])
        for each in document["exchanges"][1:]
    ]
    assert told_of == [
        ("03", "SUBMIT_QUERY", "MATCH", "IRPR 315.41(1)(a)"),
        ("06", "QUERY_BY_NUMBER", "NO_MATCH", "IRPR 315.41(1)(a)"),
        ("08", "REQUEST_HIT_DETAILS", "DISCLOSED", "IRPR 315.41(1)(a)"),
        ("09", "SUBMIT_QUERY", "STOPPED", "IRPR 315.4(2)"),
    ]
    details_told = document["exchanges"][3]
    assert details_told["fields"] == [{"field": "LAST_NAME", "paragraph": "IRPR 315.41(2)(a)"}]
    assert details_told["not_disclosed"] == ["PHOTOGRAPH"]
    assert pack.table.totals["ours_that_name_nobody"] == 1
    assert "our own law did not allow the question; nothing was sent" in texts_by_language["en"]


def test_a_person_whom_an_examiner_did_not_find_was_compared_and_not_found() -> None:
    pending = {"true_outcome": "REVIEW_PENDING", "disclosed_outcome": "REVIEW_PENDING"}
    nobody = {"true_outcome": "NO_MATCH", "disclosed_outcome": "NO_MATCH"}
    said = [
        *query(1, 1, subject="77", **pending),
        entry(EntryType.REVIEW, 1.01),
        entry(EntryType.VERDICT, 2, verdict="DIFFERENT", subject="77", **nobody),
    ]
    with indexed(said) as index:
        texts_by_language, document = read(subject(index, Period(), "77"))

    assert (document["exchanges"][0]["found"], document["exchanges"][0]["told"]) == (
        "COMPARED",
        "NO_MATCH",
    )
    assert "an examiner compared your fingerprints" in texts_by_language["en"]


@pytest.mark.parametrize(
    ("outbound", "way", "words"),
    [(True, "we told", "we told AUS: correction"), (False, "they told", "AUS told us: correction")],
)
def test_a_correction_says_who_corrected_what_and_what_was_done(
    outbound: bool, way: str, words: str
) -> None:
    name = "20260101-00000050"
    facts = {
        "correction_kind": "WRONG_VALUE",
        "transaction_reference": "20260101-00000001",
        "fields": "DATE_OF_BIRTH",
    }
    done = {"correction_outcome": "CORRECTED", "transaction_reference": "20260101-00000001"}
    said = [
        *SAID[:2],
        entry(EntryType.CORRECTION, 5, 50, EntryClass.OTHER, outbound=outbound, **facts),
        entry(EntryType.ACKNOWLEDGEMENT, 6, 50, EntryClass.OTHER, outbound=not outbound, **done),
    ]
    with indexed(said) as index:
        texts_by_language, document = read(subject(index, Period(), "77"))

    last = document["exchanges"][-1]
    assert (last["direction"], last["transaction"], last["told"]) == (way, name, "WRONG_VALUE")
    assert (last["corrected"], last["outcome"]) == (["DATE_OF_BIRTH"], "CORRECTED")
    assert words in texts_by_language["en"]
    assert (
        "data concerned: date of birth\n    what was done: it was corrected"
        in texts_by_language["en"]
    )


@pytest.mark.parametrize(
    "words",
    [
        ("--withhold", "17"),
        ("--withhold", "17=12"),
        ("--withhold", "x=21"),
        ("--withhold", "17=21", "--release", "17"),
    ],
)
def test_a_decision_that_is_none_is_refused_with_its_form(
    tmp_path: Path, words: tuple[str, ...]
) -> None:
    line = [
        "audit",
        "subject",
        "S-77",
        "--bundle",
        "none",
        "-o",
        str(tmp_path / "p"),
        *words,
        "--json",
    ]
    done = CliRunner().invoke(app, line, prog_name="passerelle")

    assert done.exit_code == 2
    said = json.loads(done.stdout)["error"]["message"]
    assert "17=21" in said or "decide one of them" in said


def test_a_pack_leaves_out_whom_it_is_not_about(tmp_path: Path) -> None:
    """Privacy Act s. 26: information about another individual; officers, units, cases of others, scores."""
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77")
    names = write_pack(pack, tmp_path / "pack", ("en", "fr"))

    assert names == ["en.txt", "exchanges.json", "fr.txt"]
    for name in names:
        content = (tmp_path / "pack" / name).read_text(encoding="utf-8")
        assert "20260101-00000001" in content
        for other in ("OFFICER-9", "U-3", "C-2", "20260101-00000002", "31.5", "78"):
            assert other not in content.replace("20260101-00000001", ""), (name, other)


def test_a_pack_may_be_one_file_and_is_never_written_over_another(tmp_path: Path) -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "77")
    write_pack(pack, tmp_path / "pack.zip", ("fr",))

    with zipfile.ZipFile(tmp_path / "pack.zip") as archive:
        assert sorted(archive.namelist()) == ["exchanges.json", "fr.txt"]
        assert len(json.loads(archive.read("exchanges.json"))["exchanges"]) == 1
    with pytest.raises(UserError, match="never written over"):
        write_pack(pack, tmp_path / "pack.zip", ("fr",))


def test_nobody_has_an_empty_pack_that_says_so() -> None:
    with indexed(SAID) as index:
        pack = subject(index, Period(), "99")

    assert pack.table.rows == ()
    assert "aucun échange" in pack.texts(("fr",))["fr.txt"].decode()


def test_without_a_key_there_is_no_pack() -> None:
    with indexed(SAID, opened=False) as index, pytest.raises(UserError, match="--key"):
        subject(index, Period(), "77")


def test_a_gateway_knows_whom_a_file_number_names(archive: Any, tmp_path: Path) -> None:
    with Archive.open(archive.bundle) as ledger_archive, Index.passing() as index:
        index.extend(ArchiveSource(ledger_archive), archive.ring)
        wanted = "SELECT subject FROM exchanges WHERE number = ?"
        found = int(index.rows(wanted, (archive.matched,))[0][0])
    with ledger_reading.read(archive.home) as stored, stored._database.reader() as reader:
        person = reference_of(reader, found)
    live = ["--as", archive.root / "a1", "--passphrase-file", archive.root / "gateway.pass"]
    words = ["--reason", "access request 9", *live, *archive.as_auditor, "--json"]
    packs = []
    for name in (person, "nobody"):
        line = ["audit", "subject", archive.home, name, "--out", tmp_path / f"{name}.zip", *words]
        done = CliRunner().invoke(app, [str(each) for each in line], prog_name="passerelle")
        packs.append((done.exit_code, json.loads(done.stdout)))

    (clean, told), (unknown, said) = packs
    assert (clean, [row["transaction"] for row in told["rows"]]) == (0, [archive.matched])
    assert (tmp_path / f"{person}.zip").exists()
    assert unknown == 2
    assert "file number" in said["error"]["message"]
    with ledger_reading.read(archive.home) as stored, Index.passing() as index:
        index.extend(stored, archive.ring)
        read = list(index.entries_where(f"type = {int(EntryType.AUDIT_READ)}"))[-2:]
    assert [(each.facts or {})["source"] for each in read] == [
        f"subject {person}",
        "subject nobody",
    ]
    assert all(not each.frame.subject_reference for each in read)  # for whoever has no key


def test_both_languages_have_every_word() -> None:
    english, french = (subject_text.WORDS[each] for each in ("en", "fr"))

    assert english.keys() == french.keys()
    assert all([*english.values(), *french.values()])


def test_a_number_of_the_registry_is_told_from_a_file_number() -> None:
    assert number_of("S-123") == "123"
    assert [number_of(each) for each in ("F-123", "S-0", "S-", "S-1x", "123")] == [None] * 5


@pytest.mark.parametrize(
    ("modality", "english", "french"),
    [
        (None, "query by fingerprints\n", "requête par empreintes digitales\n"),
        ("FINGER", "query by fingerprints\n", "requête par empreintes digitales\n"),
        ("FACE", "query by face\n", "requête par visage\n"),
        ("IRIS,FINGER,IRIS", "fingerprints and irises\n", "empreintes digitales et iris\n"),
        ("FACE,IRIS,FINGER", "fingerprints, face and irises\n", "digitales, visage et iris\n"),
    ],
)
@pytest.mark.parametrize("ours", [False, True])
def test_a_pack_says_by_what_a_query_was_asked(
    modality: str | None, english: str, french: str, ours: bool
) -> None:
    """Nobody whose face was compared reads that it was their fingerprints."""
    answer = {"outcome_received": "QUALITY_INSUFFICIENT"}
    if not ours:
        outcome = dict.fromkeys(("true_outcome", "disclosed_outcome"), "QUALITY_INSUFFICIENT")
        answer = {**outcome, "subject": "77"}
    asked, told = query(1, 1, case="C-7", outbound=ours, **answer)
    if modality is not None:
        asked = replace(asked, detail={**(asked.detail or {}), "modality": modality})
    with indexed([asked, told]) as index:
        pack = subject(index, Period(), "77", ("C-7",))

    texts, document = read(pack)
    (said,) = document["exchanges"]
    assert english in texts["en"]
    assert french in texts["fr"]
    fingers = modality in {None, "FINGER"}
    assert ("the fingerprints could not be used" in texts["en"]) == fingers
    assert ("les données biométriques étaient inutilisables" in texts["fr"]) != fingers
    assert set(said["modalities"]) == set((modality or "FINGER").split(","))
