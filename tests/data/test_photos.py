from pathlib import Path

import pytest
import torch
from PIL import Image

from siamese_triplet.datasets import read_photo
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
    for value, expected in ((100 * 256, 100), (65535, 255), (200, 0)):
        Image.new(mode, (32, 32), value).save(tmp_path / name)
        assert Image.open(tmp_path / name).mode == as_read
        assert read_photo(tmp_path / name, 16, channels=1).getpixel((8, 8)) == expected
        assert read_photo(tmp_path / name, 16).getpixel((8, 8)) == (expected,) * 3


@pytest.mark.parametrize(("value", "expected"), [(100 * 256, 100), (65535, 255), (256, 1), (255, 255), (100, 100)])
def test_integers_are_scaled_if_they_exceed_eight_bits(value: int, expected: int, tmp_path: Path) -> None:
    (tmp_path / "a.pgm").write_bytes(b"P5 32 32 65535\n" + value.to_bytes(2, "big") * 32**2)
    Image.new("I", (32, 32), value).save(tmp_path / "a.tif")
    for name in ("a.pgm", "a.tif"):
        assert Image.open(tmp_path / name).mode == "I"
        assert read_photo(tmp_path / name, 16, channels=1).getpixel((8, 8)) == expected


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
    for name in ("page.jpg", "nowhere.jpg"):
        with pytest.raises(ValueError, match=rf"{name} is not an image, or is truncated: .*; remove it"):
            read_photo(tmp_path / name)


def test_an_absurdly_large_image_raises_naming_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    Image.new("1", (100, 100)).save(tmp_path / "large.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    with pytest.raises(ValueError, match=r"large.png .* exceeds limit"):
        read_photo(tmp_path / "large.png")


@pytest.mark.parametrize(("image_size", "channels"), [(0, 3), (16, 2), (16, 4)])
def test_an_unsupported_shape_raises(image_size: int, channels: int, tmp_path: Path) -> None:
    Image.new("RGB", (16, 16)).save(tmp_path / "a.png")
    with pytest.raises(ValueError, match=f"channels={channels} must be 1 for grey .*image_size={image_size} at least"):
        read_photo(tmp_path / "a.png", image_size, channels)


def test_fit_normalization_uses_the_mean_and_deviation_of_the_pixels() -> None:
    data = torch.randint(0, 200, (7, 9, 8, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    data[..., 2] //= 3
    pixels = data.double().flatten(0, 2) / 255
    normalize = fit_normalization(data).transforms[2]
    torch.testing.assert_close(torch.tensor(normalize.mean).double(), pixels.mean(dim=0))
    torch.testing.assert_close(torch.tensor(normalize.std).double(), pixels.std(dim=0))
