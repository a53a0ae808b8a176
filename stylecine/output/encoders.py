"""Whether the encoders that a file needs are installed: those of PyAV and Pillow."""

import av
from PIL import features

from stylecine.errors import WriterUnavailable
from stylecine.machine.atomic import PathLike
from stylecine.output.codecs import CODECS, Codec, Container
from stylecine.output.formats import Page, format_of

PILLOW = {".webp": "WebP", ".avif": "AVIF"}  # that not every Pillow writes
# Of sound: FFmpeg's encoders by its name of the container, and bits per second.
SOUND = {"mp4": ("aac", 160_000), "mov": ("aac", 160_000), "webm": ("libopus", 128_000)}


def check_encoders(path: PathLike, codec: str | None = None, *, sound: bool = False) -> None:
    """Raises WriterUnavailable if one is missing for a file whose options `check_format` has checked."""
    form = format_of(path)
    if coded := form.coded(path, codec):
        check_encoder(*coded)
        if sound:
            _check_sound(SOUND[coded[0].name][0])
    else:
        check_pillow(".webp" if isinstance(form, Page) else form.ending)


def check_encoder(form: Container, codec: Codec) -> None:
    """Raises WriterUnavailable without the encoder of a codec."""
    if _has(codec.encoder):
        return
    others = [other for other in form.codecs if _has(CODECS[other].encoder)]
    instead = f"use codec {' or '.join(others)}, or " if others else ""
    raise WriterUnavailable(
        f"The installed av package has no {codec.encoder} encoder for {codec.name};"
        f" {instead}run 'pip install --force-reinstall av'."
    )


def check_pillow(ending: str) -> None:
    """Raises WriterUnavailable if Pillow cannot write images with that ending."""
    name = PILLOW.get(ending)
    if name and not features.check(name.lower()):
        raise WriterUnavailable(f"The installed Pillow cannot write {name}; run 'pip install --upgrade pillow'.")


def _check_sound(encoder: str) -> None:
    if not _has(encoder):
        raise WriterUnavailable(
            f"The installed av package has no {encoder} encoder; omit sound, or run 'pip install --force-reinstall av'."
        )


def _has(encoder: str) -> bool:
    try:
        av.Codec(encoder, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True
