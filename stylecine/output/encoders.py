"""Whether the encoders that a file needs are installed: those of PyAV and Pillow."""

import av
from PIL import features

from stylecine.errors import WriterUnavailable
from stylecine.machine.atomic import PathLike
from stylecine.output import formats
from stylecine.output.checks import has_codec
from stylecine.output.codecs import CODECS, CONTAINERS, MOVIE, MOVIE_CODEC, Codec, Container, codec_for
from stylecine.output.formats import ending_of, kind_of

PILLOW = {".webp": "WebP", ".avif": "AVIF"}  # that not every Pillow writes
# Of sound: FFmpeg's encoders by its name of the container, and bits per second.
SOUND = {"mp4": ("aac", 160_000), "mov": ("aac", 160_000), "webm": ("libopus", 128_000)}


def check_encoders(path: PathLike, codec: str | None = None, *, sound: bool = False) -> None:
    """Raises WriterUnavailable if one is missing for a file whose options `check_format` has checked."""
    kind = kind_of(path)
    if kind is formats.PHOTO:
        check_encoder(*codec_for(MOVIE, MOVIE_CODEC))
    elif has_codec(path):
        check_encoder(*codec_for(path, codec))
    else:
        check_pillow(".webp" if kind is formats.PAGE else ending_of(path))
    if sound and kind not in (formats.PAGE, formats.SOUND):
        form = CONTAINERS.get(ending_of(path))
        _check_sound(SOUND["mp4" if form is None else form.name][0])


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
