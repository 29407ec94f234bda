"""Pictures, masks and latents against PIL, scipy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.ndimage
import torch
from PIL import Image as PILImage
from PIL import ImageChops

from engine.diffusion.pixels import composite, filters, latents, masks, operations, resize


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(*shape, generator=torch.Generator().manual_seed(seed))


def test_lanczos_is_pils() -> None:
    image = noise(1, 3, 40, 56)
    ours = resize.resize(image, 28, 64, "lanczos")
    theirs = PILImage.fromarray(resize.to_bytes(image.movedim(1, -1))[0], "RGB").resize((28, 64), PILImage.Resampling.LANCZOS)
    assert torch.equal(ours[0].movedim(0, -1), torch.from_numpy(np.asarray(theirs, dtype=np.float32) / 255.0))


@pytest.mark.parametrize("method", ["nearest-exact", "bilinear", "area", "bicubic", "lanczos", "bislerp"])
def test_resizing_keeps_a_constant_picture_constant(method: str) -> None:
    image = torch.full((2, 3, 24, 32), 0.5)
    assert torch.allclose(resize.resize(image, 40, 16, method), torch.full((2, 3, 16, 40), 0.5), atol=1 / 255)


def test_bislerp_to_the_same_size_is_identity() -> None:
    latent = torch.randn(2, 4, 16, 12, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(resize.bislerp(latent, 12, 16), latent, atol=1e-5)


def test_bislerp_between_orthogonal_vectors_keeps_their_length() -> None:
    ends = torch.tensor([[3.0, 0.0], [0.0, 3.0]]).t().reshape(1, 2, 1, 2)
    lengths = resize.bislerp(ends, 9, 1).norm(dim=1)
    assert torch.allclose(lengths, torch.full_like(lengths, 3.0), atol=1e-5)


def test_centre_crop_cuts_both_sides_alike() -> None:
    ramp = torch.arange(8.0).view(1, 1, 1, 8).expand(1, 1, 4, 8)
    assert resize.resize(ramp, 4, 4, "nearest-exact", "center")[0, 0, 0].tolist() == [2, 3, 4, 5]


def test_video_frames_are_resized_like_pictures() -> None:
    clip = noise(2, 3, 5, 16, 16)
    frames = resize.resize(clip, 24, 8, "bilinear")
    assert frames.shape == (2, 3, 5, 8, 24)
    assert torch.equal(frames[:, :, 3], resize.resize(clip[:, :, 3], 24, 8, "bilinear"))


@pytest.mark.parametrize("tapered", [False, True])
@pytest.mark.parametrize("pixels", [4, -4])
def test_growing_a_mask_is_scipys_grey_morphology(pixels: int, tapered: bool) -> None:
    mask = noise(2, 20, 30)
    corner = 0 if tapered else 1
    footprint = np.array([[corner, 1, corner], [1, 1, 1], [corner, 1, corner]])
    step = scipy.ndimage.grey_dilation if pixels > 0 else scipy.ndimage.grey_erosion
    expected = mask.numpy()
    for _ in range(abs(pixels)):
        expected = np.stack([step(item, footprint=footprint) for item in expected])
    assert np.array_equal(masks.grow(mask, pixels, tapered).numpy(), expected)


def test_feather_ramps_from_each_border() -> None:
    faded = masks.feather(torch.ones(1, 4, 8), 4, 0, 0, 2)
    assert faded[0, 0].tolist() == [0.25, 0.5, 0.75, 1, 1, 1, 1, 1]
    assert faded[0, :, 7].tolist() == [1, 1, 1, 0.5]


def test_mask_operations_have_their_truth_tables() -> None:
    a, b = torch.tensor([[[0.0, 0.0, 1.0, 1.0]]]), torch.tensor([[[0.0, 1.0, 0.0, 1.0]]])
    expected = {
        "multiply": [0, 0, 0, 1], "add": [0, 1, 1, 1], "subtract": [0, 0, 1, 0],
        "and": [0, 0, 0, 1], "or": [0, 1, 1, 1], "xor": [0, 1, 1, 0],
    }  # fmt: skip
    for operation, row in expected.items():
        assert masks.combine(a, b, 0, 0, operation)[0, 0].tolist() == row, operation


def test_a_mask_laid_outside_changes_nothing() -> None:
    mask = noise(1, 8, 8)
    assert torch.equal(masks.combine(mask, torch.ones(1, 4, 4), 9, 9, "add"), mask)


def test_colour_mask_finds_exactly_its_colour() -> None:
    image = torch.tensor([[[[1.0, 0.5, 0.0], [1.0, 0.5, 0.01]]]])
    assert masks.from_colour(image, 0xFF8000)[0, 0].tolist() == [1, 0]


def test_blur_is_scipys_convolution_with_a_gaussian() -> None:
    image = noise(1, 16, 16, 3)
    kernel = filters.gaussian_kernel(2, 0.7).numpy()
    expected = np.stack([scipy.ndimage.correlate(image[0, ..., c].numpy(), kernel, mode="mirror") for c in range(3)], -1)
    assert np.allclose(filters.blur(image, 2, 0.7)[0].numpy(), expected, atol=1e-5)


def test_sharpening_a_flat_picture_changes_nothing() -> None:
    flat = torch.full((1, 16, 16, 3), 0.3)
    assert torch.allclose(filters.sharpen(flat, 2, 1.0, 1.0), flat, atol=1e-5)


def test_multiply_and_screen_are_pils() -> None:
    a, b = noise(1, 16, 16, 3), noise(1, 16, 16, 3, seed=1)
    pictures = [PILImage.fromarray((x[0] * 255).round().byte().numpy(), "RGB") for x in (a, b)]
    for mode, chops in (("multiply", ImageChops.multiply), ("screen", ImageChops.screen)):
        ours = filters.blend(a, b, 1.0, mode)[0].numpy()
        assert np.abs(ours - np.asarray(chops(*pictures), dtype=np.float32) / 255.0).max() < 3 / 255, mode


@pytest.mark.parametrize("mode", filters.BLEND_MODES)
def test_blending_by_nothing_changes_nothing(mode: str) -> None:
    a, b = noise(1, 8, 8, 3), noise(1, 8, 8, 3, seed=1)
    assert torch.allclose(filters.blend(a, b, 0.0, mode), a)


@pytest.mark.parametrize("dither", filters.DITHERS)
def test_quantizing_leaves_at_most_so_many_colours(dither: str) -> None:
    quantized = filters.quantize(noise(2, 24, 24, 3), 8, dither)
    assert all(len(picture.reshape(-1, 3).unique(dim=0)) <= 8 for picture in quantized)


def test_bayer_matrix_of_side_2() -> None:
    assert (filters.bayer_matrix(1) * 4).tolist() == [[-1.5, 0.5], [1.5, -0.5]]


@pytest.mark.parametrize("size", [3, 5])
def test_morphology_is_scipys(size: int) -> None:
    image = noise(1, 20, 20, 1)
    plain = image[0, ..., 0].numpy()
    for operation, function in (("dilate", scipy.ndimage.grey_dilation), ("erode", scipy.ndimage.grey_erosion)):
        expected = function(plain, size=(size, size))
        assert np.array_equal(filters.morphology(image, operation, size)[0, ..., 0].numpy(), expected)
    assert torch.all(filters.morphology(image, "open", size) <= image + 1e-6)
    assert torch.all(filters.morphology(image, "close", size) >= image - 1e-6)


def test_yuv_and_back() -> None:
    image = noise(1, 8, 8, 3)
    assert torch.allclose(filters.ycbcr_to_rgb(filters.rgb_to_ycbcr(image)), image, atol=1e-3)


def test_paste_cuts_what_sticks_out_on_every_side() -> None:
    under, over = torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 4, 4)
    for x, y, area in ((-2, -2, 4), (6, 6, 4), (2, 2, 16), (9, 0, 0), (-2, 2, 8)):
        assert composite.paste(under, over, x, y, None).sum() == area


def test_paste_weights_by_the_mask() -> None:
    under, over = torch.zeros(1, 1, 4, 4), torch.ones(1, 1, 4, 4)
    assert torch.allclose(composite.paste(under, over, 0, 0, torch.full((1, 4, 4), 0.25)), torch.full((1, 1, 4, 4), 0.25))


def test_feathered_paste_fades_only_inside() -> None:
    pasted = composite.paste_feathered(torch.zeros(1, 1, 8, 8), torch.ones(1, 1, 8, 4), 4, 0, 2)
    assert pasted[0, 0, 3].tolist() == [0, 0, 0, 0, 0.5, 1, 1, 1]


def test_outpaint_mask_is_full_outside_and_fades_inside() -> None:
    image = noise(1, 16, 16, 3)
    canvas, mask = composite.pad_for_outpaint(image, 8, 0, 0, 0, 4)
    assert canvas.shape == (1, 16, 24, 3)
    assert torch.equal(canvas[:, :, 8:], image)
    assert mask[0, 0].tolist() == [1.0] * 8 + [1.0, 0.5625, 0.25, 0.0625] + [0.0] * 12


def test_porter_duff_over_opaque_is_pils_alpha_composite() -> None:
    s, d = noise(1, 8, 8, 3), noise(1, 8, 8, 3, seed=1)
    sa, da = noise(1, 8, 8, 1, seed=2), torch.ones(1, 8, 8, 1)
    ours, _ = composite.porter_duff(s, sa, d, da, "SRC_OVER")
    pictures = [PILImage.fromarray((torch.cat(pair, -1)[0] * 255).round().byte().numpy(), "RGBA") for pair in ((d, da), (s, sa))]
    theirs = np.asarray(PILImage.alpha_composite(*pictures), dtype=np.float32)[..., :3] / 255
    assert np.abs(ours[0].numpy() - theirs).max() < 3 / 255


@pytest.mark.parametrize("mode", composite.PORTER_DUFF_MODES)
def test_porter_duff_stays_in_range(mode: str) -> None:
    colour, alpha = composite.porter_duff(
        noise(1, 8, 8, 3), noise(1, 8, 8, 1, seed=1), noise(1, 8, 8, 3, seed=2), noise(1, 8, 8, 1, seed=3), mode
    )
    assert colour.min() >= 0
    assert colour.max() <= 1
    assert alpha.min() >= 0
    assert alpha.max() <= 1 + 1e-6


def test_a_part_of_a_batch_keeps_its_noise_indices() -> None:
    batch = {"samples": torch.randn(6, 4, 8, 8)}
    part = latents.from_batch(latents.from_batch(batch, 2, 3), 1, 5)
    assert part["batch_index"] == [3, 4]
    assert torch.equal(part["samples"], batch["samples"][3:5])


def test_copies_of_a_batch_draw_noise_of_their_own() -> None:
    batch = {"samples": torch.randn(2, 4, 8, 8), "batch_index": [3, 4]}
    assert latents.repeated(batch, 3)["batch_index"] == [3, 4, 5, 6, 7, 8]


def test_rebatching_keeps_every_item_and_its_noise() -> None:
    parts = [{"samples": torch.randn(n, 4, 8, 8)} for n in (3, 1, 4)]
    out = latents.rebatched(parts, 3)
    assert [item["samples"].shape[0] for item in out] == [3, 3, 2]
    assert torch.equal(torch.cat([item["samples"] for item in out]), torch.cat([item["samples"] for item in parts]))
    assert [i for item in out for i in item["batch_index"]] == [0, 1, 2, 0, 0, 1, 2, 3]


def test_interpolating_all_of_one_latent_gives_it_back() -> None:
    a, b = torch.randn(1, 4, 8, 8), torch.randn(1, 4, 8, 8)
    assert torch.allclose(latents.interpolate(a, b, 1.0), a, atol=1e-5)
    assert torch.allclose(latents.interpolate(a, b, 0.0), b, atol=1e-5)


def test_upscale_keeps_the_aspect_when_one_side_is_0() -> None:
    latent = {"samples": torch.randn(1, 4, 16, 32)}
    assert latents.upscaled_to(latent, "bilinear", 0, 256, "disabled")["samples"].shape == (1, 4, 32, 64)


def test_encoding_mask_greys_the_hole_and_grows_the_noise_mask() -> None:
    pixels, mask = noise(1, 32, 32, 3), torch.zeros(1, 32, 32)
    mask[:, 12:20, 12:20] = 1
    grey, grown = latents.mask_for_encoding(pixels, mask, 5)
    assert torch.all(grey[:, 12:20, 12:20] == 0.5)
    assert torch.equal(grey[:, :12], (pixels - 0.5)[:, :12] + 0.5)
    assert grown.sum() == 12 * 12


def test_tonemapping_shortens_vectors_and_keeps_their_direction() -> None:
    latent = torch.randn(1, 4, 16, 16, generator=torch.Generator().manual_seed(3))
    mapped = operations.tonemap_reinhard(1.0)(latent)
    assert torch.all(mapped.norm(dim=1) < latent.norm(dim=1))
    assert torch.allclose(torch.cosine_similarity(mapped, latent, dim=1), torch.ones(1, 16, 16), atol=1e-4)


def test_sharpening_a_latent_by_nothing_changes_nothing() -> None:
    latent = torch.randn(1, 4, 32, 32, generator=torch.Generator().manual_seed(3))
    assert torch.allclose(operations.sharpen_latent(9, 1.0, 0.0)(latent), latent, atol=1e-4)
