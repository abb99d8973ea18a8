"""Every word of the report in English and in French, side by side: what is added in one is missing in the other at once."""

from __future__ import annotations

import re
import string
from typing import Final

from gateway.language import LANGUAGES, unbroken
from gateway.law.correction_text import french

_PREFIX: Final = re.compile(r"^(RAISE|CLEAR)/")

PURPOSES: Final[dict[str, tuple[str, str]]] = {  # of `terms.Purpose`
    "VISA_PERMIT_BENEFIT": ("visa, permit or benefit", "visa, permis ou avantage"),
    "TRAVEL_ENTER_REMAIN": ("travel, entry or stay", "voyage, entrée ou séjour"),
    "DATA_ACCURACY": ("accuracy of data", "exactitude des données"),
    "CITIZENSHIP": ("citizenship", "citoyenneté"),
    "REFUGEE_CLAIM_BY_CANADIAN_PR": (
        "refugee claim by a permanent resident of Canada",
        "demande d’asile d’un résident permanent du Canada",
    ),
}
PARTNERS: Final[dict[str, tuple[str, str]]] = {  # by the ids of the agreements beside `gateway.law`
    "AUS": ("Australia", "Australie"),
    "CAN": ("Canada", "Canada"),
    "GBR": ("United Kingdom", "Royaume-Uni"),
    "NZL": ("New Zealand", "Nouvelle-Zélande"),
    "USA": ("United States", "États-Unis"),
}
# The ledger's own words of events on the page: types of entries, kinds of keys and their states, marks of alarms.
EVENTS: Final[dict[str, tuple[str, str]]] = {
    "KEY": ("key", "clé"),
    "DIRECTORY": ("directory", "annuaire"),
    "AGREEMENT": ("agreement", "accord"),
    "CALIBRATION": ("calibration", "étalonnage"),
    "ALARM": ("alarm", "alerte"),
    "CLOCK": ("clock set", "horloge réglée"),
    "RESTORE": ("restored", "restauration"),
    "START": ("start", "démarrage"),
    "STOP": ("stop", "arrêt"),
    "KEM": ("for encryption", "de chiffrement"),
    "SIGNING": ("for signing", "de signature"),
    "TLS_CA": ("of the TLS authority", "de l’autorité TLS"),
    "TLS_LEAF": ("for TLS", "TLS"),
    "LOG": ("of the ledger", "du registre"),
    "AUDIT": ("of the auditor", "de l’auditeur"),
    "DATA": ("for data at rest", "des données conservées"),
    "DELEGATION": ("of the directory", "de l’annuaire"),
    "SNAPSHOT": ("of the directory’s snapshot", "de l’instantané de l’annuaire"),
    "TIMESTAMP": ("of the directory’s time stamp", "de l’horodatage de l’annuaire"),
    "PREACTIVE": ("made", "créée"),
    "ACTIVE": ("in use", "en service"),
    "SUSPENDED": ("suspended", "suspendue"),
    "DEACTIVATED": ("retired", "retirée"),
    "COMPROMISED": ("compromised", "compromise"),
    "DESTROYED": ("destroyed", "détruite"),
    "REFUSED": ("refused", "refusée"),
    "RAISE": ("raised", "déclenchée"),
    "CLEAR": ("cleared", "levée"),
}

# key: (English, French). {names} are filled in; a sentence has the same in both.
WORDS: Final[dict[str, tuple[str, str]]] = {
    "title": ("Exchange report of {party}", "Rapport des échanges de {party}"),
    "period": ("{first} to {last}, whole days, UTC", "du {first} au {last}, jours entiers, UTC"),
    "skip": ("Skip to the figures", "Aller aux chiffres"),
    "contents": ("Contents", "Sommaire"),
    "ledger": ("Ledger", "Registre"),
    "entries": ("Entries read", "Entrées lues"),
    "made": ("Made", "Établi le"),
    "source": ("Read from", "Source"),
    "source.bundle": ("an exported bundle", "une archive exportée"),
    "source.house": ("the gateway's own records", "les enregistrements de la passerelle"),
    "software": ("Software", "Logiciel"),
    "withheld": ("withheld", "masqué"),
    "withheld.all": (
        "Withheld: the numbers are too small to be shown without pointing at somebody.",
        "Masqué : ces nombres sont trop petits pour être montrés sans désigner quelqu’un.",
    ),
    "withheld.how": (
        (
            "Counts under 10 are withheld, and with them as many others as it takes that no subtraction brings them"
            " back. Our own failings are always counted exactly."
        ),
        (
            "Les nombres inférieurs à 10 sont masqués, ainsi qu’autant d’autres qu’il en faut pour qu’aucune"
            " soustraction ne les révèle. Nos propres manquements sont toujours comptés exactement."
        ),
    ),
    "stub": (
        "A dashed outline stands for a number that is withheld.",
        "Un contour en tirets remplace un nombre masqué.",
    ),
    "few": ("fewer than 10", "moins de 10"),
    "total": ("Total", "Total"),
    "none": ("None in this period.", "Aucun pendant cette période."),
    "sealed": (
        "Sealed: this page was made without the auditor’s key, which opens purposes, outcomes and reasons.",
        (
            "Scellé : cette page a été établie sans la clé de l’auditeur, qui ouvre les finalités, les résultats et"
            " les motifs."
        ),
    ),
    "verify": ("Is the ledger verified?", "Le registre est-il intact?"),
    "verify.yes": (
        "Yes. {entries} entries and {checkpoints} signed checkpoints were checked; every one agrees.",
        "Oui. {entries} entrées et {checkpoints} points de contrôle signés ont été vérifiés; tous concordent.",
    ),
    "verify.no": (
        "NO. The ledger is not what it claims to be: {faults} faults. Keep it as it is; believe no figure below.",
        (
            "NON. Le registre n’est pas ce qu’il prétend être : {faults} défauts. Conservez-le tel quel; ne vous fiez à"
            " aucun chiffre ci-dessous."
        ),
    ),
    "verify.root": ("Root of the tree", "Racine de l’arbre"),
    "verify.own": (
        (
            "Held against the keys that the ledger brings itself. Compare this fingerprint of its owner with what you"
            " know:"
        ),
        (
            "Vérifié avec les clés que le registre apporte lui-même. Comparez cette empreinte de son détenteur avec ce"
            " que vous savez :"
        ),
    ),
    "verify.notice": ("Worth knowing", "À savoir"),
    "glance": ("At a glance", "En bref"),
    "glance.received": ("questions received", "questions reçues"),
    "glance.sent": ("questions sent", "questions envoyées"),
    "glance.destroyed": (
        "samples destroyed in time",
        "échantillons détruits à temps",
    ),
    "glance.findings": ("kinds of findings", "types de constats"),
    "all": ("all", "toutes"),
    "finding.destruction": (
        "Samples not destroyed, or after the answer: {count} (IRPR 315.43(2)).",
        "Échantillons non détruits, ou après la réponse : {count} (RIPR 315.43(2)).",
    ),
    "finding.corrections": (
        "Corrections late, or that were: {count} (IRPR 315.42).",
        "Rectifications en retard, ou qui l’ont été : {count} (RIPR 315.42).",
    ),
    "finding.quota": (
        "Days on which a partner went over what was agreed: {count}.",
        "Jours où un partenaire a dépassé ce qui était convenu : {count}.",
    ),
    "finding.open": (
        "Some questions were still without an answer at the end of what was read.",
        "Des questions étaient encore sans réponse à la fin de ce qui a été lu.",
    ),
    "findings": ("Findings", "Constats"),
    "findings.none": ("No findings.", "Aucun constat."),
    "volumes": ("Volumes", "Volumes"),
    "volumes.say": (
        "Biometric questions received from partners and sent to them.",
        "Questions biométriques reçues des partenaires et envoyées à ceux-ci.",
    ),
    "volumes.partners": ("By partner", "Par partenaire"),
    "time": ("Time", "Période"),
    "partner": ("Partner", "Partenaire"),
    "received": ("Received", "Reçues"),
    "sent": ("Sent", "Envoyées"),
    "count": ("Questions", "Questions"),
    "became": ("What became of them", "Suites données"),
    "became.say": (
        "Each question received is counted once, by what became of it.",
        "Chaque question reçue est comptée une fois, selon la suite donnée.",
    ),
    "became.match": ("match shown", "concordance communiquée"),
    "became.masked": ("match not shown, by law", "concordance non communiquée, selon la loi"),
    "became.no_match": ("no match", "aucune concordance"),
    "became.pending": ("left to an examiner", "confiée à un examinateur"),
    "became.unusable": ("samples not usable", "échantillons inutilisables"),
    "became.answered": ("answered, sealed or erased", "répondue, scellée ou effacée"),
    "became.refused": ("refused", "refusée"),
    "became.abandoned": ("given up, no outcome", "abandonnée, sans résultat"),
    "became.open": ("not answered yet", "sans réponse à ce jour"),
    "outcome": ("Outcome", "Suite"),
    "refused": ("Refusals by paragraph", "Refus par disposition"),
    "refused.say": (
        "Why questions were refused: the paragraph, where one is cited, and the reason that the partner was told.",
        (
            "Pourquoi des questions ont été refusées : la disposition, s’il en est cité une, et le motif donné au"
            " partenaire."
        ),
    ),
    "masked": ("Matches not shown, by rule", "Concordances non communiquées, par règle"),
    "reason": ("Paragraph and reason", "Disposition et motif"),
    "rule": ("Rule", "Règle"),
    "quota": ("Use of quotas", "Utilisation des quotas"),
    "quota.say": (
        "The busiest day of each partner and purpose, as a share of what was agreed a day.",
        "Le jour le plus chargé de chaque partenaire et finalité, en part de ce qui était convenu par jour.",
    ),
    "purpose": ("Purpose", "Finalité"),
    "quota.all": ("all purposes", "toutes les finalités"),
    "agreed": ("Agreed a day", "Convenu par jour"),
    "busiest": ("Busiest day, up to", "Jour le plus chargé, jusqu’à"),
    "warned": ("Days at 80 % or more", "Jours à 80 % ou plus"),
    "over": ("Days over", "Jours de dépassement"),
    "pace": ("Time to answer", "Délai de réponse"),
    "pace.say": (
        "From the question’s entry to the answer’s, in seconds; answers that an examiner gave are left out.",
        (
            "De l’inscription de la question à celle de la réponse, en secondes; sans les réponses données par un"
            " examinateur."
        ),
    ),
    "pace.half": ("Half within", "La moitié en"),
    "pace.most": ("95 of 100 within", "95 sur 100 en"),
    "pace.few": (
        "Too few answers to say how long they took.",
        "Trop peu de réponses pour en donner le délai.",
    ),
    "duties": ("Destruction and correction", "Destruction et rectification"),
    "duties.say": (
        (
            "Samples are destroyed after the search and before the answer, whatever was found (IRPR 315.43(2)); a"
            " correction is sent within 24 hours and acknowledged within 72 (IRPR 315.42)."
        ),
        (
            "Les échantillons sont détruits après la recherche et avant la réponse, quel que soit le résultat"
            " (RIPR 315.43(2)); une rectification est envoyée sous 24 heures et confirmée sous 72 (RIPR 315.42)."
        ),
    ),
    "duty": ("Duty", "Obligation"),
    "duty.destruction": ("Samples and templates destroyed", "Échantillons et gabarits détruits"),
    "duty.corrections": ("Corrections, both ways", "Rectifications, dans les deux sens"),
    "done": ("In time", "À temps"),
    "failed": ("Missing or late", "Manquantes ou en retard"),
    "waiting": ("Waiting", "En attente"),
    "events": ("Keys and agreements", "Clés et accords"),
    "events.say": (
        "What changed, when, and the entry that says so.",
        "Ce qui a changé, quand, et l’entrée qui le dit.",
    ),
    "events.omitted": (
        "{count} earlier events are left out; passerelle audit changes lists them.",
        "{count} événements antérieurs sont omis; passerelle audit changes les énumère.",
    ),
    "event": ("Event", "Événement"),
    "entry": ("Entry", "Entrée"),
    "lane.keys": ("keys", "clés"),
    "lane.agreements": ("agreements", "accords"),
    "lane.directory": ("directory", "annuaire"),
    "lane.service": ("service", "service"),
    "lane.alarms": ("alarms", "alertes"),
    **{f"purpose.{code}": said for code, said in PURPOSES.items()},
    **{f"partner.{code}": said for code, said in PARTNERS.items()},
    **{f"event.{code}": said for code, said in EVENTS.items()},
    "how": ("How to check this page", "Comment vérifier cette page"),
    "how.say": (
        (
            "Nothing here is signed. Whoever doubts a figure runs the command beside it on the ledger itself, on any"
            " machine: the ledger is signed, and its partners keep what they were shown."
        ),
        (
            "Rien ici n’est signé. Quiconque doute d’un chiffre exécute la commande indiquée sur le registre même, sur"
            " n’importe quelle machine : le registre est signé, et ses partenaires gardent ce qui leur a été montré."
        ),
    ),
}


class Words:
    """The words of one language."""

    def __init__(self, language: str) -> None:
        self.language = language
        self._at = LANGUAGES.index(language)
        self.colon = (":", "\u00a0:")[self._at]

    def __call__(self, key: str, **filled: object) -> str:
        """Return a sentence with its names filled in."""
        said = WORDS[key][self._at]
        if self._at:
            said = unbroken(said)
        return said.format(**filled) if filled else said

    def number(self, value: float | None) -> str:
        """Return a number as the language spells it; the word for what is withheld."""
        if value is None:
            return self("withheld")
        text = f"{value:,.2f}".rstrip("0").rstrip(".")
        # A narrow space that does not break, and a comma, as the Translation Bureau writes French numbers.
        return text.translate({ord(","): "\u202f", ord("."): ","}) if self._at else text

    def seconds(self, milliseconds: int | None) -> str:
        """Return a time in seconds, to hundredths; the word for what is withheld."""
        if milliseconds is None:
            return self("withheld")
        text = f"{milliseconds / 1000:,.2f}\u202fs"
        return text.translate({ord(","): "\u202f", ord("."): ","}) if self._at else text

    def purpose(self, code: str) -> str:
        """Return a purpose in words; one that has none as it is."""
        return self(f"purpose.{code}") if code in PURPOSES else code

    def partner(self, code: str) -> str:
        """Return a partner by name, with its id; one that has no name here by its id."""
        return f"{self(f'partner.{code}')} ({code})" if code in PARTNERS else code

    def event(self, what: str) -> str:
        """Return an event in words; names and what has no word stay as they are."""
        parts = [part for each in what.split(" ") for part in _PREFIX.sub(r"\1 ", each).split(" ")]
        return " ".join(self(f"event.{part}") if part in EVENTS else part for part in parts)

    def cited(self, text: str) -> str:
        """Return text with its citations of the Regulations as the language writes them: RIPR 315.41(1)b)."""
        return french(text) if self._at else text

    def total(self, value: int | None) -> str:
        """Return a total, or that it is small."""
        return self("few") if value is None else self.number(value)


def placeholders(text: str) -> set[str]:
    """Return the names that a sentence has filled in."""
    return {name for _, name, _, _ in string.Formatter().parse(text) if name}
