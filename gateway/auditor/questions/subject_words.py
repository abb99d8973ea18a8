"""An access-request pack in words, in English and in French."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from gateway.law.wording import french

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
        "purpose": "purpose",
        "paragraph": "legal basis",
        "told": "result",
        "fields": "data disclosed",
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
        "QUALITY_INSUFFICIENT": "the fingerprints could not be used",
        "SUBMIT_QUERY": "query by fingerprints",
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
        "purpose": "finalité",
        "paragraph": "fondement juridique",
        "told": "résultat",
        "fields": "données communiquées",
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
        "QUALITY_INSUFFICIENT": "les empreintes étaient inutilisables",
        "SUBMIT_QUERY": "requête par empreintes digitales",
        "REQUEST_HIT_DETAILS": "demande de données après une correspondance",
        "CORRECTION": "correction",
        "WRONG_PERSON": "une correspondance visait une autre personne",
        "WRONG_VALUE": "une valeur était inexacte",
        "WITHDRAWN": "ce qui avait été communiqué a été retiré",
    },
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
_SAID: Final = ("purpose", "paragraph", "told", "fields", "destroyed", "about")


def text(
    language: str, subject: str, exchanges: Sequence[Mapping[str, object]], erased: int = 0
) -> str:
    """Return the pack of one person in one language; what has no word stands as it is.

    erased   exchanges of the time of which nobody knows any more whom they were about
    """
    words = WORDS[language]
    colon = ":" if language == "en" else "\u00a0:"
    lines = [words["title"], "=" * len(words["title"]), "", words["intro"], ""]
    lines += [
        f"{words['number']}{colon} {subject}",
        f"{words['count']}{colon} {len(exchanges)}",
        "",
    ]
    if erased:
        lines += [words["erased"].format(count=erased), ""]
    if not exchanges:
        lines += [words["none"], ""]
    for each in exchanges:
        way = words[str(each["direction"])].format(partner=each["partner"])
        lines.append(f"{each['time']}  {way}{colon} {_word(words, each['operation'])}")
        lines.append(f"    {words['transaction']}{colon} {each['transaction']}")
        for name in _SAID:
            if each[name]:
                lines.append(f"    {words[name]}{colon} {_said(language, name, each[name])}")
        lines.append("")
    return "\n".join((*lines, words["end"], ""))


def _said(language: str, name: str, value: object) -> str:
    if name == "fields":
        at = 0 if language == "en" else 1
        return ", ".join(
            FIELDS[each][at] if each in FIELDS else each for each in str(value).split(",")
        )
    if name == "paragraph" and language == "fr":
        return french(str(value))
    return _word(WORDS[language], value)


def _word(words: Mapping[str, str], value: object) -> str:
    return words.get(str(value), str(value))
