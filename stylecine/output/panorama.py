"""What tells programs that a loop shows all directions: Photo Sphere XMP in images, Spherical Video V1 in videos.

https://developers.google.com/streetview/spherical-metadata describes the XMP, and docs/spherical-video-rfc.md of
https://github.com/google/spatial-media the atom.
"""

import os
import shutil
from collections.abc import Callable
from functools import partial
from pathlib import Path
from uuid import UUID

import numpy as np

from stylecine.machine.atomic import translate_os_errors
from stylecine.output.quicktime import atom, atoms, read_moov

RDF = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
SPHERICAL = UUID("ffcc8263-f855-4a93-8814-587a02521fdd").bytes
VIDEO = f"""<?xml version="1.0"?><rdf:SphericalVideo xmlns:rdf="{RDF}"
 xmlns:GSpherical="http://ns.google.com/videos/1.0/spherical/"><GSpherical:Spherical>true</GSpherical:Spherical>
<GSpherical:Stitched>true</GSpherical:Stitched>
<GSpherical:StitchingSoftware>stylecine</GSpherical:StitchingSoftware>
<GSpherical:ProjectionType>equirectangular</GSpherical:ProjectionType></rdf:SphericalVideo>"""
# of an image of a width and height, to be put among the descriptions of its XMP
DESCRIPTION = """<rdf:Description rdf:about="" xmlns:GPano="http://ns.google.com/photos/1.0/panorama/"
 GPano:UsePanoramaViewer="True" GPano:ProjectionType="equirectangular"
 GPano:FullPanoWidthPixels="{width}" GPano:FullPanoHeightPixels="{height}"
 GPano:CroppedAreaImageWidthPixels="{width}" GPano:CroppedAreaImageHeightPixels="{height}"
 GPano:CroppedAreaLeftPixels="0" GPano:CroppedAreaTopPixels="0"/>
"""
CHUNK_OFFSETS = {b"stco": ">u4", b"co64": ">u8"}


def sphere_xmp(width: int, height: int) -> str:
    """The XMP of an image of this size that shows all directions."""
    described = DESCRIPTION.format(width=width, height=height)
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="{RDF}">{described}</rdf:RDF></x:xmpmeta>'


def mark_spherical(path: Path) -> None:
    """Marks the video of a complete .mp4, whose index comes first, as one of all directions, in place."""
    marked, mark = path.with_name("spherical"), atom(b"uuid", SPHERICAL, VIDEO.encode())
    with translate_os_errors(path):
        with path.open("rb") as file, marked.open("wb") as copy:
            begin, moov = read_moov(file)
            moov = _changed(moov, (b"trak",), lambda track: track + mark if _is_video(track) else track)
            for name, kind in CHUNK_OFFSETS.items():
                table = b"trak", b"mdia", b"minf", b"stbl", name
                moov = _changed(moov, table, partial(_shifted, kind=kind, by=len(mark)))
            pictures = file.tell()
            file.seek(0)
            copy.write(file.read(begin) + atom(b"moov", moov))
            file.seek(pictures)
            shutil.copyfileobj(file, copy)
        os.replace(marked, path)


def _changed(content: bytes, place: tuple[bytes, ...], change: Callable[[bytes], bytes]) -> bytes:
    """Atoms, the contents of which are changed at a place: the types of what they are in, and their own."""
    first, *inner = place
    deeper = partial(_changed, place=tuple(inner), change=change) if inner else change
    return b"".join(atom(kind, deeper(part) if kind == first else part) for kind, part in atoms(content))


def _is_video(track: bytes) -> bool:
    media = dict(atoms(dict(atoms(track))[b"mdia"]))
    return media[b"hdlr"][8:12] == b"vide"


def _shifted(table: bytes, kind: str, by: int) -> bytes:
    """Offsets in a file, after the version, flags and their number."""
    return table[:8] + (np.frombuffer(table, kind, offset=8) + by).astype(kind).tobytes()
