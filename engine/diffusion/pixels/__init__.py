"""Pictures, masks and latents as plain tensors: resizing, compositing, filters. Values as ComfyUI's nodes compute them."""
