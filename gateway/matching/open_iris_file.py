"""The output of open-iris' pipeline, saved as JSON → the record of an iris code.

open-iris 1.11 gives `{"error", "iris_template", "metadata"}`; a template is `{"iris_codes", "mask_codes",
"iris_code_version"}`, two packed arrays of 16 × 256 × 2 × 2 bits in base64 (`IrisTemplate.serialize`). Which eye it is
stands in the metadata alone, so a template without them is not read. Nothing of open-iris is imported: it needs
another generation of our libraries.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

import numpy as np

from gateway.matching.engine import UnreadableSample
from keys import strict_json
from matcher.errors import MalformedRecord
from matcher.iris import record
from matcher.iris.coders import OPEN_IRIS, Coder, any_coder
from matcher.iris.template import Cells, check, from_cells

MOST_BYTES: Final = 1 << 16  # of a file; a template takes 5.5 KB, the metadata less than one
EYES: Final = {"right": 1, "left": 2}  # `eye_side` of the metadata
PARTS: Final = {"iris_codes", "mask_codes", "iris_code_version"}
# Texts that the pipeline itself writes into the metadata.
WORDS: Final = {"iris_version", "eye_side"}
_word: Final = re.compile(r"[A-Za-z0-9_.-]{1,40}")


def is_template(octets: bytes) -> bool:
    """Whether a file may be one: JSON with the name of a part of it."""
    return octets[:1] == b"{" and b'"iris_codes"' in octets[:MOST_BYTES]


def opened(octets: bytes) -> tuple[int, bytes]:
    """Return the eye, 1 right or 2 left, and the record of its code.

    Raises UnreadableSample for what open-iris does not write, for a version that is not known here and for a code that
    no record may hold.
    """
    try:
        said = strict_json.read(octets, MOST_BYTES)
    except strict_json.JsonRefused as fault:
        raise UnreadableSample(f"a template of open-iris: {fault}") from None
    template, metadata = said.get("iris_template"), said.get("metadata")
    if not isinstance(template, dict) or not isinstance(metadata, dict):
        raise UnreadableSample(
            "a template of open-iris alone does not say which eye it is of: keep what the pipeline returned, with"
            " iris_template and metadata"
        )
    if set(template) != PARTS:  # weights would change what a bit counts, and are not compared here
        raise UnreadableSample(
            "a template of open-iris has iris_codes, mask_codes and iris_code_version"
        )
    eye = EYES.get(str(metadata.get("eye_side")))
    if eye is None:
        raise UnreadableSample("the metadata of a template of open-iris say eye_side left or right")
    version = str(template["iris_code_version"])
    coder = any_coder(OPEN_IRIS.name, version)
    if coder is None:
        raise UnreadableSample(
            f"codes of another iris_code_version of open-iris are not compared here; {OPEN_IRIS.version} are"
        )
    code, mask = (_cells(template[name], coder) for name in ("iris_codes", "mask_codes"))
    iris = from_cells(coder, code, mask)
    try:
        check(iris)
    except MalformedRecord as fault:
        raise UnreadableSample(fault.reason) from None
    return eye, record.write(eye, iris)


def text_beside(octets: bytes) -> tuple[str, ...]:
    """Return the names of what else in a file is text, as an image's own name or an error's; without a value.

    Whoever runs the pipeline may name an image after a person (IRPR 315.38). Numbers are none. For a file that `opened` reads.
    """
    said = {
        name: each
        for name, each in strict_json.read(octets, MOST_BYTES).items()
        if name != "iris_template"
    }
    return tuple(dict.fromkeys(_texts(said)))


def _texts(said: Mapping[str, Any]) -> Iterator[str]:
    waiting: list[tuple[str, Any]] = list(said.items())
    while waiting:
        name, each = waiting.pop()
        if not _word.fullmatch(name):
            yield "a text without a plain name beside the template"
        elif isinstance(each, dict):
            waiting += each.items()
        elif isinstance(each, list):
            waiting += ((name, one) for one in each)
        elif isinstance(each, str) and each and not (name in WORDS and _word.fullmatch(each)):
            yield f"{name} beside the template"


def _cells(packed: Any, coder: Coder) -> Cells:  # noqa: ANN401 - JSON is any of its kinds
    """Return bits, (rows, columns, bits a cell); raises UnreadableSample for what is no array of that size."""
    try:
        octets = base64.b64decode(packed, validate=True) if isinstance(packed, str) else b""
    except (binascii.Error, ValueError):
        octets = b""
    if len(octets) != coder.bits // 8:
        raise UnreadableSample("an array of a template of open-iris has 16,384 bits in base64")
    bits = np.unpackbits(np.frombuffer(octets, dtype=np.uint8))
    return bits.reshape(coder.rows, coder.columns, coder.cell_bits)
