"""Pictures → pixels. Only the child process imports this module: decoders of strangers' bytes live there alone."""

from __future__ import annotations

import io
from importlib import import_module
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gateway.domain.messages import Compression
from gateway.sample_files.containers.image import Picture

PLUGINS = {  # what has to be imported so that Pillow knows a format, and what it calls it
    Compression.PNG: ("PIL.PngImagePlugin", "PNG"),
    Compression.JPEG: ("PIL.JpegImagePlugin", "JPEG"),
    Compression.JPEG_2000: ("PIL.Jpeg2KImagePlugin", "JPEG2000"),
    Compression.WSQ: ("wsq", "WSQ"),
}
TRIAL = (64, 96)  # pixels, of the pictures that each decoder is tried on


class Undecodable(Exception):
    """The decoder refused a picture."""


class OtherSize(Exception):
    """A picture decoded to another size, or other channels, than its header says."""


def available() -> tuple[Compression, ...]:
    """Return the compressions that are read here; each has decoded a picture of ours, so that nothing is loaded later."""
    found = [Compression.NONE]
    width, height = TRIAL
    for compression in PLUGINS:
        try:
            data = _encoded(compression)
        except (ImportError, OSError, KeyError, ValueError):
            continue
        decode(data, Picture(compression, width, height))
        found.append(compression)
    return tuple(found)


def decode(data: bytes, picture: Picture) -> NDArray[np.uint8]:
    """Return pixels, (height, width) or (height, width, 3) uint8; raises Undecodable, OtherSize or MemoryError."""
    shape = (picture.height, picture.width)
    if picture.compression is Compression.NONE:
        return np.frombuffer(data, dtype=np.uint8).reshape(shape)
    from PIL import Image  # type: ignore[import-not-found,import-untyped,unused-ignore]

    Image.MAX_IMAGE_PIXELS = None  # the header was held to our own bound before
    name, mode = PLUGINS[picture.compression][1], "L" if picture.channels == 1 else "RGB"
    try:
        with Image.open(io.BytesIO(data), formats=[name]) as opened:
            # What a picture claims is compared before its pixels are made.
            fits = opened.size == shape[::-1] and opened.mode == mode
            pixels = np.asarray(opened if fits else (), dtype=np.uint8)
    except MemoryError:
        raise
    except Exception:  # noqa: BLE001 - a decoder raises what it likes
        raise Undecodable from None
    if not fits:
        raise OtherSize
    return pixels


def resized(pixels: NDArray[np.uint8], width: int, height: int) -> NDArray[np.uint8]:
    """Return pixels, grey or in colour, in another size, by an antialiasing filter."""
    from PIL import Image

    made = Image.fromarray(pixels).resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(made, dtype=np.uint8)


def _encoded(compression: Compression) -> bytes:
    module, name = PLUGINS[compression]
    import_module(module)
    from PIL import Image

    rows = (np.indices(TRIAL[::-1]).sum(axis=0) * 5 % 256).astype(np.uint8)
    made: Any = io.BytesIO()
    Image.fromarray(rows).save(made, format=name)
    octets: bytes = made.getvalue()
    return octets
