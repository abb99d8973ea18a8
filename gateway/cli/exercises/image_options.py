"""Options of `passerelle eval` for images: what makes records of them, and how that is told."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gateway.cli import output
from gateway.domain.messages import Modality
from gateway.errors import UserError

if TYPE_CHECKING:
    from gateway.exercises.evaluation.files import Found
    from gateway.exercises.evaluation.images import ImageReader, Made

SHOWN = 20  # failures printed for eyes; --json has them all


class Kind(StrEnum):
    """What is evaluated."""

    FINGER = "finger"
    FACE = "face"
    IRIS = "iris"

    @property
    def modality(self) -> Modality:
        """The same, as samples state it."""
        return Modality[self.name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ImageOptions:
    """What is said of images; without an extractor there are none."""

    extractor: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The files are images: this extractor makes records of them, in child processes as a gateway's"
            " does. leader for fingers, onnx for faces come with the extra `images`; or one of your own.",
        ),
    ] = None
    ppi: Annotated[
        int,
        typer.Option(
            min=0,
            max=4_000,
            metavar="N",
            help="Pixels per inch of images of fingers that do not say it.",
        ),
    ] = 0
    card: Annotated[
        Path | None,
        typer.Option(metavar="FILE.toml", help="Card of the model of faces that onnx takes."),
    ] = None

    def demand_sense(self, kind: Kind) -> None:
        """Raise BadParameter for options that say nothing here."""
        if self.extractor is None and (self.ppi or self.card is not None):
            raise typer.BadParameter("--ppi and --card are for images; name their --extractor too")
        if self.ppi and kind is not Kind.FINGER:
            raise typer.BadParameter(f"a {kind.value} has no resolution", param_hint="--ppi")
        if self.card is not None and kind is not Kind.FACE:
            raise typer.BadParameter("a card is of a model of faces", param_hint="--card")

    @contextmanager
    def reader(self, kind: Kind, threads: int | None = None) -> Iterator[ImageReader]:
        """Start the extractor, and end it whatever happens, Ctrl-C too."""
        from gateway.exercises.evaluation.images import image_reader

        with image_reader(
            kind.modality,
            self.extractor or "",
            ppi=self.ppi,
            card=self.card,
            processes=threads or os.cpu_count() or 1,
        ) as reader:
            yield reader


def images_of(reader: ImageReader, place: Path) -> Found:
    """Return the images of a place; raises UserError where it holds records."""
    found = reader.find(place)
    if found is None:
        raise no_images(place)
    return found


def no_images(place: Path) -> UserError:
    """Return the refusal of a place that holds records."""
    return UserError(
        f"{place}: holds records, of which nothing is extracted; leave --extractor out"
    )


def extracted(reader: ImageReader, found: Found) -> tuple[Made, ...]:
    """Return what became of images, and show how far it is."""
    with output.bar("extract", len(found.specimens)) as advance:
        return reader.records(found, advance)


def tell(extraction: dict[str, Any]) -> None:
    """Name on stderr the images of which no record was made."""
    failed = extraction["not_extracted"]
    for one in failed[:SHOWN]:
        output.note(f"not extracted: {one['file']}: {one['reason']}")
    if len(failed) > SHOWN:
        output.note(f"not extracted: {len(failed) - SHOWN} more  → --json names them all")


def line(extraction: dict[str, Any]) -> str:
    """Return in a line what was extracted, by what and at which resolutions."""
    number = extraction["images"] - len(extraction["not_extracted"])
    rates = ", ".join(f"{ppi} ppi: {images}" for ppi, images in extraction["ppi"].items())
    by = f"{extraction['extractor']}-{extraction['version']}"
    return f"extracted  {number:,} of {extraction['images']:,} images by {by}" + (
        f"  ({rates})" if rates else ""
    )
