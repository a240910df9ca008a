import io
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageFile, ImageOps
from torchvision.datasets.folder import IMG_EXTENSIONS

from siamese_triplet.datasets import _pixels, photos, read_photo
from siamese_triplet.datasets.photos import fit_normalization

ORIENTATION = 0x0112  # the EXIF tag
RED, BLUE = (220, 20, 20), (20, 20, 220)


def pixel(image: Image.Image, x: int, y: int) -> list[int]:
    """Round a pixel to tens, which hides JPEG artefacts."""
    return [round(value / 10) * 10 for value in image.getpixel((x, y))]


def test_a_photo_from_a_turned_camera_is_upright(tmp_path: Path) -> None:
    image = Image.new("RGB", (64, 64), RED)
    image.paste(BLUE, (0, 0, 64, 32))  # blue on top once upright
    exif = Image.Exif()
    exif[ORIENTATION] = 6  # to be turned clockwise by 90°
    image.transpose(Image.Transpose.ROTATE_90).save(tmp_path / "turned.jpg", exif=exif)
    read = read_photo(tmp_path / "turned.jpg", 16)
    assert pixel(read, 8, 3) == list(BLUE)
    assert pixel(read, 8, 12) == list(RED)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P"])
def test_transparent_pixels_become_white(mode: str, tmp_path: Path) -> None:
    if mode == "P":
        image = Image.new("P", (32, 32), 1)
        image.putpalette([10, 10, 10, 90, 90, 90])
        image.paste(0, (0, 0, 32, 16))
        image.save(tmp_path / "a.png", transparency=0)
    else:
        image = Image.new("RGBA", (32, 32), (90, 90, 90, 255))
        image.paste((10, 10, 10, 0), (0, 0, 32, 16))
        image.convert(mode).save(tmp_path / "a.png")
    read = read_photo(tmp_path / "a.png", 16)
    assert pixel(read, 8, 3) == [260, 260, 260]  # 255, rounded
    assert pixel(read, 8, 12) == [90, 90, 90]
    assert read_photo(tmp_path / "a.png", 16, channels=1).getpixel((8, 3)) == 255


@pytest.mark.parametrize(
    ("name", "mode", "as_read"), [("a.png", "I;16", "I;16"), ("a.tif", "I;16", "I;16"), ("a.tif", "I;16B", "I;16B")]
)
def test_sixteen_bits_are_scaled_to_eight(name: str, mode: str, as_read: str, tmp_path: Path) -> None:
    for value, expected in ((100 * 256, 100), (65535, 255), (4096, 16)):
        Image.new(mode, (32, 32), value).save(tmp_path / name)
        assert Image.open(tmp_path / name).mode == as_read
        assert read_photo(tmp_path / name, 16, channels=1).getpixel((8, 8)) == expected
        assert read_photo(tmp_path / name, 16).getpixel((8, 8)) == (expected,) * 3


@pytest.mark.parametrize(("value", "expected"), [(100 * 256, 100), (65535, 255), (5000, 19), (255, 255), (100, 100)])
def test_integers_are_scaled_if_they_exceed_eight_bits(value: int, expected: int, tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 65535\n" + value.to_bytes(2, "big") * 32**2)
    Image.new("I", (32, 32), value).save(tmp_path / "a.tif")
    for name in ("a.pgm", "a.tif"):
        assert Image.open(tmp_path / name).mode == "I"
        assert read_photo(tmp_path / name, 16, channels=1).getpixel((8, 8)) == expected


RAMPS = {  # kind of pixels: the smallest and the largest value, and the grey of the largest
    "uint16 of 8 bits": (np.uint16, 0, 255, 255),
    "uint16 of 10 bits": (np.uint16, 0, 1023, 63),
    "uint16 of 12 bits": (np.uint16, 0, 4095, 255),
    "uint16 of 14 bits": (np.uint16, 0, 16383, 63),
    "uint16 of 16 bits": (np.uint16, 0, 65535, 255),
    "int32 of 12 bits": (np.int32, 0, 4095, 255),
    "int32 of 20 bits": (np.int32, 0, 2**20 - 1, 255),
    "negative int32": (np.int32, -500, 500, 255),
    "float 0…1": (np.float32, 0, 1, 255),
    "float 0…0.5": (np.float32, 0, 0.5, 128),
    "float −1…1": (np.float32, -1, 1, 255),
    "float metres": (np.float32, 0.5, 9.5, 255),
    "float 0…255": (np.float32, 0, 255, 255),
    "float 0…65535": (np.float32, 0, 65535, 255),
}


@pytest.mark.parametrize("kind", RAMPS)
@pytest.mark.parametrize("channels", [1, 3])
def test_a_ramp_of_64_steps_keeps_them(kind: str, channels: int, tmp_path: Path) -> None:
    dtype, low, high, grey = RAMPS[kind]
    ramp = np.linspace(low, high, 64).astype(dtype)
    for ending in ("tif", *(["png"] if dtype == np.uint16 else [])):
        Image.fromarray(np.tile(ramp, (64, 1))).save(tmp_path / f"a.{ending}")
        row = np.asarray(read_photo(tmp_path / f"a.{ending}", 64, channels))[0].reshape(64, channels)
        assert len(np.unique(row)) == 64
        assert (np.diff(row[:, 0].astype(int)) > 0).all()
        assert row[-1].tolist() == [grey] * channels


def test_a_file_that_says_how_many_bits_it_has_is_believed(tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 65535\n" + (1000).to_bytes(2, "big") * 32**2)
    assert read_photo(tmp_path / "a.pgm", 16, 1).getpixel((8, 8)) == 3
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 4095\n" + (1000).to_bytes(2, "big") * 32**2)
    assert read_photo(tmp_path / "a.pgm", 16, 1).getpixel((8, 8)) == 62


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -float("inf")])
def test_values_that_are_not_finite_raise_naming_the_file(value: float, tmp_path: Path) -> None:
    pixels = np.linspace(0, 1, 64, dtype=np.float32).reshape(8, 8).copy()
    pixels[3, 4] = value
    Image.fromarray(pixels).save(tmp_path / "depth.tif")
    with pytest.raises(ValueError, match=r"depth\.tif .*: it holds NaN or infinite values; replace them"):
        read_photo(tmp_path / "depth.tif", 8, 1)


@pytest.mark.parametrize("size", [(2000, 1600), (64, 20), (16, 16), (5, 7), (1, 300)])
@pytest.mark.parametrize(("channels", "mode"), [(1, "L"), (3, "RGB")])
def test_images_of_any_size_get_one_size(size: tuple[int, int], channels: int, mode: str, tmp_path: Path) -> None:
    for ending in ("jpg", "png"):
        Image.new("RGB", size, RED).save(tmp_path / f"a.{ending}")
        read = read_photo(tmp_path / f"a.{ending}", 16, channels)
        assert (read.size, read.mode) == ((16, 16), mode)


def test_a_large_jpeg_looks_as_if_decoded_in_full(tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    rough = torch.randint(0, 256, (40, 40, 3), dtype=torch.uint8, generator=generator)
    image = Image.fromarray(rough.numpy()).resize((160, 160), Image.Resampling.NEAREST)
    image.save(tmp_path / "a.jpg", quality=95, subsampling=0)
    Image.open(tmp_path / "a.jpg").save(tmp_path / "a.png")
    small, full = (
        torch.tensor(list(read_photo(tmp_path / name, 40).tobytes()), dtype=torch.float) for name in ("a.jpg", "a.png")
    )
    assert (small - full).abs().max() < 12


def test_a_missing_file_or_one_that_is_not_an_image_raises_naming_it(tmp_path: Path) -> None:
    (tmp_path / "page.jpg").write_text("<html>")
    with pytest.raises(ValueError, match=r"page.jpg is not an image, or is truncated; save it as JPEG or PNG, or rem"):
        read_photo(tmp_path / "page.jpg")
    with pytest.raises(ValueError, match=r"there is no file .*nowhere.jpg; check its name and its folder"):
        read_photo(tmp_path / "nowhere.jpg")


def test_an_absurdly_large_image_raises_naming_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"large.png .* exceeds limit"):
        read_photo(tmp_path / "large.png")


@pytest.mark.parametrize("channels", [2, 4])
def test_an_unsupported_number_of_channels_raises(channels: int, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"channels={channels} must be 1 for grey images or 3 for colour"):
        read_photo(tmp_path / "a.png", 16, channels)


@pytest.mark.parametrize("image_size", [0, -1, (16, 0), (16,), (16, 16, 3), 1.5, (16.0, 16), "16", "16x16", None])
def test_an_unsupported_size_raises_saying_what_is_expected(image_size: Any, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"image_size=.* must be the side of a square, such as 64, or \(height, width"):
        read_photo(tmp_path / "a.png", image_size)


@pytest.mark.parametrize("kind", ["jpg", "png", "turned", "numeric"])
def test_images_need_not_be_square_and_height_comes_first(kind: str, tmp_path: Path) -> None:
    image = Image.new("RGB", (640, 640), "white")
    image.paste((200, 0, 0), (160, 0, 480, 640))  # the middle half, twice as high as wide
    exif = Image.Exif()
    if kind == "turned":
        image, exif[0x0112] = image.transpose(Image.Transpose.ROTATE_90), 6
    path = tmp_path / f"a.{'jpg' if kind in ('jpg', 'turned') else 'png'}"
    image = image.convert("L").convert("I;16") if kind == "numeric" else image
    image.save(path, exif=exif)
    read = read_photo(path, (64, 32))
    assert read.size == (32, 64)
    assert np.ptp(np.asarray(read)[:, 2:-2], axis=(0, 1)).max() <= 2  # the middle alone, which is of one colour
    assert read_photo(path, (32, 64)).size == (64, 32)
    assert (np.asarray(read_photo(path, (32, 32))) == np.asarray(read_photo(path, 32))).all()


def test_fit_normalization_uses_the_mean_and_deviation_of_the_pixels() -> None:
    data = torch.randint(0, 200, (7, 9, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data[..., 2] //= 3
    pixels = data.double().flatten(0, 2) / 255
    normalize = fit_normalization(data).transforms[2]
    torch.testing.assert_close(torch.tensor(normalize.mean).double(), pixels.mean(dim=0))
    torch.testing.assert_close(torch.tensor(normalize.std).double(), pixels.std(dim=0))


# what a file may do and take


def test_no_file_starts_a_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    log = tmp_path / "log"
    (tmp_path / "gs").write_text(f"#!/bin/sh\ntouch {log}\nexit 1\n")
    (tmp_path / "gs").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    (tmp_path / "holiday.png").write_bytes(
        b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 50 50\n%%EndComments\nshowpage\n%%EOF\n"
    )
    with pytest.raises(ValueError, match=r"holiday\.png is not an image"):
        read_photo(tmp_path / "holiday.png")
    assert not log.exists()


@pytest.mark.parametrize("format", ["GIF", "EPS", "ICO", "PCX", "TGA", "PDF"])
def test_only_formats_of_the_endings_that_are_read_are_opened(format: str, tmp_path: Path) -> None:
    Image.new("RGB", (32, 32), RED).save(tmp_path / "a", format)
    (tmp_path / "a").rename(tmp_path / "a.png")
    with pytest.raises(ValueError, match=r"a\.png is not an image, .*save it as JPEG or PNG"):
        read_photo(tmp_path / "a.png")


@pytest.mark.parametrize("ending", IMG_EXTENSIONS)
def test_every_ending_of_a_folder_can_be_read(ending: str, tmp_path: Path) -> None:
    Image.new("L" if ending == ".pgm" else "RGB", (32, 32), 60 if ending == ".pgm" else RED).save(
        tmp_path / f"a{ending}"
    )
    assert read_photo(tmp_path / f"a{ending}", 16).size == (16, 16)


@pytest.mark.parametrize(
    ("mode", "n_bytes"),
    [("L", 10_000), ("P", 10_000), ("1", 10_000), ("I;16", 20_000), ("RGB", 40_000), ("RGBA", 40_000)],
)
def test_the_declared_size_is_looked_at_before_an_image_is_decoded(
    mode: str, n_bytes: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Image.new(mode, (200, 50)).save(tmp_path / "a.png")
    monkeypatch.setattr(photos, "MAX_DECODED", n_bytes)
    assert read_photo(tmp_path / "a.png", 16).size == (16, 16)
    monkeypatch.setattr(photos, "MAX_DECODED", n_bytes - 1)
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda image: pytest.fail("decoded"))
    with pytest.raises(ValueError, match=r"a\.png .*200 × 50 pixels \(.*\) would take .* MB, more than"):
        read_photo(tmp_path / "a.png", 16)


def test_a_jpeg_may_be_larger_as_it_is_decoded_at_a_reduced_size_unless_it_is_progressive(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, progressive in (("a.jpg", False), ("progressive.jpg", True)):
        Image.new("RGB", (800, 800), RED).save(tmp_path / name, progressive=progressive)
    monkeypatch.setattr(photos, "MAX_DECODED", 4 * 200**2)
    assert read_photo(tmp_path / "a.jpg", 40).size == (40, 40)
    with pytest.raises(ValueError, match=r"progressive\.jpg .* would take 2 MB"):
        read_photo(tmp_path / "progressive.jpg", 40)


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "1", "L", "RGB", "I;16", "I", "F", "CMYK"])
@pytest.mark.parametrize("channels", [1, 3])
def test_bands_change_nothing_and_reduced_conversion_little(
    mode: str, channels: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    smooth = np.linspace(0, 255, 200 * 150 * 4).reshape(200, 150, 4).astype(np.uint8)
    if mode in ("I;16", "I", "F"):
        image = Image.fromarray(smooth[..., 0].astype({"I;16": np.uint16, "I": np.int32, "F": np.float32}[mode]) * 10)
    else:
        image = Image.fromarray(smooth).convert("RGBA" if mode in ("RGBA", "LA") else "RGB").convert(mode)
    image.save(tmp_path / "a.tif")
    whole = np.asarray(read_photo(tmp_path / "a.tif", 16, channels)).astype(int)
    monkeypatch.setattr(_pixels, "BAND", 1000)
    assert (np.asarray(read_photo(tmp_path / "a.tif", 16, channels)) == whole).all()
    monkeypatch.setattr(_pixels, "MAX_CONVERTED", 20_000)
    reduced = np.asarray(read_photo(tmp_path / "a.tif", 16, channels)).astype(int)
    assert abs(reduced - whole).mean() < 3


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("ending", ["jpg", "png", "tif", "webp"])
def test_every_orientation_is_that_of_pillow(ending: str, orientation: int, tmp_path: Path) -> None:
    image = Image.new("RGB", (48, 32), RED)
    image.paste(BLUE, (0, 0, 24, 8))
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    image.save(tmp_path / f"a.{ending}", exif=exif)
    with Image.open(tmp_path / f"a.{ending}") as file:
        upright = ImageOps.fit(ImageOps.exif_transpose(file), (32, 32), Image.Resampling.BILINEAR)
    difference = np.asarray(read_photo(tmp_path / f"a.{ending}", 32)).astype(int) - np.asarray(upright)
    assert abs(difference).max() <= 1


def test_threads_share_a_bounded_room_and_problems_are_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(40)]
    for number, path in enumerate(paths):
        Image.new("RGB", (20 + number, 20)).save(path) if number % 10 else path.write_bytes(b"damaged")
    now, most, square, lock = [0], [0], photos._fit, threading.Lock()

    def watched(file: Image.Image, *given: object) -> Image.Image:
        n_bytes = 4 * file.width * file.height
        with lock:
            now[0] += n_bytes
            most[0] = max(most[0], now[0])
        image = square(file, *given)
        with lock:
            now[0] -= n_bytes
        return image

    monkeypatch.setattr(photos, "_fit", watched)
    monkeypatch.setattr(photos, "MAX_DECODED", 4 * 20 * 65)
    read = {}
    problems = photos.read_photos(paths, 16, 3, lambda index, image: read.update({index: image.size}))
    assert list(problems) == [0, 10, 20, 30]
    assert all(f"{index}.png" in problem for index, problem in problems.items())
    assert sorted(read) == [number for number in range(40) if number % 10]
    assert 0 < most[0] <= 4 * 20 * 65


def test_large_images_are_read_last_one_by_one_and_small_ones_in_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    paths = [tmp_path / f"{number}.png" for number in range(6)]
    for number, path in enumerate(paths):
        Image.new("RGBA" if number == 3 else "RGB", (40, 40) if number in (1, 4) else (20, 20)).save(path)
    monkeypatch.setattr(photos, "MAX_IN_THREAD", 4 * 20 * 20)
    read = []
    assert photos.read_photos(paths, 16, 3, lambda index, _: read.append((index, threading.current_thread()))) == {}
    assert [index for index, _ in read[3:]] == [1, 3, 4]
    assert sorted(index for index, _ in read[:3]) == [0, 2, 5]
    assert [thread is threading.main_thread() for _, thread in read] == [False] * 3 + [True] * 3


# paths


def test_a_tilde_is_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for name in ("a.png", "~$a.png"):  # the second is no user's home
        Image.new("RGB", (16, 16), RED).save(tmp_path / name)
    assert read_photo("~/a.png", 16).size == read_photo("~$a.png", 16).size == (16, 16)


def test_an_open_file_can_be_read(tmp_path: Path) -> None:
    stream = io.BytesIO()
    Image.new("RGB", (16, 16), RED).save(stream, "PNG")
    for _ in range(2):
        stream.seek(0)
        assert read_photo(stream, 16).getpixel((0, 0)) == RED


def test_a_message_about_a_name_that_is_no_utf_8_can_be_printed(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="there is no file") as caught:
        read_photo(f"{tmp_path}/caf\udce9.png")
    assert "caf\\udce9.png; check its name" in str(caught.value).encode("utf-8").decode()


@pytest.mark.parametrize("shape", [(0, 8, 8, 3), (0, 8, 8, 1)])
def test_no_images_have_no_mean(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="no images to take mean and standard deviation from; pass the transform"):
        fit_normalization(torch.empty(shape, dtype=torch.uint8))


def test_a_single_pixel_stays_finite() -> None:
    assert fit_normalization(torch.ones(1, 1, 1, 3, dtype=torch.uint8))(torch.ones(3, 1, 1)).isfinite().all()
