"""The three networks: Stable Diffusion 1's, some forty times smaller in width and depth.

Rombach et al. 2022, https://arxiv.org/abs/2112.10752. Widths are read from the weights by a loader; VAE groups are
``encoder.conv_in`` channels / 4 (SD 1: 128 / 4 = 32), text heads width / 64, UNet heads 8, as SD 1 has them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from diffusers.models.attention_processor import AttnProcessor
from torch import nn
from transformers import CLIPTextConfig, CLIPTextModel

SCALE = 0.18215
VOCABULARY = 49408
VAE_LAYERS = 1
UNET_LAYERS = 1
VAE_WIDTHS = (16, 32, 64, 96)
UNET_WIDTHS = (64, 128, 128)


def zero(module: nn.Module) -> None:
    """Sets every parameter of the module to zero."""
    for p in module.parameters():
        nn.init.zeros_(p)


def build_vae() -> AutoencoderKL:
    """1.72 M parameters, 8x down to 4 channels.

    Four channels a group: with one channel a group the last norm wipes out the mean colour of the picture.
    """
    vae = AutoencoderKL(
        in_channels=3, out_channels=3, down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4,
        block_out_channels=VAE_WIDTHS, layers_per_block=VAE_LAYERS, latent_channels=4, norm_num_groups=4, sample_size=128,
        scaling_factor=SCALE,
    )
    for name, module in vae.named_modules():
        if name.endswith((".conv2", ".to_out.0")):
            zero(module)
    with torch.no_grad():
        vae.quant_conv.weight[:4] *= 4
        vae.quant_conv.bias[4:] = -4.0
    return vae


def build_unet() -> UNet2DConditionModel:
    """6.72 M parameters, cross-attention at the two lower resolutions; residual branches and the output start at zero."""
    unet = UNet2DConditionModel(
        sample_size=16, in_channels=4, out_channels=4, layers_per_block=UNET_LAYERS, block_out_channels=UNET_WIDTHS,
        down_block_types=("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
        up_block_types=("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
        cross_attention_dim=128, attention_head_dim=8, norm_num_groups=32,
    )
    unet.set_attn_processor(AttnProcessor())
    for name, module in unet.named_modules():
        if name == "conv_out" or name.endswith((".conv2", ".proj_out")):
            zero(module)
    return unet


def build_text(vocabulary: int = VOCABULARY) -> CLIPTextModel:
    """The text model; with a smaller ``vocabulary`` it is the training model of :class:`tokens.Compact`."""
    whole = vocabulary == VOCABULARY
    config = CLIPTextConfig(
        vocab_size=vocabulary, hidden_size=128, intermediate_size=512, num_hidden_layers=2, num_attention_heads=2,
        max_position_embeddings=77, projection_dim=128, hidden_act="quick_gelu", bos_token_id=49406 if whole else 1,
        eos_token_id=49407 if whole else 2, pad_token_id=49407 if whole else 2,
    )
    text = CLIPTextModel(config)
    text.set_attn_implementation("eager")
    return text


def load_vae(path: Path) -> AutoencoderKL:
    """A trained VAE from its state file."""
    vae = build_vae()
    vae.load_state_dict(torch.load(path))
    return vae.eval()
