"""The options of a file, checked by its name with the standard library alone, so that a command answers at once."""

import math
import os
from pathlib import Path
from typing import Any

from stylecine.errors import OptionError, OutputError, TooLarge
from stylecine.machine.atomic import PathLike, check_destination, check_path
from stylecine.options import DEPTHS, LAYERS, MOVING_LAYER, FileOptions, check_int, check_number
from stylecine.output import formats
from stylecine.output.codecs import CODECS, CONTAINERS, MOVIE, MOVIE_CODEC, codec_for
from stylecine.output.codecs import MAX_SIDE as VIDEO_SIDE
from stylecine.output.crop import check_crop, crop_sides
from stylecine.output.encoding import check_encoding, check_length
from stylecine.output.formats import ENDINGS, FORMATS, Format, ending_of, files_of, format_of, kind_of
from stylecine.picture.size import MIN_SIDE

ONE_LOOP = (1, None, "first")  # repeat, duration and keyframes, where they make no sense
MIN_FPS = 0.02  # of an image: an APNG's longest delay is 65.5 s
IMAGE_SIDE = 16383  # of WebP; the others allow more
USUAL = FileOptions()
WORST_AVIF = 63  # its quality is AV1's quantiser


def check_format(path: PathLike, options: FileOptions = USUAL, fps: float = 30) -> None:
    """Checks the options of a file by its name alone; touches nothing.

    Raises OptionError for an unknown suffix and for an option that is invalid or does not apply to it; OutputError for
    what is no name.
    """
    check_path(path)
    if not os.fspath(path):  # it would be the current folder
        raise OutputError("The output has no name; give it one, such as loop.mp4.")
    if options.crop is not None:
        check_crop(options.crop)
    form, no_codec = format_of(path), (None, *ONE_LOOP)
    quality, codec, coded = options.quality, options.codec, (options.codec, *options.length)
    if form is None:
        raise OptionError(
            f"'{os.fspath(path)}' does not end in {', '.join(ENDINGS[:-1])} or {ENDINGS[-1]}, or in nothing, for a"
            " folder; rename it."
        )
    if form.kind is formats.PHOTO and coded != no_codec:
        raise OptionError("Phones expect H.264 of about 3 s in a photo; omit codec, repeat, duration and keyframes.")
    if form.kind is formats.SOUND:
        if (quality, codec, options.keyframes, options.crop) != (None, None, "first", None):
            raise OptionError("A .wav is sound without a picture; omit quality, codec, keyframes and crop.")
        check_length(options.repeat, options.duration)
    elif form.kind is not formats.VIDEO and coded != no_codec:
        raise OptionError(
            "codec, repeat, duration and keyframes are for videos; images and pages play endlessly, a still not at all;"
            " omit them."
        )
    if form.kind is formats.PAGE:
        check_image_quality("a page's images", quality)
        if options.crop is not None:
            raise OptionError("A page shows the whole photo; omit crop, or crop the photo itself, by size.")
    if form.kind is formats.PHOTO:
        check_encoding(MOVIE, fps, quality, MOVIE_CODEC)
    elif has_codec(path):
        check_encoding(path, fps, quality, codec, *options.length)
    elif form.kind in (formats.IMAGE, formats.POSTER):
        check_image(path, fps, quality)
    if form.kind is formats.FOLDER and quality is not None:
        raise OptionError("A folder of PNG is lossless, so it has no quality; omit it.")
    if options.layer not in LAYERS:
        raise OptionError(f"layer is {' or '.join(LAYERS)}, not {options.layer!r}.")
    if options.layer == MOVING_LAYER and not keeps_alpha(path, options):
        raise OptionError(
            f"'{os.fspath(path)}' has no place for the matte of a layer; write {_alpha_endings()} or a folder, with"
            " their default codec."
        )
    if options.depth not in DEPTHS:
        raise OptionError(f"depth is {' or '.join(map(str, DEPTHS))} bits, not {options.depth!r}.")
    if options.depth > 8 and not (form.kind is formats.VIDEO and codec_for(path, codec)[1].deep):
        deep = ", ".join(name for name, other in CODECS.items() if other.deep)
        raise OptionError(f"Only videos of 10 bits gain from depth 16; use codec {deep}, or omit depth.")
    if options.sound and not form.has_sound:
        kept = ", ".join(ending for ending, other in FORMATS.items() if other.has_sound)
        raise OptionError(f"Only {kept} can have a sound; write one of these, or omit sound.")
    if options.embed_report and not form.report:
        named = {formats.FOLDER: "A folder", formats.PAGE: "A page", formats.SOUND: "A .wav"}
        what = named.get(form.kind, f"An {form.ending}")
        raise OptionError(f"{what} has no place for a report; write another format, or omit the report.")
    if options.silence and form.ending != ".mp4":
        raise OptionError("Only an .mp4 gets a silent track; write one, or omit silence.")
    if options.keep_metadata and not form.origin:
        kept = ", ".join(ending for ending, other in FORMATS.items() if other.origin)
        raise OptionError(f"Only {kept} keep the photo's metadata; write one of these, or omit keep_metadata.")


def check_image(path: PathLike, fps: Any, quality: Any) -> Format:
    """The format of an image. Raises OptionError."""
    form = format_of(path)
    if form is None or form.kind not in (formats.IMAGE, formats.POSTER):
        images = formats.endings_of(formats.IMAGE, formats.POSTER)
        raise OptionError(f"'{os.fspath(path)}' does not end in {' or '.join(images)}; rename it.")
    if form.kind is not formats.POSTER:
        check_number("fps", fps, ge=MIN_FPS, le=math.inf)
    if quality is not None and not form.qualities:
        raise OptionError(f"{form.ending} is lossless, so it has no quality; omit it.")
    check_image_quality(form.ending, quality, WORST_AVIF if form.ending == ".avif" else 100)
    return form


def check_image_quality(what: str, quality: Any, most: int = 100) -> None:
    """OptionError for an impossible quality of `what`; None is the default one."""
    if quality is not None:
        check_int(f"quality of {what}", quality, 0, most)


def check_size(path: PathLike, width: int, height: int, crop: str | None = None) -> None:
    """Raises TooLarge, with a size that fits, for a loop of width x height whose frames no such file can hold.

    Cheap; call it before minutes of work. path, crop: as checked by `check_format`.
    """
    if kind_of(path) in (formats.POSTER, formats.SOUND):
        return
    longest = max((width, height) if crop is None else crop_sides(check_crop(crop), width, height))
    limit = VIDEO_SIDE if has_codec(path) else IMAGE_SIDE
    if longest <= limit:
        return
    fits, what = min(width, height) * limit // longest, ending_of(path) or "a folder of PNG"
    remedy = f"ask for size {fits} or less" if fits >= MIN_SIDE else "cut a part out of the photo"
    raise TooLarge(f"The loop would be {width}x{height} pixels, and {what} holds at most {limit} a side; {remedy}.")


def check_writable(path: PathLike) -> Path:
    """The first of the files, or the folder, that `path` names. Raises OutputError if one cannot be written."""
    folder = kind_of(path) is formats.FOLDER
    checked = [check_destination(file, folder=folder) for file in files_of(path)]
    return checked[0]


def keeps_alpha(path: PathLike, options: FileOptions) -> bool:
    """Whether a file keeps what is transparent in a photo."""
    form = format_of(path)
    assert form is not None
    return form.alpha and (form.kind is not formats.VIDEO or bool(codec_for(path, options.codec)[1].alpha))


def _alpha_endings() -> str:
    return ", ".join(ending for ending, form in FORMATS.items() if ending and form.alpha)


def has_codec(path: PathLike) -> bool:
    """Whether a video codec writes it, or a part of it: videos, photos that move, and AVIF, which uses AV1."""
    return formats.kind_of(path) is formats.PHOTO or ending_of(path) in CONTAINERS
