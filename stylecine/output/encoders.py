"""Whether the encoders that a file needs are installed: those of PyAV and Pillow."""

import av
from PIL import features

from stylecine.errors import WriterUnavailable
from stylecine.machine.atomic import PathLike
from stylecine.output.codecs import CODECS
from stylecine.output.formats import Page, format_of

PILLOW = {".webp": "WebP", ".avif": "AVIF"}  # that not every Pillow writes
# Of sound: FFmpeg's encoders by its name of the container, and bits per second.
SOUND = {"mp4": ("aac", 160_000), "mov": ("aac", 160_000), "webm": ("libopus", 128_000)}


def check_encoders(path: PathLike, codec: str | None = None, *, sound: bool = False) -> None:
    """Raises WriterUnavailable if one is missing for a file whose options `check_format` has checked."""
    form = format_of(path)
    coded = form.coded(path, codec)
    if coded is None:
        check_pillow(".webp" if isinstance(form, Page) else form.ending)
        return
    container, chosen = coded
    if not _has(chosen.encoder):
        others = [other for other in container.codecs if _has(CODECS[other].encoder)]
        instead = f"use codec {' or '.join(others)}, or " if others else ""
        raise WriterUnavailable(
            f"The installed av package has no {chosen.encoder} encoder for {chosen.name};"
            f" {instead}run 'pip install --force-reinstall av'."
        )
    if sound and not _has(encoder := SOUND[container.name][0]):
        raise WriterUnavailable(
            f"The installed av package has no {encoder} encoder; omit sound, or run 'pip install --force-reinstall av'."
        )


def check_pillow(ending: str) -> None:
    """Raises WriterUnavailable if Pillow cannot write images with that ending."""
    name = PILLOW.get(ending)
    if name and not features.check(name.lower()):
        raise WriterUnavailable(f"The installed Pillow cannot write {name}; run 'pip install --upgrade pillow'.")


def _has(encoder: str) -> bool:
    try:
        av.Codec(encoder, "w")
    except (av.FFmpegError, ValueError):
        return False
    return True
