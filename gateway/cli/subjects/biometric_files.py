"""Which files hold whose samples: from paths, from a manifest, or from `--finger 2=FILE`, `--iris 1=FILE`, `--face FILE`.

The records of most sensors say position 0, unknown; whoever names the file then says the finger. A file may hold
several samples, of all modalities, and is then of one person with each of them. A file that cannot be used is named with
its reason and never stops the others.
"""

from __future__ import annotations

import csv
import errno
import os
import re
import stat
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from gateway import user_files
from gateway.cli import output
from gateway.domain.messages import POSITIONS, TEMPLATES, UNKNOWN_POSITION, Modality, Sample
from gateway.errors import BiographicInQuery, UserError
from gateway.user_files import FileRefused

if TYPE_CHECKING:
    from gateway.matching.sample_files import FoundSample, SampleFile

MAX_RECORD = (
    65_536  # bytes; ten views of 255 minutiae make 16 KB, the rest is room for extended blocks
)
MAX_FILE = 1 << 24  # bytes; a transaction file with ten images, uncompressed, has some millions
# Of a manifest; those after the third may be absent. Nationalities are ISO alpha-3 codes with spaces between; a modality is
# finger, face or iris, and absent where the file says it.
COLUMNS = ("path", "subject", "position", "extractor", "status", "nationalities", "modality")
LINKED = "a linked folder is not followed; name it itself"
ELSEWHERE = "a link that leads out of the folder; name the file itself"
MAX_LINES = 10_000_000  # lines of a manifest; more is another file

_subject = re.compile(r"[A-Za-z0-9._/-]{1,64}")
_placed = re.compile(r"(?P<position>[0-9]{1,2})=(?P<path>.+)")


class Unusable(Exception):
    """A file, or a line of a manifest, cannot be used; the text says why."""


class Nameless(Unusable):
    """Nobody says which finger a record is of; a command says by which of its options that is said."""


@dataclass(frozen=True, slots=True)
class Source:
    """One file and what is said of it.

    label      what the user calls it; named in complaints
    subject    whose it is; a pseudonym
    position   finger 1 to 10, or eye 1 to 2; 0 = the record says it itself
    status     what the person is to the law, and the nationalities; empty = not said
    below      folder of the manifest that names it, which `path` is seen from; None where a person named the file
    modality   the one whose samples are meant; None = whatever the file holds
    ppi        pixels per inch of a picture of a finger; 0 = the file says it itself
    unknown    nobody knows which finger it is, as a question may say
    """

    label: str
    path: Path
    subject: str
    position: int
    extractor: str
    status: str = ""
    nationalities: str = ""
    below: Path | None = None
    modality: Modality | None = None
    ppi: int = 0
    unknown: bool = False


@dataclass(frozen=True, slots=True)
class Bad:
    """A file or line that cannot be used, and why."""

    label: str
    reason: str


@dataclass(frozen=True, slots=True)
class Taken:
    """What a file gave: its samples, each with its position, and what was repaired or left out to have them.

    unread      samples that nothing here reads: which record of the file, empty = the file itself, and why
    file        what the file holds, text about a person among it
    """

    file: SampleFile = field(repr=False)
    samples: tuple[FoundSample, ...] = field(repr=False)
    repairs: tuple[str, ...] = ()
    unread: tuple[Bad, ...] = ()


@dataclass(frozen=True, slots=True)
class Sources:
    """What was named, the bad apart."""

    good: tuple[Source, ...] = ()
    bad: tuple[Bad, ...] = field(default=())


def from_paths(paths: Sequence[Path], position: int, extractor: str) -> Sources:
    """Return the files under `paths`, each a person of its own.

    The subject is the stem of the file's name, however its path was typed: the same file is the same
    person alone and through its folder. Two files of one stem would be two people under one number, so
    both are bad; a manifest tells them apart. Whatever is no readable file is named too.
    """
    good: dict[Path, Source] = {}
    bad: list[Bad] = []
    for path in paths:
        for file in _files(path, bad):
            if _subject.fullmatch(file.stem):
                whole = file.absolute()  # a file that is named twice is still one
                good.setdefault(whole, Source(str(file), file, file.stem, position, extractor))
            else:
                bad.append(Bad(str(file), "its name cannot be a file number; use a manifest"))
    named = Counter(source.subject for source in good.values())
    single = tuple(source for source in good.values() if named[source.subject] == 1)
    bad += [
        Bad(source.label, "another file of this run has the same name; use a manifest")
        for source in good.values()
        if named[source.subject] > 1
    ]
    return Sources(single, tuple(bad))


def from_manifest(manifest: Path, extractor: str) -> Sources:
    """Return the files of a CSV with `COLUMNS`: in the order of its heading, or in theirs where it has none.

    Paths are relative to the manifest's folder, and lie in it: the names came with the file. Lines of one subject need not stand together. Raises
    `UserError` for a file that is no manifest.
    """
    good, bad = [], []
    seen: dict[tuple[str, ...], int] = {}
    for number, columns, line in _lines(manifest):
        label = f"{manifest.name} line {number}"
        first = seen.setdefault(tuple(line), number)
        if first != number:
            bad.append(Bad(label, f"says the same as line {first}"))
            continue
        try:
            good.append(_source(manifest, number, columns, line, extractor))
        except Unusable as fault:
            bad.append(Bad(label, str(fault)))
    return Sources(tuple(sorted(good, key=lambda source: source.subject)), tuple(bad))


def from_positions(stated: Iterable[str], modality: Modality, extractor: str) -> Sources:
    """Return the files of `2=FILE` statements, of fingers or of eyes; of a face, which has no position, of `FILE` ones.

    `0=FILE` is a finger of which nobody knows which it is.
    """
    return Sources(tuple(_stated(each, modality, extractor) for each in stated))


def _stated(text: str, modality: Modality, extractor: str) -> Source:
    places = POSITIONS[modality]
    path, at = Path(text), places[0]
    if len(places) > 1:
        parts = _placed.fullmatch(text)
        least = UNKNOWN_POSITION if modality is Modality.FINGER else places[0]
        if parts is None or not least <= int(parts["position"]) <= places[-1]:
            other = ", or 0 where nobody knows it" if modality is Modality.FINGER else ""
            raise typer.BadParameter(
                f"write POSITION=FILE with a position of {places[0]} to {places[-1]}{other}",
                param_hint=f"--{_word(modality)}",
            )
        path, at = Path(parts["path"]), int(parts["position"])
    unknown = modality is Modality.FINGER and at == UNKNOWN_POSITION
    return Source(str(path), path, path.stem, at, extractor, modality=modality, unknown=unknown)


def read(source: Source) -> Taken:
    """Return the samples of a file, each as a record that its codec reads.

    Where a position is named beside the file, that one alone; a record that says none is then of it. Raises `Unusable`
    with the reason, its kind `Nameless` where nobody names the position.
    """
    from gateway.matching import sample_files
    from gateway.matching.engine import UnreadableSample

    try:
        if source.below is None:
            octets = user_files.read(source.path, MAX_FILE)
        else:
            octets = user_files.read_below(source.below, str(source.path), MAX_FILE)
        found = sample_files.opened(octets)
    except (FileRefused, UnreadableSample) as fault:
        raise Unusable(str(fault)) from None
    wanted, others = _wanted(found, source)
    judged = [(each, _fault(each, found)) for each in wanted]
    meant = {0, source.position} if source.position else {each.position for each in wanted}
    unread = tuple(Bad(each.where, why) for each, why in judged if why and each.position in meant)
    unread += tuple(
        Bad(each.where, each.reason)
        for each in found.unread
        if source.modality in {None, each.modality} or each.modality is None
        if each.position in {0, source.position} or not source.position
    )
    if all(why for _, why in judged):
        raise Unusable(judged[0][1])
    samples, left_out = _chosen([each for each, why in judged if not why], source)
    notes = (*found.notes, *others, *left_out)
    return Taken(found, samples, notes, unread)


def query_samples(source: Source) -> tuple[Sample, ...]:
    """Return the samples of a file that a partner is asked about; says on stderr what was repaired or left out.

    A question with a bad record is not asked at all: raises UserError, and BiographicInQuery, which names the remedy, for a
    file that holds text about a person, whatever it says (IRPR 315.38).
    """
    from gateway.matching.engine import UnreadableSample
    from gateway.matching.sample_to_ask import sample_to_ask

    try:
        taken = read(source)
        _demand_samples_alone(taken, source)
        samples = tuple(
            sample_to_ask(each.data, _modality(each), each.position, source.extractor, source.ppi)
            for each in taken.samples
        )
    except (Unusable, UnreadableSample) as fault:
        option = f"--{_word(source.modality)} POSITION=FILE"
        remedy = f"; say it by {option}" if isinstance(fault, Nameless) else ""
        raise UserError(f"not asked: {source.label}: {fault}{remedy}") from None
    tell_repairs(source.label, taken.repairs)
    for each in taken.file.missing:
        output.note(f"{source.label}: {each}")
    return samples


def _demand_samples_alone(taken: Taken, source: Source) -> None:
    """Raise BiographicInQuery for a file with text about a person, Unusable for one with a sample that is not read."""
    if taken.file.text:
        # The samples alone would leave; but whoever names such a file may mean to send the whole, and must not.
        what = "; ".join(taken.file.text)
        raise BiographicInQuery(
            f"not asked: {source.label}: holds text about a person: {what}"
            f"  → passerelle samples strip {source.path} -o NEW"
        )
    for one in taken.unread:
        raise Unusable(f"{one.label}: {one.reason}")


def with_ppi(named: Sources, ppi: int) -> Sources:
    """Return the sources with the resolution of their pictures, as a command says it for all of them."""
    return replace(named, good=tuple(replace(each, ppi=ppi) for each in named.good))


def tell_repairs(label: str, repairs: Sequence[str]) -> None:
    """Say on stderr what was repaired in a file; nothing where nothing was."""
    if repairs:
        output.note(f"repaired: {label}: {'; '.join(repairs)}")


def _wanted(found: SampleFile, source: Source) -> tuple[tuple[FoundSample, ...], tuple[str, ...]]:
    """Return the samples of the modality that is meant, and in words how many others were left."""
    # A picture that says not of what, and a position that is said of no modality, are of a finger: so it was always typed.
    meant = source.modality or (Modality.FINGER if source.position else None)
    every = [
        replace(each, modality=meant or Modality.FINGER) if each.modality is None else each
        for each in found.samples
    ]
    wanted = tuple(each for each in every if meant in {None, each.modality})
    if not wanted:
        raise Unusable(f"{found.kind}, with no {_word(meant)} in it")
    others = len(every) - len(wanted)
    return wanted, (f"{others} samples of other modalities left out",) if others else ()


def _fault(sample: FoundSample, found: SampleFile) -> str:
    """Return why a sample is not read here; empty where it is."""
    from gateway.matching import modality
    from gateway.sample_files.containers import formats

    known = modality.TABLE.get(_modality(sample))
    if known is None or sample.format not in {
        *known.codec.formats,
        *formats.formats_of(_modality(sample)),
    }:
        what = f"{found.kind}, {sample.format.name}"
        return f"{what}: no {_word(sample.modality)} of this format is read here"
    if sample.format in TEMPLATES and len(sample.data) > MAX_RECORD:
        return f"the record is larger than {MAX_RECORD} bytes"
    return ""


def _chosen(
    samples: Sequence[FoundSample], source: Source
) -> tuple[tuple[FoundSample, ...], tuple[str, ...]]:
    """Return the samples of the position that is meant, or all of them, and in words which were left."""
    if source.unknown:
        if [each.position for each in samples] != [UNKNOWN_POSITION]:
            raise Unusable("the record says which finger it is, you say that nobody knows it")
        return tuple(samples), ()
    if not source.position:
        _demand_each_once(samples)
        return tuple(samples), ()
    stated = [each.position for each in samples]
    word, several = _word(samples[0].modality), " and ".join(str(each) for each in stated)
    if len(samples) == 1 and stated[0] in {0, source.position}:
        return (replace(samples[0], position=source.position),), ()
    if stated.count(source.position) != 1:
        raise Unusable(f"the record says {word} {several}, you say {source.position}")
    one = samples[stated.index(source.position)]
    return (one,), (f"of {word}s {several} only {source.position} taken",)


def _demand_each_once(samples: Sequence[FoundSample]) -> None:
    """Raise Nameless for a finger or an eye that nobody names, Unusable for two samples of one position."""
    if any(each.position not in POSITIONS[_modality(each)] for each in samples):
        nameless = next(each for each in samples if not each.position)
        raise Nameless(f"the record says no {_word(nameless.modality)}")
    places = Counter((each.modality, each.position) for each in samples)
    twice = next((place for place, count in places.items() if count > 1), None)
    if twice is not None:
        raise Unusable(
            f"holds {len(samples)} records, two of one {_word(twice[0])}; keep one of them"
        )


def _modality(sample: FoundSample) -> Modality:
    return sample.modality or Modality.FINGER


def _word(modality: Modality | None) -> str:
    return (modality or Modality.FINGER).name.lower()


def _files(path: Path, bad: list[Bad]) -> Iterator[Path]:
    """Walk a file or a folder in the order of names; note in `bad` everything that is no file to read."""
    if not _is_folder(path):
        if reason := _objection(path):
            bad.append(Bad(str(path), reason))
        else:
            yield path
        return

    def unreadable(fault: OSError) -> None:
        bad.append(Bad(str(fault.filename), user_files.why(fault)))

    for folder, inner, names in os.walk(path.absolute(), onerror=unreadable):
        linked = [name for name in inner if (Path(folder) / name).is_symlink()]
        bad += [Bad(str(Path(folder) / each), LINKED) for each in linked if not _hidden(each)]
        inner[:] = sorted(name for name in inner if not _hidden(name) and name not in linked)
        for name in sorted(name for name in names if not _hidden(name)):
            file = Path(folder) / name
            if file.is_symlink() and file.exists() and not _stays(file, path):
                bad.append(Bad(str(file), ELSEWHERE))
            else:
                yield from _files(file, bad)


def _stays(link: Path, folder: Path) -> bool:
    try:
        return link.resolve().is_relative_to(folder.resolve())
    except (OSError, RuntimeError):
        return False


def _is_folder(path: Path) -> bool:
    try:
        return path.is_dir()
    except OSError:  # what lies in a folder that we may not enter; `_objection` says so
        return False


def _hidden(name: str) -> bool:
    return name.startswith(".")


def _objection(path: Path) -> str:
    """Return why `path` is no file to read; empty where it is one. A FIFO is not opened: it would wait."""
    try:
        mode = path.stat().st_mode
    except FileNotFoundError:
        return "a link to nothing" if path.is_symlink() else "no such file"
    except OSError as fault:
        return user_files.why(fault)
    if not stat.S_ISREG(mode):
        return "no regular file"
    return "" if os.access(path, os.R_OK) else user_files.why(PermissionError(errno.EACCES, ""))


def _lines(manifest: Path) -> Iterator[tuple[int, Sequence[str], list[str]]]:
    """Yield number, columns and cells of each line; `COLUMNS` itself where no heading names them."""
    columns: Sequence[str] = COLUMNS
    with manifest.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        try:
            for line in reader:
                if reader.line_num > MAX_LINES:
                    raise UserError(f"{manifest}: longer than {MAX_LINES} lines; split it")
                names = [cell.strip().lower() for cell in line]
                if reader.line_num == 1 and {"path", "position"} & set(names):
                    columns = _heading(manifest, names)
                elif line:
                    yield reader.line_num, columns, [cell.strip() for cell in line]
        except (csv.Error, UnicodeDecodeError):
            raise UserError(
                f"{manifest}: no CSV in UTF-8 with the columns {', '.join(COLUMNS)}"
            ) from None


def _heading(manifest: Path, names: Sequence[str]) -> Sequence[str]:
    """Return the columns that a heading names; raises UserError where they are not ours: a status must not pass for a maker."""
    if set(COLUMNS[:3]) <= set(names) <= set(COLUMNS) and len(set(names)) == len(names):
        return tuple(names)
    raise UserError(
        f"{manifest} line 1: a heading names path, subject and position, each once, and of"
        f" {', '.join(COLUMNS[3:])} those that the file has"
    )


def _source(
    manifest: Path, number: int, columns: Sequence[str], line: list[str], extractor: str
) -> Source:
    least = 1 + max(columns.index(name) for name in COLUMNS[:3])
    if not least <= len(line) <= len(columns):
        raise Unusable(f"has {len(line)} columns; wanted are {', '.join(columns)}")
    cells = dict(zip(columns, line, strict=False))
    path, subject, position = (cells[name] for name in COLUMNS[:3])
    if not path:
        raise Unusable("names no file")
    if not _subject.fullmatch(subject):
        raise Unusable("the subject is not 1 to 64 of letters, digits and . _ / -")
    modality = _stated_modality(cells.get("modality", ""))
    allowed = POSITIONS[modality or Modality.FINGER]
    known = position.isascii() and position.isdigit()
    if not known or int(position) not in {0, *allowed}:
        raise Unusable(
            f"the position is not {allowed[0]} to {allowed[-1]}, nor 0 where the record says it itself"
        )
    return Source(
        label=f"{path} ({manifest.name} line {number})",
        path=Path(path),
        subject=subject,
        position=int(position),
        extractor=cells.get("extractor") or extractor,
        status=cells.get("status", ""),
        nationalities=cells.get("nationalities", ""),
        below=manifest.parent,
        modality=modality,
    )


def _stated_modality(word: str) -> Modality | None:
    if not word:
        return None
    if word.upper() not in Modality.__members__:
        raise Unusable("the modality is not finger, face or iris")
    return Modality[word.upper()]
