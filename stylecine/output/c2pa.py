"""C2PA: signs a file with the user's certificate; the manifest names the photo, the changes and the program.

The standard: https://spec.c2pa.org. c2pa-python, an extra, does the work. The network is not used, so there is no time
stamp, and a signature is valid as long as its certificate.
"""

import io
import os
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import ModuleType
from typing import Any, BinaryIO

import numpy as np

from stylecine.errors import OptionError, OutputError, StylecineError, WriterUnavailable, as_utf8, printable
from stylecine.output.formats import FORMATS, Still, format_of
from stylecine.picture.photo import PhotoFile, encode_png, open_image
from stylecine.picture.style import Appearance
from stylecine.version import __version__

Credentials = tuple[str | os.PathLike[str], str | os.PathLike[str]]  # certificate chain, private key: PEM files

# Our formats that c2pa-python can sign. It also signs .avif, but may corrupt the offsets in it.
MEDIA_TYPES = {ending: FORMATS[ending].media_type for ending in (".mp4", ".gif", ".webp", ".apng", ".png")}
MEDIA_TYPES[".apng"] = "image/png"
BYTES = "application/octet-stream"
CURVES = {"secp256r1": "es256", "secp384r1": "es384", "secp521r1": "es512"}  # C2PA's names of algorithms
REPORT = "stylecine.report"  # label of our own assertion
# IPTC's term for an image partly changed by a generative model; https://cv.iptc.org/newscodes/digitalsourcetype
SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},  # would use the network
    "builder": {"thumbnail": {"enabled": False}},
}


@dataclass(frozen=True)
class Signer:
    """Who signs: the certificate chain (PEM, the signer's own first) and its private key (PEM, PKCS 8)."""

    algorithm: str
    chain: bytes
    key: bytes = field(repr=False)

    def sign(
        self,
        part: Path,
        path: str | os.PathLike[str],
        report: Mapping[str, Any],
        source: PhotoFile | None,
        pixels: np.ndarray,
        moving: Sequence[str],
        detail: float,
        appearance: Appearance | None,
        weather: str,
    ) -> None:
        """Signs a loop in place: the file `part`, whose final name is that of `path`.

        report: added as an assertion of its own. source: the photo's file, which becomes the ingredient, with its own
        manifest if it has one; of a scene file, its `pixels`, uint8 [H,W,3], and the digest that the scene claims.
        moving: what networks set in motion. detail, appearance: of the frames. weather: that is drawn before them; ""
        for none.
        Raises OutputError for a file that cannot be signed.
        """
        still = isinstance(format_of(path), Still)  # it is the photo, also of a drift
        generated = moving if not still or detail < 1 else ()
        styled = appearance is not None and not (still and appearance.drift)
        if source is None or not source.content:  # pixels, or a scene file
            source = PhotoFile("pixels.png", encode_png(pixels), source.digest if source else None)
        title = Path(path).name
        manifest = _manifest(title, report, source, generated, styled, weather)
        with tempfile.TemporaryFile(dir=part.parent) as signed, part.open("rb+") as file:
            try:
                self.sign_file(manifest, source, file, signed)
            except _c2pa().C2paError as error:  # the certificate has been checked
                raise OutputError(
                    f"C2PA cannot sign '{printable(title)}' ({error}); try again, or omit the signature."
                ) from None
            for opened in (signed, file):
                opened.seek(0)
            shutil.copyfileobj(signed, file)
            file.truncate()

    def sign_file(self, manifest: dict[str, Any], photo: PhotoFile, unsigned: BinaryIO, signed: BinaryIO) -> None:
        """With the photo's own manifest; if that is damaged, which only signing may reveal, with the photo as bytes."""
        c2pa = _c2pa()
        info = c2pa.C2paSignerInfo(self.algorithm, self.chain, self.key, None)  # None: no time-stamping server

        def sign_as(media_type: str) -> None:
            with (
                c2pa.Context.from_dict(SETTINGS) as context,
                c2pa.Builder(manifest, context) as builder,
                c2pa.Signer.from_info(info) as signer,
            ):
                builder.add_ingredient(_ingredient(photo), media_type, io.BytesIO(photo.content))
                builder.sign(signer, manifest["format"], unsigned, signed)

        try:
            sign_as(_media_type(photo))
        except c2pa.C2paError:
            for file in (unsigned, signed):
                file.seek(0)
            signed.truncate()
            sign_as(BYTES)


def signer_for(path: str | os.PathLike[str], credentials: Credentials) -> Signer:
    """Reads and checks the credentials to sign the file that `path` will be; call it before minutes of work.

    Raises WriterUnavailable without c2pa-python, OptionError for a format that cannot be signed and for unusable
    credentials.
    """
    if Path(path).suffix.lower() not in MEDIA_TYPES:
        *others, last = MEDIA_TYPES
        known = f"{', '.join(others)} or {last}"
        raise OptionError(f"C2PA cannot sign '{os.fspath(path)}'; write {known}, or omit the signature.")
    _c2pa()
    from cryptography import x509
    from cryptography.hazmat.primitives import serialization

    try:
        certificate, key = credentials
    except (TypeError, ValueError):
        raise OptionError("c2pa is two files: (certificate chain, private key), both PEM.") from None
    chain, secret = _read("certificate", certificate), _read("key", key)
    try:
        public = x509.load_pem_x509_certificate(chain).public_key()
    except ValueError:
        raise OptionError(f"'{os.fspath(certificate)}' contains no certificate; give a chain in PEM form.") from None
    try:
        private = serialization.load_pem_private_key(secret, None)
    except TypeError:
        raise OptionError(f"'{os.fspath(key)}' needs a password; give a key without one.") from None
    except ValueError:
        raise OptionError(f"'{os.fspath(key)}' contains no private key; give one in PEM form.") from None
    if private.public_key() != public:
        raise OptionError(f"'{os.fspath(key)}' is not the key of '{os.fspath(certificate)}'; give the two that match.")
    pem = private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    signer = Signer(_algorithm(private), chain, pem)
    dot = PhotoFile("dot.png", encode_png(np.zeros((1, 1, 3), np.uint8)))
    manifest = _manifest("dot.png", {}, dot, (), styled=False, weather="")
    try:
        signer.sign_file(manifest, dot, io.BytesIO(dot.content), io.BytesIO())
    except _c2pa().C2paError as error:
        raise OptionError(
            f"C2PA cannot sign ({error}); use a valid certificate for signing documents or e-mail, followed in its"
            " file by the certificates of its issuers."
        ) from None
    return signer


def _c2pa() -> ModuleType:
    try:
        import c2pa
    except ImportError:
        raise WriterUnavailable("C2PA signing needs c2pa-python; run pip install 'stylecine[c2pa]'.") from None
    module: ModuleType = c2pa
    return module


def _read(what: str, path: str | os.PathLike[str]) -> bytes:
    try:
        return Path(path).read_bytes()
    except (OSError, TypeError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"The C2PA {what} {str(path)!r} cannot be read ({reason}); check its path.") from None


def _algorithm(key: Any) -> str:
    """C2PA's name for the signature algorithm of a key."""
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    if isinstance(key, ed25519.Ed25519PrivateKey):
        return "ed25519"
    if isinstance(key, rsa.RSAPrivateKey):
        return "ps256"
    if isinstance(key, ec.EllipticCurvePrivateKey) and key.curve.name in CURVES:
        return CURVES[key.curve.name]
    raise OptionError("C2PA does not know this kind of key; use ES256 (P-256), Ed25519 or RSA.")


def _manifest(
    title: str, report: Mapping[str, Any], photo: PhotoFile, generated: Sequence[str], styled: bool, weather: str
) -> dict[str, Any]:
    return {
        "claim_generator_info": [{"name": "stylecine", "version": __version__}],
        "title": as_utf8(title),
        "format": MEDIA_TYPES[Path(title).suffix.lower()],
        "assertions": [
            {"label": "c2pa.actions", "data": {"actions": _actions(photo, generated, styled, weather)}},
            {"label": REPORT, "data": dict(report)},
        ],
    }


def _actions(photo: PhotoFile, generated: Sequence[str], styled: bool, weather: str) -> list[dict[str, Any]]:
    agent = {"softwareAgent": {"name": "stylecine", "version": __version__}}
    trained = {"digitalSourceType": SOURCE_TYPE, **agent}
    actions: list[dict[str, Any]] = [{"action": "c2pa.opened", "parameters": {"ingredientIds": [photo.sha256]}}]
    if generated:
        moving = " and ".join(generated)
        description = f"Parts of the photo were set in motion as a loop, with trained networks: {moving}."
        actions.append({"action": "c2pa.edited", "description": description, **trained})
    if styled:
        description = "The light and colours of the photo were changed, with trained networks."
        actions.append({"action": "c2pa.color_adjustments", "description": description, **trained})
    if weather:
        description = f"Artificial {weather} was drawn in front of the photo."
        actions.append({"action": "c2pa.drawing", "description": description, **agent})
    if len(actions) == 1:
        description = "The photo as the first frame of a loop shows it; nothing in it was generated."
        actions.append({"action": "c2pa.converted", "description": description, **agent})
    return actions


def _ingredient(photo: PhotoFile) -> dict[str, str]:
    claimed = "The pixels of a scene; SHA-256 that it claims for its photo's file"
    return {
        "title": as_utf8(photo.name or "photo"),
        "relationship": "parentOf",
        "instance_id": photo.sha256,
        # C2PA itself binds a photo only if it has a manifest
        "description": f"{claimed if photo.digest else 'The photo; SHA-256 of its file'}: {photo.sha256}",
    }


def _media_type(photo: PhotoFile) -> str:
    try:
        with open_image(io.BytesIO(photo.content), "The photo") as image:
            return image.get_format_mimetype() or BYTES
    except StylecineError:
        return BYTES
