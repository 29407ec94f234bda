"""CLIP's image towers: pictures to features a denoiser can listen to."""
