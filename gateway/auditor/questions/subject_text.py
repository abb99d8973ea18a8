"""An access-request pack in words, in English and in French."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from gateway.law.correction_text import french

WORDS: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "title": "What was exchanged about you",
        "intro": "Every exchange with partner countries that our records say was about you. Names of officers,"
        " technical figures and what concerns other people are left out. Fields are named, not repeated.",
        "number": "Registry number",
        "count": "Exchanges",
        "none": "Our records show no exchange about you.",
        "erased": "{count} exchanges of this time were erased, as the law requires after a while. Whether one of them was about"
        " you is no longer known.",
        "they asked": "{partner} asked us",
        "we asked": "we asked {partner}",
        "they told": "{partner} told us",
        "we told": "we told {partner}",
        "purpose": "purpose",
        "paragraph": "legal basis",
        "told": "result",
        "found": "result",
        "shown": "told to {partner}",
        "fields": "data disclosed",
        "no basis": "legal basis not recorded",
        "not_disclosed": "asked for and not disclosed",
        "withheld": "withheld from {partner}",
        "withheld by us": "withheld by {partner}",
        "ground": "ground",
        "ALL": "all",
        "PART": "a part",
        "withheld_from_you": "a part of this entry is withheld from you under the Privacy Act, s. {section}",
        "draft": "DRAFT, not to be handed out: an officer has yet to decide about {count} exchanges.",
        "held back": "{count} more exchanges of this time are withheld from you under the Privacy Act, s. {section}.",
        "corrected": "data concerned",
        "outcome": "what was done",
        "DOMESTIC_LAW": "inconsistent with domestic law",
        "SOVEREIGNTY": "detrimental to national sovereignty",
        "NATIONAL_SECURITY": "detrimental to national security",
        "PUBLIC_POLICY": "detrimental to public policy",
        "OTHER_NATIONAL_INTEREST": "detrimental to other important national interests",
        "CORRECTED": "it was corrected",
        "DESTROYED": "it was destroyed, with what was derived from it",
        "USED_NOTE_TO_FILE": "it had been used; a note was put on file",
        "destroyed": "fingerprints of the query destroyed",
        "about": "follows transaction",
        "transaction": "transaction",
        "end": "You may ask for a correction of what is wrong (Privacy Act, s. 12(2)), and complain to the Privacy"
        " Commissioner of Canada.",
        "VISA_PERMIT_BENEFIT": "application for a visa, a permit, protected status or another benefit",
        "TRAVEL_ENTER_REMAIN": "whether a person may travel to, enter or remain in a country",
        "DATA_ACCURACY": "accuracy of data held before",
        "CITIZENSHIP": "application for citizenship",
        "REFUGEE_CLAIM_BY_CANADIAN_PR": "refugee claim by a permanent resident of Canada",
        "MATCH": "you were found",
        "NO_MATCH": "nobody was found",
        "REFUSED": "refused",
        "ABANDONED": "never answered",
        "OPEN": "not yet answered",
        "DISCLOSED": "data were disclosed",
        "UNAVAILABLE": "no data were disclosed",
        "REVIEW_PENDING": "an examiner has yet to look",
        "COMPARED": "an examiner compared your fingerprints with those of the query, and did not find you in them",
        "STOPPED": "our own law did not allow the question; nothing was sent",
        "QUALITY_INSUFFICIENT": "the fingerprints could not be used",
        "SUBMIT_QUERY": "query by fingerprints",
        "QUERY_BY_NUMBER": "query by the number of an earlier one, without fingerprints",
        "REQUEST_HIT_DETAILS": "request for data after a match",
        "CORRECTION": "correction",
        "WRONG_PERSON": "a match was of somebody else",
        "WRONG_VALUE": "a value was wrong",
        "WITHDRAWN": "what had been disclosed was taken back",
    },
    "fr": {
        "title": "Ce qui a été échangé à votre sujet",
        "intro": "Tous les échanges avec des pays partenaires qui, selon nos registres, vous concernaient. Les noms"
        " des agents, les données techniques et ce qui concerne d’autres personnes en sont exclus. Les champs"
        " sont nommés, non reproduits.",
        "number": "Numéro au registre",
        "count": "Échanges",
        "none": "Nos registres n’indiquent aucun échange à votre sujet.",
        "erased": "{count} échanges de cette période ont été effacés, comme la loi l’exige après un certain temps. On ne sait"
        " plus si l’un d’eux vous concernait.",
        "they asked": "{partner} nous a interrogés",
        "we asked": "nous avons interrogé {partner}",
        "they told": "{partner} nous a informés",
        "we told": "nous avons informé {partner}",
        "purpose": "finalité",
        "paragraph": "fondement juridique",
        "told": "résultat",
        "found": "résultat",
        "shown": "réponse donnée à {partner}",
        "fields": "données communiquées",
        "no basis": "fondement juridique non consigné",
        "not_disclosed": "demandées et non communiquées",
        "withheld": "refusé à {partner}",
        "withheld by us": "refusé par {partner}",
        "ground": "motif",
        "ALL": "tout",
        "PART": "une partie",
        "withheld_from_you": "une partie de cette mention vous est refusée en vertu de la Loi sur la protection des"
        " renseignements personnels, art. {section}",
        "draft": "ÉBAUCHE, à ne pas remettre\u00a0: un agent doit encore se prononcer sur {count} échanges.",
        "held back": "{count} autres échanges de cette période vous sont refusés en vertu de la Loi sur la protection des"
        " renseignements personnels, art. {section}.",
        "corrected": "données visées",
        "outcome": "suite donnée",
        "DOMESTIC_LAW": "incompatible avec le droit interne",
        "SOVEREIGNTY": "préjudiciable à la souveraineté nationale",
        "NATIONAL_SECURITY": "préjudiciable à la sécurité nationale",
        "PUBLIC_POLICY": "préjudiciable à l’ordre public",
        "OTHER_NATIONAL_INTEREST": "préjudiciable à d’autres intérêts nationaux importants",
        "CORRECTED": "la donnée a été corrigée",
        "DESTROYED": "la donnée a été détruite, avec ce qui en découlait",
        "USED_NOTE_TO_FILE": "la donnée avait été utilisée, une note a été versée au dossier",
        "destroyed": "empreintes de la requête détruites",
        "about": "fait suite à la transaction",
        "transaction": "transaction",
        "end": "Vous pouvez demander la correction de ce qui est inexact (Loi sur la protection des renseignements"
        " personnels, par. 12(2)) et porter plainte auprès du Commissaire à la protection de la vie privée du Canada.",
        "VISA_PERMIT_BENEFIT": "demande de visa, de permis, de statut protégé ou d’un autre avantage",
        "TRAVEL_ENTER_REMAIN": "droit de se rendre dans un pays, d’y entrer ou d’y demeurer",
        "DATA_ACCURACY": "exactitude de données détenues auparavant",
        "CITIZENSHIP": "demande de citoyenneté",
        "REFUGEE_CLAIM_BY_CANADIAN_PR": "demande d’asile d’un résident permanent du Canada",
        "MATCH": "une correspondance avec vous a été trouvée",
        "NO_MATCH": "aucune correspondance n’a été trouvée",
        "REFUSED": "refusé",
        "ABANDONED": "resté sans réponse",
        "OPEN": "pas encore répondu",
        "DISCLOSED": "des données ont été communiquées",
        "UNAVAILABLE": "aucune donnée n’a été communiquée",
        "REVIEW_PENDING": "un examinateur doit encore se prononcer",
        "COMPARED": "un examinateur a comparé vos empreintes à celles de la requête et ne vous y a pas reconnu",
        "STOPPED": "notre propre loi ne permettait pas la question, rien n’a été envoyé",
        "QUALITY_INSUFFICIENT": "les empreintes étaient inutilisables",
        "SUBMIT_QUERY": "requête par empreintes digitales",
        "QUERY_BY_NUMBER": "requête par le numéro d’une requête antérieure, sans empreintes",
        "REQUEST_HIT_DETAILS": "demande de données après une correspondance",
        "CORRECTION": "correction",
        "WRONG_PERSON": "une correspondance visait une autre personne",
        "WRONG_VALUE": "une valeur était inexacte",
        "WITHDRAWN": "ce qui avait été communiqué a été retiré",
    },
}
# What is said in their place of a query that was not by fingers alone.
_BIOMETRIC: Final[Mapping[str, Mapping[str, str]]] = {
    "en": {
        "destroyed": "biometric data of the query destroyed",
        "COMPARED": "an examiner compared your biometric data with those of the query, and did not find you in them",
        "QUALITY_INSUFFICIENT": "the biometric data could not be used",
        "SUBMIT_QUERY": "query by {modalities}",
    },
    "fr": {
        "destroyed": "données biométriques de la requête détruites",
        "COMPARED": "un examinateur a comparé vos données biométriques à celles de la requête et ne vous y a pas reconnu",
        "QUALITY_INSUFFICIENT": "les données biométriques étaient inutilisables",
        "SUBMIT_QUERY": "requête par {modalities}",
    },
}
_MODALITIES: Final = {  # `Modality` → English, French
    "FINGER": ("fingerprints", "empreintes digitales"),
    "FACE": ("face", "visage"),
    "IRIS": ("irises", "iris"),
}
FIELDS: Final[Mapping[str, tuple[str, str]]] = {  # `casework.FieldCode` → English, French
    "LAST_NAME": ("last name", "nom de famille"),
    "FIRST_NAME": ("first name", "prénom"),
    "DATE_OF_BIRTH": ("date of birth", "date de naissance"),
    "GENDER": ("gender", "genre"),
    "COUNTRY_OF_BIRTH": ("country of birth", "pays de naissance"),
    "ALIAS": ("alias", "nom d’emprunt"),
    "CITIZENSHIP": ("citizenship", "citoyenneté"),
    "TRAVEL_DOCUMENT_NUMBER": ("travel document number", "numéro du titre de voyage"),
    "PHOTOGRAPH": ("photograph", "photographie"),
    "FINGERPRINTS": ("fingerprints", "empreintes digitales"),
    "PASSPORT_ISSUING_COUNTRY": (
        "country that issued the passport",
        "pays de délivrance du passeport",
    ),
    "IMMIGRATION_STATUS": ("immigration status", "statut d’immigration"),
    "ADMISSIBILITY_INFO": ("information on admissibility", "renseignements sur l’admissibilité"),
    "ADMISSIBILITY_DECISION": ("decision on admissibility", "décision sur l’admissibilité"),
    "PRIOR_REQUIREMENTS_FAILURE": (
        "earlier failure to meet requirements",
        "manquement antérieur aux exigences",
    ),
    "PROTECTION_DECISION": ("decision on protection", "décision sur l’asile"),
    "APPLICATION_HISTORY": ("history of applications", "historique des demandes"),
    "CLAIM_IDENTITY": ("identity in a refugee claim", "identité dans une demande d’asile"),
    "CLAIM_PROCESSING": ("processing of a refugee claim", "traitement d’une demande d’asile"),
    "CLAIM_EXCLUSION": ("exclusion in a refugee claim", "exclusion dans une demande d’asile"),
    "CLAIM_HISTORY": ("history of a refugee claim", "historique d’une demande d’asile"),
}
_SAID: Final = (
    *("purpose", "paragraph", "fields", "not_disclosed", "corrected", "outcome", "withheld"),
    *("withheld_from_you", "destroyed", "about"),
)


def text(
    language: str,
    subject: str,
    exchanges: Sequence[Mapping[str, Any]],
    notices: Sequence[str] = (),
) -> str:
    """Return the pack of one person in one language; what has no word stays as it is.

    notices   of what is not in it
    """
    words, colon = WORDS[language], _colon(language)
    lines = [words["title"], "=" * len(words["title"]), "", words["intro"], ""]
    lines += [
        f"{words['number']}{colon} {subject}",
        f"{words['count']}{colon} {len(exchanges)}",
        "",
    ]
    for notice in notices:
        lines += [notice, ""]
    for each in exchanges:
        lines += [*_exchange(language, each), ""]
    return "\n".join((*lines, words["end"], ""))


def _exchange(language: str, each: Mapping[str, Any]) -> Iterator[str]:
    words, colon = _words(language, each["modalities"]), _colon(language)
    way = words[str(each["direction"])].format(partner=each["partner"])
    yield f"{each['time']}  {way}{colon} {_word(words, each['operation'])}"
    yield f"    {words['transaction']}{colon} {each['transaction']}"
    told = _word(words, each["told"])
    if each["found"] in {None, each["told"]}:
        yield f"    {words['told']}{colon} {told}"
    else:  # what is true and what the partner got as answer are two things
        cited = f" ({_cited(language, each['hidden_by'])})" if each["hidden_by"] else ""
        yield f"    {words['found']}{colon} {_word(words, each['found'])}"
        yield f"    {words['shown'].format(partner=each['partner'])}{colon} {told}{cited}"
    for name in _SAID:
        if not each.get(name):
            continue
        if name == "withheld_from_you":
            yield f"    {words[name].format(section=each[name])}"
            continue
        label = "withheld by us" if name == "withheld" and each["direction"] == "we asked" else name
        label = words[label].format(partner=each["partner"])
        yield f"    {label}{colon} {_value_text(language, name, each[name])}"


def _words(language: str, modalities: Sequence[str]) -> Mapping[str, str]:
    """Return the words for a query by these modalities."""
    if not set(modalities) - {"FINGER"}:
        return WORDS[language]
    named = [_MODALITIES[each][language != "en"] for each in modalities]
    last = {"en": " and ", "fr": " et "}[language].join(named[-2:])
    told = ", ".join([*named[:-2], last])
    other = {name: each.format(modalities=told) for name, each in _BIOMETRIC[language].items()}
    return {**WORDS[language], **other}


def _value_text(language: str, name: str, value: Any) -> str:  # noqa: ANN401 - of many shapes
    words = WORDS[language]
    if name == "fields":
        return _based(language, value)
    if name in {"not_disclosed", "corrected"}:
        return ", ".join(_field(language, each) for each in value)
    if name == "withheld":
        scope, ground = _word(words, value["scope"]), _word(words, value["ground"])
        return f"{scope}, {words['ground']}{_colon(language)} {ground}"
    if name == "paragraph":
        return _cited(language, value)
    return _word(words, value)


def _based(language: str, fields: Sequence[Mapping[str, str]]) -> str:
    """Return what was disclosed, by legal basis: last name, first name (IRPR 315.41(2)(a)); photograph (…)."""
    under: dict[str, list[str]] = {}
    for each in fields:
        under.setdefault(each["paragraph"], []).append(_field(language, each["field"]))
    no_basis = WORDS[language]["no basis"]
    return "; ".join(
        f"{', '.join(names)} ({_cited(language, basis) or no_basis})"
        for basis, names in under.items()
    )


def _field(language: str, code: str) -> str:
    return FIELDS[code][language != "en"] if code in FIELDS else code


def _cited(language: str, paragraph: str) -> str:
    if language == "en":
        return paragraph
    return french(paragraph).replace(" or ", " ou ")


def _colon(language: str) -> str:
    return ":" if language == "en" else "\u00a0:"


def _word(words: Mapping[str, str], value: object) -> str:
    return words.get(str(value), str(value))
