"""ComfyUI's modules as packs import them: thin faces over our own engine, one file a module, under their own names."""
