"""The colours that a photo's file declares, and their conversion to sRGB.

A file may hold an ICC profile, which littleCMS converts, or name its primaries and its transfer function: by the code
points of ITU-T H.273 (AVIF, HEIC, PNG), by numbers (PNG), or by a convention (Adobe RGB in EXIF). Pillow makes no
profile for those, and its littleCMS neither takes 16 bits a channel nor compresses HDR, so they are converted here, and
deep pixels between colours that littleCMS has converted.
"""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any, TypeAlias, cast

import numpy as np
from PIL import Image, ImageCms
from PIL.ExifTags import IFD, Base, Interop
from scipy import ndimage

WHITE = 203.0  # cd/m²: reference white of HDR (ITU-R BT.2408), which becomes the white of sRGB
KNEE = 0.92  # of that white, in linear light: HDR is compressed above, and stays as it is below
PEAK_SHARE = 0.999  # of the pixels are not brighter than what is taken for an HDR photo's peak
HLG_PEAK = 1000.0  # cd/m²: nominal peak of the display that HLG is shown on (ITU-R BT.2100)
GAMMA_TOLERANCE = 0.05  # of PNG's gAMA: as in libpng, what is nearer to sRGB's counts as that
XY_TOLERANCE = 0.003  # of chromaticities, likewise
STRIP = 64  # rows that are converted at a time
NODES = np.unique([*range(33), *range(32, 97, 4), *range(96, 256, 10), 255])  # of 255: colours of deep pixels that
# littleCMS converts, closest where sRGB's curve is steepest for linear light
MAX_CONDITION = 1e3  # of primaries as a matrix: with more, they are no colours
UNCALIBRATED, ADOBE_RGB_EXIF = 0xFFFF, 2  # EXIF's ColorSpace; 2 is no standard, but written by some

Array: TypeAlias = np.ndarray
Primaries: TypeAlias = tuple[tuple[float, float], ...]  # CIE xy of red, green, blue and white


@dataclass(frozen=True)
class Encoding:
    """How numbers stand for colours. decode: from a signal in [0,1] to linear light, 1 the white of sRGB. narrow:
    signals leave room below black and above white, as video's do."""

    primaries: Primaries
    decode: Callable[[Array], Array]
    narrow: bool = False


Colour: TypeAlias = "bytes | Encoding"  # an ICC profile, or what a file says without one


# --- transfer functions


def _srgb(signal: Array) -> Array:
    return np.where(signal <= 0.04045, signal / 12.92, ((signal + 0.055) / 1.055) ** 2.4)


def _bt709(signal: Array) -> Array:
    return np.where(signal < 0.081242858, signal / 4.5, ((signal + 0.09929682680944) / 1.09929682680944) ** (1 / 0.45))


def _smpte240(signal: Array) -> Array:
    return np.where(signal < 0.0912, signal / 4, ((signal + 0.1115) / 1.1115) ** (1 / 0.45))


def _pq(signal: Array) -> Array:
    """SMPTE ST 2084, as in ITU-R BT.2100."""
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    root = signal ** (1 / m2)
    return 10_000 / WHITE * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1)


def _hlg(signal: Array) -> Array:
    """The inverse of BT.2100's OETF: light of the scene, 0 to 1."""
    a, b, c = 0.17883277, 0.28466892, 0.55991073
    return np.where(signal <= 0.5, signal**2 / 3, (np.exp((signal - c) / a) + b) / 12)


def _power(exponent: float, white: float = 1.0) -> Callable[[Array], Array]:
    return lambda signal: white * signal**exponent


HDR = (_pq, _hlg)
TRANSFERS = {  # by code point of H.273; logarithmic ones are left out
    1: _bt709,
    4: _power(2.2),
    5: _power(2.8),
    6: _bt709,
    7: _smpte240,
    8: _power(1),
    13: _srgb,
    14: _bt709,
    15: _bt709,
    16: _pq,
    17: _power(2.6, 52.37 / 48),
    18: _hlg,
}


# --- primaries

_D65, _C, _E = (0.3127, 0.3290), (0.310, 0.316), (1 / 3, 1 / 3)
SRGB_PRIMARIES: Primaries = ((0.640, 0.330), (0.300, 0.600), (0.150, 0.060), _D65)
_SMPTE170: Primaries = ((0.630, 0.340), (0.310, 0.595), (0.155, 0.070), _D65)
PRIMARIES: Mapping[int, Primaries] = {  # by code point of H.273
    1: SRGB_PRIMARIES,
    4: ((0.670, 0.330), (0.210, 0.710), (0.140, 0.080), _C),
    5: ((0.640, 0.330), (0.290, 0.600), (0.150, 0.060), _D65),
    6: _SMPTE170,
    7: _SMPTE170,
    8: ((0.681, 0.319), (0.243, 0.692), (0.145, 0.049), _C),
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046), _D65),  # BT.2020
    10: ((1.0, 0.0), (0.0, 1.0), (0.0, 0.0), _E),  # XYZ
    11: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), (0.314, 0.351)),  # P3 of cinemas
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060), _D65),  # Display P3
    22: ((0.630, 0.340), (0.295, 0.605), (0.155, 0.077), _D65),
}
UNSPECIFIED = 2  # code point: as for sRGB
VIDEO = ({1, 5, 6}, {1, 6})  # primaries and transfer functions that encoders of video write for sRGB pixels

PLAIN = Encoding(SRGB_PRIMARIES, _srgb)
ADOBE_RGB = Encoding(((0.640, 0.330), (0.210, 0.710), (0.150, 0.060), _D65), _power(563 / 256))

_BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def _to_xyz(primaries: Primaries) -> Array:
    """From linear RGB to CIE XYZ, [3,3]."""
    *colours, white = [np.array([x, y, 1 - x - y]) for x, y in primaries]
    columns = np.stack(colours, axis=1)
    return columns * np.linalg.solve(columns, white / white[1])


def _to_srgb_primaries(primaries: Primaries) -> Array:
    """From linear RGB to that of sRGB, [3,3]; white becomes white (Bradford's adaptation)."""
    source, target = _to_xyz(primaries), _to_xyz(SRGB_PRIMARIES)
    before, after = (_BRADFORD @ matrix.sum(axis=1) for matrix in (source, target))
    adapt = np.linalg.inv(_BRADFORD) @ np.diag(after / before) @ _BRADFORD
    return cast(Array, np.linalg.inv(target) @ adapt @ source)


# --- what a file declares


def declared_colour(image: Image.Image, content: bytes = b"") -> Colour | None:
    """What comes first by the specification of the image's format and can be used; None for sRGB.

    PNG (third edition): cICP, iCCP, sRGB, then gAMA and cHRM. AVIF and HEIC (MIAF): an ICC profile before nclx. Last,
    in all formats, EXIF.

    content: of the image's file, b"" if unknown; Pillow does not tell PNG's cICP and AVIF's nclx.
    """
    colour = next(_declared(image, content), PLAIN)
    if isinstance(colour, bytes) or colour.decode is not _srgb or colour.narrow:
        return colour
    return None if np.allclose(colour.primaries, SRGB_PRIMARIES, rtol=0, atol=XY_TOLERANCE) else colour


def _declared(image: Image.Image, content: bytes) -> Iterator[Colour]:
    info = image.info
    if image.format == "PNG":
        yield from _coded(_png_cicp(content))
    if isinstance(profile := info.get("icc_profile"), bytes) and _space(profile) in ("RGB", "GRAY", "CMYK"):
        yield from _coded(_hdr_cicp(profile))
        yield profile
    if "srgb" in info:
        yield PLAIN
    yield from _measured(info)
    nclx = _avif_nclx(content) if image.format == "AVIF" else info.get("nclx_profile")
    if nclx:  # the range is undone by the decoder
        yield from _coded((nclx["color_primaries"], nclx["transfer_characteristics"], 0, 1))
    if _is_adobe_rgb(image):
        yield ADOBE_RGB


def _coded(points: tuple[int, ...] | None) -> Iterator[Encoding]:
    """Of code points: primaries, transfer function, matrix, full range. Nothing if they are unknown."""
    if points is None:
        return
    primaries, transfer, _, full = points
    if primaries in VIDEO[0] and transfer in VIDEO[1]:
        primaries, transfer = 1, 13
    if primaries == UNSPECIFIED == transfer and full:
        return
    known = PRIMARIES.get(1 if primaries == UNSPECIFIED else primaries)
    curve = TRANSFERS.get(13 if transfer == UNSPECIFIED else transfer)
    if known and curve:
        yield Encoding(known, curve, narrow=not full)


def _png_cicp(content: bytes) -> tuple[int, ...] | None:
    offset = 8
    while offset + 8 <= len(content):
        length, name = struct.unpack_from(">I4s", content, offset)
        if name == b"IDAT":
            break
        if name == b"cICP" and length == 4:
            return tuple(content[offset + 8 : offset + 12])
        offset += 12 + length
    return None


def _avif_nclx(content: bytes) -> dict[str, int] | None:
    """Read by libheif, which parses AVIF's boxes without a decoder."""
    import pillow_heif  # which most photos do not need

    try:
        return cast("dict[str, int] | None", pillow_heif.open_heif(content).info.get("nclx_profile"))
    except Exception:  # boxes that only libavif understands
        return None


def _measured(info: Mapping[Any, Any]) -> Iterator[Encoding]:
    """Of PNG's gAMA, the exponent that the signal was encoded with, and cHRM; what is impossible is passed over."""
    gamma, values = info.get("gamma"), info.get("chromaticity")
    primaries = SRGB_PRIMARIES
    decode = _power(1 / gamma) if gamma and abs(2.2 * gamma - 1) > GAMMA_TOLERANCE else _srgb
    if values:
        white, *colours = zip(values[::2], values[1::2], strict=True)
        primaries = (*colours, white)
        try:
            possible = white[1] > 0 and np.abs(_to_srgb_primaries(primaries)).max() < 100
        except np.linalg.LinAlgError:
            possible = False
        primaries = primaries if possible else SRGB_PRIMARIES
    if gamma or values:
        yield Encoding(primaries, decode)


def _is_adobe_rgb(image: Image.Image) -> bool:
    """As cameras tell it (DCF 2.0): no colour space of EXIF's, and the interoperability rule R03."""
    try:
        exif = image.getexif()
        space = exif.get_ifd(IFD.Exif).get(Base.ColorSpace)
        rule = exif.get_ifd(IFD.Interop).get(Interop.InteropIndex)
    except Exception:  # damaged EXIF is common, and the pixels may be fine
        return False
    return space == ADOBE_RGB_EXIF or (space == UNCALIBRATED and str(rule).rstrip("\0 ") == "R03")


# --- ICC profiles


def _space(profile: bytes) -> str:
    """As "RGB" or "GRAY"; "" if the profile cannot be read."""
    try:
        return str(ImageCms.ImageCmsProfile(io.BytesIO(profile)).profile.xcolor_space).strip()
    except (ImageCms.PyCMSError, OSError, ValueError):
        return ""


def deep_colour(colour: Colour | None) -> Colour | None:
    """What pixels of more than 8 bits are converted by; None for sRGB, and for grey and CMYK profiles, which
    are converted at 8 bits."""
    if not isinstance(colour, bytes):
        return colour
    return matrix_profile(colour) or (colour if _space(colour) == "RGB" else None)


def matrix_profile(profile: bytes) -> Encoding | None:
    """What a profile of primaries and one curve says, for pixels of more bits than littleCMS takes from Pillow; None
    for profiles with tables or three different curves."""
    try:
        tags = _tags(profile)
        curves = {tags[name] for name in (b"rTRC", b"gTRC", b"bTRC")}
        columns = [np.array(struct.unpack_from(">3i", tags[name], 8)) / 65536 for name in (b"rXYZ", b"gXYZ", b"bXYZ")]
        if len(curves) > 1 or b"A2B0" in tags or profile[20:24] != b"XYZ ":
            return None
        matrix, white = np.stack(columns, 1), np.sum(columns, axis=0)
        if np.linalg.cond(matrix) > MAX_CONDITION or matrix.sum(0).min() <= 0 or white.min() <= 0:
            return None
        primaries = tuple((float(x / (x + y + z)), float(y / (x + y + z))) for x, y, z in (*columns, white))
        return Encoding(primaries, _curve(curves.pop()))
    except (struct.error, KeyError, IndexError, ValueError, ZeroDivisionError, np.linalg.LinAlgError):
        return None


def _curve(tag: bytes) -> Callable[[Array], Array]:
    """Of a profile: `curv` or `para` (ICC.1:2022, 10.6 and 10.18). Raises ValueError, struct.error for another."""
    kind, count = tag[:4], struct.unpack_from(">I", tag, 8)[0]
    if kind == b"curv" and count < 2:
        return _power(struct.unpack_from(">H", tag, 12)[0] / 256 if count else 1.0)
    if kind == b"curv":
        table = np.array(struct.unpack_from(f">{count}H", tag, 12)) / 65535
        return lambda signal: np.interp(signal, np.linspace(0, 1, count), table)
    if kind == b"para":
        number = struct.unpack_from(">H", tag, 8)[0]
        values = [value / 65536 for value in struct.unpack_from(f">{(1, 3, 4, 5, 7)[number]}i", tag, 12)]
        gamma, a, b, c, d, e, f = values + [1, 0, 0, 0, 0, 0][len(values) - 1 :]
        if number in (1, 2):  # up to where it is 0, a constant
            c, d, e, f = 0, -b / a, c, c
        return lambda signal: np.where(signal >= d, np.maximum(a * signal + b, 0) ** gamma + e, c * signal + f)
    raise ValueError


def _tags(profile: bytes) -> dict[bytes, bytes]:
    """By their names; littleCMS as well takes a hundred at most."""
    (count,) = struct.unpack_from(">I", profile, 128)
    entries = range(132, min(132 + 12 * min(count, 100), len(profile) - 11), 12)
    places = (struct.unpack_from(">4sII", profile, entry) for entry in entries)
    return {name: profile[offset : offset + size] for name, offset, size in places}


def _hdr_cicp(profile: bytes) -> tuple[int, ...] | None:
    """Code points in the profile (ICC.1:2022) if they are of HDR, whose curves littleCMS would scale to its peak."""
    points = tuple(_tags(profile).get(b"cicp", b"")[8:12])
    return points if len(points) == 4 and points[1] in (16, 18) else None


def _by_profile(image: Image.Image, profile: bytes) -> Image.Image:
    try:
        if _space(profile) == "RGB":
            image = image.convert("RGB")  # grey pixels with a colour profile
        converted = ImageCms.profileToProfile(
            image,
            ImageCms.ImageCmsProfile(io.BytesIO(profile)),
            ImageCms.createProfile("sRGB"),
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
            outputMode="RGB",
            flags=ImageCms.Flags.BLACKPOINTCOMPENSATION,
        )
        return cast(Image.Image, converted)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return image.convert("RGB")  # the profile is broken, or of another colour space


# --- conversion


def to_srgb(image: Image.Image, colour: Colour | None) -> Image.Image:
    """An image of mode L, RGB or CMYK as RGB in sRGB."""
    if isinstance(colour, bytes):
        return _by_profile(image, colour)
    rgb = image.convert("RGB")
    if colour is None or image.mode == "CMYK":
        return rgb
    return Image.fromarray(pixels_to_srgb(np.asarray(rgb), 256, colour))


def pixels_to_srgb(pixels: Array, levels: int, colour: Colour) -> Array:
    """Pixels [H,W,3] of whole numbers below `levels` -> uint8 in sRGB. Colours outside of its gamut are clipped."""
    return (_by_table if isinstance(colour, bytes) else _by_encoding)(pixels, levels, colour)  # type: ignore[arg-type]


def _by_table(pixels: Array, levels: int, profile: bytes) -> Array:
    """What littleCMS makes of the nearest 8 bits, and what the rest changes, linearly between the colours of NODES."""
    nodes = np.stack(np.meshgrid(NODES, NODES, NODES, indexing="ij"), axis=-1).astype(np.uint8)
    shown = np.asarray(_by_profile(Image.fromarray(nodes.reshape(len(NODES), -1, 3)), profile))
    table = np.moveaxis(shown.reshape(nodes.shape).astype(np.float32), -1, 0)
    values = np.linspace(0, 255, levels)
    nearest = np.rint(values).astype(np.uint8)
    place, coarse = (np.interp(x, NODES, np.arange(len(NODES))).astype(np.float32) for x in (values, nearest))
    converted = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), STRIP):
        part = pixels[top : top + STRIP]
        exact = np.asarray(_by_profile(Image.fromarray(nearest[part]), profile))
        at, near = (np.moveaxis(positions[part], -1, 0) for positions in (place, coarse))
        for c, channel in enumerate(table):
            change = ndimage.map_coordinates(channel, at, order=1) - ndimage.map_coordinates(channel, near, order=1)
            converted[top : top + STRIP, :, c] = np.clip(exact[..., c] + change + 0.5, 0, 255)
    return converted


def _by_encoding(pixels: Array, levels: int, encoding: Encoding) -> Array:
    signal = np.arange(levels) / (levels - 1)
    if encoding.narrow:
        signal = ((np.arange(levels) * (256 / levels) - 16) / 219).clip(0, 1)
    to_light = encoding.decode(signal).astype(np.float32)
    matrix, peak = _to_srgb_primaries(encoding.primaries).astype(np.float32).T, 1.0
    if encoding.decode in HDR:
        step = 1 + max(pixels.shape[:2]) // 1000  # a sample of the pixels tells the photo's own peak
        shown = _displayed(to_light[pixels[::step, ::step]], encoding)
        peak = max(1.0, float(np.quantile(shown.max(axis=-1), PEAK_SHARE)))
    converted = np.empty(pixels.shape, np.uint8)
    for top in range(0, len(pixels), STRIP):
        light = _displayed(to_light[pixels[top : top + STRIP]], encoding) @ matrix
        if encoding.decode in HDR:
            light = _compressed(light, peak)
        converted[top : top + STRIP] = _encoded()[np.uint16(light.clip(0, 1) * 65535 + 0.5)]
    return converted


@cache
def _encoded() -> Array:
    """sRGB's levels for linear light 0 to 1 in 65536 steps."""
    light = np.arange(65536) / 65535
    signal = np.where(light <= 0.0031308, 12.92 * light, 1.055 * light ** (1 / 2.4) - 0.055)
    return (255 * signal + 0.5).astype(np.uint8)


def _displayed(light: Array, encoding: Encoding) -> Array:
    """Linear light [...,3] of a display. HLG's is brighter where the scene is (BT.2100's OOTF with a gamma of 1.2)."""
    if encoding.decode is not _hlg:
        return light
    luminance = light @ _to_xyz(encoding.primaries)[1].astype(np.float32)
    return cast(Array, light * ((HLG_PEAK / WHITE) * luminance[..., None] ** 0.2))


def _compressed(light: Array, peak: float) -> Array:
    """Light [...,3] of at most 1, in its hue. What is brighter than KNEE is compressed so that `peak` becomes 1, by
    Reinhard's curve with a white point (2002), begun at the knee with slope 1."""
    most = light.max(axis=-1, keepdims=True)
    above, span = np.maximum(most - KNEE, 0) / (1 - KNEE), (peak - KNEE) / (1 - KNEE)
    shoulder = KNEE + (1 - KNEE) * np.minimum(above * (1 + above / span**2) / (1 + above), 1)
    return cast(Array, light * (shoulder / np.maximum(most, KNEE)))
