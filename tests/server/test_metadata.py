"""Whether results say how they were made is the user's to say."""

from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.server.process import Process
from tests.server.test_resume import wait

WORKFLOW = {"nodes": [], "id": "the-secret-workflow"}
PROMPT: dict[str, Any] = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 24, "height": 16, "batch_size": 1, "color": 255}},
    "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "still_%EmptyImage.width%"}},
    "3": {"class_type": "SaveAnimatedWEBP", "inputs": {
        "images": ["1", 0], "filename_prefix": "moving", "fps": 6.0, "lossless": True, "quality": 80, "method": "default"}},
    "4": {"class_type": "SaveAnimatedPNG", "inputs": {
        "images": ["1", 0], "filename_prefix": "apng", "fps": 6.0, "compress_level": 4}},
    "5": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}},
}  # fmt: skip


@pytest.mark.parametrize("flags", [(), ("--disable-metadata",)])
def test_results_say_how_they_were_made_unless_that_is_not_wanted(tmp_path: Path, flags: tuple[str, ...]) -> None:
    process = Process(tmp_path, *flags)
    process.start()
    try:
        body = {"prompt": PROMPT, "extra_data": {"extra_pnginfo": {"workflow": WORKFLOW}}}
        wait(process, process.post("/prompt", body)["prompt_id"])
    finally:
        process.end()
    files = [path for folder in ("output", "temp") for path in sorted((tmp_path / folder).rglob("*")) if path.is_file()]
    assert len(files) == 4
    assert (tmp_path / "output" / "still_24_00001_.png") in files
    for path in files:
        with Image.open(path) as picture:
            assert picture.size == (24, 16)
        told = [word in path.read_bytes() for word in (b"class_type", b"the-secret-workflow")]
        assert told == [not flags, not flags], path.name
