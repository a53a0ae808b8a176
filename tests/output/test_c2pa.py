"""C2PA: what a signed loop claims, what its signature holds, and what is refused."""

import datetime
import json
import os
import runpy
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from hashlib import sha256
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import pytest
import torch
from PIL import Image, ImageSequence

from stylecine import Animator, Cinemagraph, OptionError, OutputError, WriterUnavailable, __version__
from stylecine.cli import main
from stylecine.output import c2pa as signing
from stylecine.output.c2pa import MEDIA_TYPES, REPORT, SOURCE_TYPE, signer_for
from stylecine.output.formats import FORMATS, files_of
from stylecine.output.metadata import read_report
from stylecine.output.video import read_video
from stylecine.picture.photo import PhotoFile
from tests.cloths import flag_mask, flag_photo, with_stand_ins
from tests.loops import appearance_of

c2pa = pytest.importorskip("c2pa", reason="needs the extra c2pa")

from cryptography import x509  # noqa: E402 (comes with c2pa-python)
from cryptography.hazmat.primitives import hashes, serialization  # noqa: E402
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa  # noqa: E402
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID  # noqa: E402

Pair = tuple[Path, Path]
NOW = datetime.datetime.now(datetime.timezone.utc)  # noqa: UP017 (datetime.UTC confuses the type checker here)


def certificate(key: Any, name: str, issuer: str, issuer_key: Any, **options: Any) -> x509.Certificate:
    """A certificate of `name`'s, signed by `issuer`; options: ca, usage, until (days from now)."""
    ca, usage, until = options.get("ca", False), options.get("usage", "e-mail"), options.get("until", 30)

    def named(text: str) -> x509.Name:
        organisation = x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Test")
        return x509.Name([organisation, x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder(named(issuer), named(name), key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW - datetime.timedelta(days=20))
        .not_valid_after(NOW + datetime.timedelta(days=until))
        .add_extension(x509.BasicConstraints(ca, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(x509.KeyUsage(not ca, *[False] * 4, ca, ca, False, False), critical=True)
    )
    if not ca:
        oid = {"e-mail": ExtendedKeyUsageOID.EMAIL_PROTECTION, "server": ExtendedKeyUsageOID.SERVER_AUTH}[usage]
        builder = builder.add_extension(x509.ExtendedKeyUsage([oid]), critical=False)
    return builder.sign(issuer_key, None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256())


def credentials(folder: Path, key: Any = None, password: bytes = b"", **options: Any) -> Pair:
    """A throw-away chain of two and its key, as two files."""
    root, key = ec.generate_private_key(ec.SECP256R1()), key or ec.generate_private_key(ec.SECP256R1())
    chain = [
        certificate(key, "signer", "root", root, **options),
        certificate(root, "root", "root", root, ca=True),
    ]
    pem = serialization.Encoding.PEM
    hidden = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
    (folder / "chain.pem").write_bytes(b"".join(c.public_bytes(pem) for c in chain))
    (folder / "key.pem").write_bytes(
        key.private_bytes(pem, serialization.PrivateFormat.TraditionalOpenSSL, hidden)
        if isinstance(key, ec.EllipticCurvePrivateKey)
        else key.private_bytes(pem, serialization.PrivateFormat.PKCS8, hidden)
    )
    return folder / "chain.pem", folder / "key.pem"


@pytest.fixture(scope="module")
def signed_by(tmp_path_factory: pytest.TempPathFactory) -> Pair:
    return credentials(tmp_path_factory.mktemp("credentials"))


@pytest.fixture(scope="module")
def loop(
    photo: np.ndarray, water: np.ndarray, drift: np.ndarray, small_model: Path, tmp_path_factory: Any
) -> Cinemagraph:
    path = tmp_path_factory.mktemp("photo") / "holiday.png"
    Image.fromarray(photo).save(path)
    animator = Animator.from_pretrained(small_model, "cpu")
    return animator.render(animator.invert(path), mask=water, motion=drift, seconds=0.4, fps=10)


def made_from(loop: Cinemagraph, photo: Path | None) -> Cinemagraph:
    """As if the loop had been made from another file, or from pixels."""
    return replace(loop, scene=replace(loop.scene, source=photo and PhotoFile(photo.name, photo.read_bytes())))


def claim(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """All that a verifier reads, and of it the manifest of this file."""
    told = json.loads(c2pa.Reader(path).json())
    return told, told["manifests"][told["active_manifest"]]


def assertion(manifest: dict[str, Any], label: str) -> Any:
    (found,) = (entry["data"] for entry in manifest["assertions"] if entry["label"].startswith(label))
    return found


def failures(path: Path) -> set[str]:
    return {entry["code"] for entry in c2pa.Reader(path).get_validation_results()["activeManifest"]["failure"]}


# --- what is signed


def rounded(report: Any) -> Any:
    """As JSON with twelve decimals: the reader of credentials may lose a number's last digit."""
    return json.loads(json.dumps(report), parse_float=lambda text: round(float(text), 12))


@pytest.mark.parametrize("name", ["loop.mp4", "loop.png"])
def test_a_signed_file_names_its_ingredients_and_actions(
    loop: Cinemagraph, signed_by: Pair, tmp_path: Path, name: str
) -> None:
    info = loop.save(tmp_path / name, c2pa=signed_by)
    assert os.listdir(tmp_path) == [name] and info.bytes == (tmp_path / name).stat().st_size
    told, manifest = claim(tmp_path / name)
    assert told["validation_state"] == "Valid"
    assert failures(tmp_path / name) == {"signingCredential.untrusted"}  # nobody trusts this test
    assert manifest["title"] == name and manifest["signature_info"]["common_name"] == "signer"
    assert manifest["claim_generator_info"][0]["name"] == "stylecine"
    (photo,) = manifest["ingredients"]
    assert (photo["title"], photo["relationship"]) == ("holiday.png", "parentOf")
    assert loop.scene.source and loop.scene.source.sha256 in photo["description"]
    assert rounded(assertion(manifest, REPORT)) | {"seconds": None} == rounded(loop.report()) | {"seconds": None}
    opened, done = assertion(manifest, "c2pa.actions")["actions"]
    assert opened["action"] == "c2pa.opened" and opened["parameters"]["ingredients"]
    assert done["softwareAgent"] == {"name": "stylecine", "version": __version__}
    assert (done["action"], done.get("digitalSourceType")) == {
        "loop.mp4": ("c2pa.edited", SOURCE_TYPE),
        "loop.png": ("c2pa.converted", None),  # a poster is the photo: nothing was generated
    }[name]


def test_the_signature_names_landscape_or_cloth(
    loop: Cinemagraph, small_model: Path, signed_by: Pair, tmp_path: Path
) -> None:
    animator = with_stand_ins(Animator.from_pretrained(small_model, "cpu"))
    flag = animator.render(animator.invert(flag_photo()), subject="cloth", mask=flag_mask(), seconds=1, fps=10)
    for moving, says in ((loop, "sky, water or mist."), (flag, "cloth.")):
        moving.save(tmp_path / "loop.png", c2pa=signed_by)
        moving.save(tmp_path / "loop.gif", c2pa=signed_by)
        (_, poster), (_, done) = (
            assertion(claim(tmp_path / name)[1], "c2pa.actions")["actions"] for name in ("loop.png", "loop.gif")
        )
        assert done["description"].endswith(f"networks: {says}") and "nothing" in poster["description"]


@pytest.mark.parametrize(
    ("name", "drifts", "expected"),
    [
        ("loop.gif", True, ["c2pa.edited", "c2pa.color_adjustments"]),
        ("loop.png", True, ["c2pa.converted"]),  # the first frame of a drift is the photo
        ("loop.png", False, ["c2pa.color_adjustments"]),
    ],
)
def test_the_signature_tells_of_a_style(
    loop: Cinemagraph, signed_by: Pair, tmp_path: Path, name: str, drifts: bool, expected: list[str]
) -> None:
    appearance = appearance_of(torch.from_numpy(loop.scene.photo), loop.mask, drift=drifts)
    replace(loop, appearance=appearance).save(tmp_path / name, c2pa=signed_by)
    told, manifest = claim(tmp_path / name)
    _, *done = assertion(manifest, "c2pa.actions")["actions"]
    assert told["validation_state"] == "Valid" and [action["action"] for action in done] == expected
    assert all(action["digitalSourceType"] == SOURCE_TYPE for action in done if action["action"] != "c2pa.converted")


def test_a_signed_video_still_plays(loop: Cinemagraph, signed_by: Pair, tmp_path: Path) -> None:
    loop.save(tmp_path / "plain.mp4", embed_report=True)
    loop.save(tmp_path / "signed.mp4", embed_report=True, c2pa=signed_by)
    (plain, _), (signed, fps) = (read_video(tmp_path / f"{name}.mp4") for name in ("plain", "signed"))
    assert np.array_equal(plain, signed) and fps == 10
    assert read_report(tmp_path / "signed.mp4")["frames"] == 4


@pytest.mark.parametrize("ending", [e for e in MEDIA_TYPES if e in FORMATS and FORMATS[e].kind == "image"])
def test_a_signed_animation_shows_the_same(loop: Cinemagraph, signed_by: Pair, tmp_path: Path, ending: str) -> None:
    shown = []
    for name, options in ({"plain": {}, "signed": {"c2pa": signed_by}}).items():
        loop.save(tmp_path / (name + ending), embed_report=True, **options)  # type: ignore[arg-type]
        with Image.open(tmp_path / (name + ending)) as picture:
            shown.append([np.asarray(frame.convert("RGB")) for frame in ImageSequence.Iterator(picture)])
    assert np.array_equal(*shown)
    told, manifest = claim(tmp_path / f"signed{ending}")
    assert told["validation_state"] == "Valid"
    assert assertion(manifest, "c2pa.actions")["actions"][1]["action"] == "c2pa.edited"
    assert read_report(tmp_path / f"signed{ending}")["frames"] == 4


def test_a_poster_of_the_generator_is_no_photo(loop: Cinemagraph, signed_by: Pair, tmp_path: Path) -> None:
    alone = replace(loop, settings={**loop.settings, "detail": 0.0})
    alone.save(tmp_path / "loop.png", c2pa=signed_by)
    _, done = assertion(claim(tmp_path / "loop.png")[1], "c2pa.actions")["actions"]
    assert done["digitalSourceType"] == SOURCE_TYPE


@pytest.mark.parametrize("name", ["loop.mp4", "loop.png"])
def test_a_changed_byte_is_detected(loop: Cinemagraph, signed_by: Pair, tmp_path: Path, name: str) -> None:
    path = tmp_path / name
    loop.save(path, c2pa=signed_by)
    content = bytearray(path.read_bytes())
    content[-20 if name.endswith("png") else content.rindex(b"mdat") + 40] ^= 1
    path.write_bytes(content)
    assert c2pa.Reader(path).get_validation_state() == "Invalid"
    assert failures(path) & {"assertion.dataHash.mismatch", "assertion.bmffHash.mismatch"}


def test_the_photos_own_manifest_is_included(loop: Cinemagraph, signed_by: Pair, tmp_path: Path) -> None:
    photo = tmp_path / "signed-photo.png"
    loop.save(photo, c2pa=signed_by)
    made_from(loop, photo).save(tmp_path / "loop.mp4", c2pa=signed_by)
    told, manifest = claim(tmp_path / "loop.mp4")
    assert told["validation_state"] == "Valid" and len(told["manifests"]) == 2
    earlier = told["manifests"][manifest["ingredients"][0]["active_manifest"]]
    assert earlier["title"] == "signed-photo.png"


@pytest.mark.parametrize("damage", ["box", "assertion"])
def test_a_photo_with_a_damaged_manifest_is_still_named(
    loop: Cinemagraph, signed_by: Pair, tmp_path: Path, damage: str
) -> None:
    photo = tmp_path / "photo.png"
    loop.save(photo, c2pa=signed_by)
    content = bytearray(photo.read_bytes())
    at = content.index(b"caBX")
    if damage == "box":
        content[at + 4 : at + 104] = bytes(100)
    else:  # one byte that is not UTF-8, which c2pa finds only when it signs
        content[content.index(b"warp", content.index(REPORT.encode(), at))] = 0xFF
        end = at + 4 + int.from_bytes(content[at - 4 : at], "big")
        content[end : end + 4] = crc32(content[at:end]).to_bytes(4, "big")
    photo.write_bytes(content)
    made_from(loop, photo).save(tmp_path / "loop.png", c2pa=signed_by)
    told, manifest = claim(tmp_path / "loop.png")
    assert told["validation_state"] == "Valid" and len(told["manifests"]) == 1
    assert sha256(photo.read_bytes()).hexdigest() in manifest["ingredients"][0]["description"]


def test_a_photo_passed_as_pixels_is_an_ingredient_too(loop: Cinemagraph, signed_by: Pair, tmp_path: Path) -> None:
    made_from(loop, None).save(tmp_path / "loop.mp4", c2pa=signed_by)
    assert claim(tmp_path / "loop.mp4")[1]["ingredients"][0]["title"] == "pixels.png"


def test_the_digest_of_a_scene_files_photo_is_signed_as_its_claim(
    loop: Cinemagraph, signed_by: Pair, tmp_path: Path
) -> None:
    scene = replace(loop.scene, source=PhotoFile("holiday.jpg", b"", "ab" * 32))
    replace(loop, scene=scene).save(tmp_path / "loop.mp4", c2pa=signed_by)
    (photo,) = claim(tmp_path / "loop.mp4")[1]["ingredients"]
    assert photo["title"] == "pixels.png"
    assert photo["description"] == f"The pixels of a scene; SHA-256 that it claims for its photo's file: {'ab' * 32}"


@pytest.mark.parametrize("kind", ["BMP", "JPEG", "JPEG2000", "PPM", "TIFF", "WEBP"])
def test_photos_of_any_format(loop: Cinemagraph, photo: np.ndarray, signed_by: Pair, tmp_path: Path, kind: str) -> None:
    Image.fromarray(photo).save(tmp_path / "photo", kind)
    made_from(loop, tmp_path / "photo").save(tmp_path / "loop.png", c2pa=signed_by)
    told, manifest = claim(tmp_path / "loop.png")
    assert told["validation_state"] == "Valid" and manifest["ingredients"][0]["title"] == "photo"


@pytest.mark.parametrize(
    ("make", "algorithm"),
    [
        (lambda: ec.generate_private_key(ec.SECP384R1()), "Es384"),
        (ed25519.Ed25519PrivateKey.generate, "Ed25519"),
        (lambda: rsa.generate_private_key(65537, 2048), "Ps256"),
    ],
    ids=["P-384", "Ed25519", "RSA"],
)
def test_keys_of_other_kinds(loop: Cinemagraph, tmp_path: Path, make: Callable[[], Any], algorithm: str) -> None:
    loop.save(tmp_path / "loop.png", c2pa=credentials(tmp_path, make()))
    told, manifest = claim(tmp_path / "loop.png")
    assert told["validation_state"] == "Valid" and manifest["signature_info"]["alg"] == algorithm


def test_the_command_line_signs(
    given_files: list[str], signed_by: Pair, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    signing = ["--c2pa-cert", str(signed_by[0]), "--c2pa-key", str(signed_by[1])]
    output = tmp_path / "loop.mp4"
    assert main([*given_files, "-o", str(output), *signing]) == 0
    assert claim(output)[1]["ingredients"][0]["title"] == "photo.png"
    output.unlink()
    capsys.readouterr()
    assert main([*given_files, "-o", str(output), *signing[:2]]) == 2
    assert "give both" in capsys.readouterr().err and not output.exists()
    assert main([*given_files, "-o", str(output), *signing[:3], "missing.pem"]) == 2
    assert "missing.pem" in capsys.readouterr().err and not output.exists()


@pytest.fixture
def given_files(photo_file: Path, mask_file: Path, motion_file: Path, small_model: Path) -> list[str]:
    moving = ["--mask", str(mask_file), "--motion", str(motion_file), "--model", str(small_model)]
    return ["animate", str(photo_file), *moving, "--seconds", "0.4", "--fps", "10", "--device", "cpu"]


# --- what is refused


def refused(loop: Cinemagraph, path: Path, pair: Any, match: str) -> None:
    """In one sentence, with nothing left behind and an older file unharmed."""
    path.write_bytes(b"an older film")
    before = sorted(os.listdir(path.parent))
    with pytest.raises(OptionError, match=match) as caught:
        loop.save(path, c2pa=pair)
    assert "\n" not in str(caught.value)
    assert path.read_bytes() == b"an older film" and sorted(os.listdir(path.parent)) == before


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere file names are Unicode")
@pytest.mark.parametrize("ending", [*FORMATS])
def test_names_that_are_not_utf8_are_escaped_in_every_format(
    loop: Cinemagraph, signed_by: Pair, tmp_path: Path, ending: str
) -> None:
    photo, path = (tmp_path / os.fsdecode(b"caf\xe9" + end.encode()) for end in (".png", ending))
    photo.write_bytes(loop.scene.source.content)  # type: ignore[union-attr]
    pair = tuple(tmp_path / os.fsdecode(b"\xff" + one.name.encode()) for one in signed_by)
    for one, copy in zip(signed_by, pair, strict=True):
        shutil.copy(one, copy)
    form, signs = FORMATS[ending], ending in MEDIA_TYPES
    given: Any = {"embed_report": form.report, "keep_metadata": form.origin, "c2pa": pair if signs else None}
    made_from(loop, photo).save(path, **given)
    assert all(file.exists() for file in files_of(path))
    if form.report:
        assert read_report(path)["photo"]["name"] == "caf\\xe9.png"
    if signs:
        manifest = claim(path)[1]
        assert (manifest["title"], manifest["ingredients"][0]["title"]) == (f"caf\\xe9{ending}", "caf\\xe9.png")
        assert assertion(manifest, REPORT)["photo"]["name"] == "caf\\xe9.png"
        assert failures(path) == {"signingCredential.untrusted"}


def test_formats_that_cannot_be_signed(loop: Cinemagraph, signed_by: Pair, tmp_path: Path) -> None:
    for name in ("loop.webm", "loop.avif", "loop.livephoto", "loop.livephoto.zip", "loop.MP.jpg"):
        refused(loop, tmp_path / name, signed_by, rf"cannot sign .*{name}'; write \.mp4, .* or \.png")


def test_unusable_credentials(loop: Cinemagraph, signed_by: Pair, tmp_path: Path) -> None:
    chain, key = signed_by
    out = tmp_path / "loop.png"
    refused(loop, out, (tmp_path / "missing.pem", key), r"certificate .*cannot be read")
    refused(loop, out, (chain, tmp_path), r"key .*cannot be read")
    refused(loop, out, (key, key), "contains no certificate")
    refused(loop, out, (chain, chain), "contains no private key")
    refused(loop, out, "chain.pem", "two files")
    (tmp_path / "other").mkdir()
    refused(loop, out, (chain, credentials(tmp_path / "other")[1]), "is not the key of")
    refused(loop, out, credentials(tmp_path / "other", password=b"secret"), "needs a password")
    odd = ec.generate_private_key(ec.SECP256K1())
    refused(loop, out, credentials(tmp_path / "other", odd), "kind of key")


@pytest.mark.parametrize("options", [{"usage": "server"}, {"until": -1}], ids=["for-servers", "expired"])
def test_certificates_that_may_not_sign(loop: Cinemagraph, tmp_path: Path, options: dict[str, Any]) -> None:
    pair = credentials(tmp_path, **options)
    refused(loop, tmp_path / "loop.png", pair, "cannot sign")
    with pytest.raises(OptionError, match="cannot sign"):  # before the work
        signer_for("loop.png", pair)


def test_the_certificate_is_not_blamed_for_other_errors(signed_by: Pair, tmp_path: Path) -> None:
    (tmp_path / "part").write_bytes(b"no PNG")
    with pytest.raises(OutputError, match=r"cannot sign 'loop\.png' \(.*omit the signature") as caught:
        photo = PhotoFile("a.jpg", b"photo"), np.zeros((1, 1, 3), np.uint8)
        signer_for("loop.png", signed_by).sign(tmp_path / "part", "loop.png", {}, *photo, (), 1, None, "")
    assert "certificate" not in str(caught.value) and os.listdir(tmp_path) == ["part"]


def test_the_key_is_not_shown(signed_by: Pair) -> None:
    assert "PRIVATE" not in repr(signer_for("loop.png", signed_by))


def test_without_the_extra_the_message_says_what_to_install(
    loop: Cinemagraph, signed_by: Pair, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for absent in ("c2pa", "cryptography"):
        monkeypatch.setitem(sys.modules, absent, None)
    runpy.run_path(signing.__file__)  # nothing of it is imported unless asked for
    with pytest.raises(WriterUnavailable, match=r"pip install 'stylecine\[c2pa\]'"):
        loop.save(tmp_path / "loop.mp4", c2pa=signed_by)
    assert not os.listdir(tmp_path)
