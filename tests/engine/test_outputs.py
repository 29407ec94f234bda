"""A result is on disk once and whole, or not at all; a picture carries its prompt."""

from __future__ import annotations

import dataclasses
import errno
import io
import json
import os
import re
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest

from engine import outputs
from engine.folders import Folders, PathError
from engine.metadata import exif, png_info, read_metadata
from engine.outputs import OutputError, Saved, commit, expand_prefix, settle
from engine.run import Job, Run

PROMPT = {"3": {"class_type": "KSampler", "inputs": {"seed": 42, "model": ["4", 0]}, "_meta": {"title": "My Sampler"}}}


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    return Folders(base=tmp_path)


def put(folders: Folders, data: bytes = b"x", index: int = 0, job: str = "j", **options: Any) -> Saved:
    return commit(data, "png", job=job, node="9", index=index, folders=folders, **options)


def files(folders: Folders) -> list[str]:
    root = folders.work("output")
    return sorted(p.relative_to(root).as_posix() for p in root.rglob("*") if p.is_file() and outputs.CLAIMS not in p.parts)


def test_files_are_numbered_as_comfy_numbers_them(folders: Folders) -> None:
    assert [put(folders, index=i).filename for i in range(3)] == [
        "ComfyUI_00001_.png",
        "ComfyUI_00002_.png",
        "ComfyUI_00003_.png",
    ]
    (folders.work("output") / "ComfyUI_00041_.png").write_bytes(b"")
    assert put(folders, index=3).filename == "ComfyUI_00042_.png"


def test_a_prefix_may_name_a_subfolder(folders: Folders) -> None:
    saved = put(folders, prefix="day/one/pic")
    assert saved.ui() == {"filename": "pic_00001_.png", "subfolder": "day/one", "type": "output"}
    assert saved.path.read_bytes() == b"x"


@pytest.mark.parametrize("prefix", ["../out", "/etc/x", "a/../../b", "C:\\x", "..\\x", "a\0b"])
def test_a_prefix_never_leads_out(folders: Folders, prefix: str) -> None:
    with pytest.raises(PathError):
        put(folders, prefix=prefix)


def test_the_same_result_is_written_once(folders: Folders) -> None:
    first, again = put(folders), put(folders, prefix="%date:hhmmss%/other")
    assert first == again
    assert files(folders) == ["ComfyUI_00001_.png"]


def test_another_job_writes_its_own(folders: Folders) -> None:
    put(folders)
    put(folders, job="k")
    assert len(files(folders)) == 2


def test_a_settled_job_claims_nothing(folders: Folders) -> None:
    put(folders)
    settle("j", folders)
    assert not (folders.work("output") / outputs.CLAIMS).exists()
    assert (folders.work("output") / "ComfyUI_00001_.png").stat().st_nlink == 1


@pytest.mark.parametrize("call", ["os.link", "os.fsync", "pathlib.Path.write_text"])
@pytest.mark.parametrize("number", [1, 2, 3])
def test_a_crash_at_any_moment_leaves_nothing_or_the_whole_file(tmp_path: Path, call: str, number: int) -> None:
    """The process ends at the n-th link, sync or note; running the job again leaves exactly one file."""
    code = f"""
import os, pathlib
from pathlib import Path
from engine.folders import Folders
from engine.outputs import commit
module, name = {call!r}.rsplit('.', 1)
owner = pathlib.Path if module != 'os' else os
real, calls = getattr(owner, name), []
def dying(*a, **k):
    calls.append(1)
    if len(calls) == {number}: os._exit(9)
    return real(*a, **k)
setattr(owner, name, dying)
commit(b'x' * 100_000, 'png', job='j', node='9', index=0, folders=Folders(base=Path({str(tmp_path)!r})))
"""
    done = subprocess.run([sys.executable, "-c", code], check=False)
    assert done.returncode in (0, 9)
    folders = Folders(base=tmp_path)
    assert all((folders.work("output") / name).stat().st_size == 100_000 for name in files(folders))
    assert put(folders, b"x" * 100_000).path.stat().st_size == 100_000
    assert len(files(folders)) == 1


def test_many_writers_never_share_a_number(folders: Folders) -> None:
    threads = [threading.Thread(target=put, args=(folders, b"x", i)) for i in range(24)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(folders) == [f"ComfyUI_{i:05}_.png" for i in range(1, 25)]


def test_two_workers_with_the_same_job_write_one_file(folders: Folders) -> None:
    threads = [threading.Thread(target=put, args=(folders,)) for _ in range(12)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert files(folders) == ["ComfyUI_00001_.png"]


def test_a_full_disk_is_said_and_leaves_no_half_file(folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OutputError, match="no space left in"):
        put(folders)
    assert [path for path in folders.work("output").rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    ("prefix", "expected"),
    [
        ("a_%width%x%height%", r"a_640x480"), ("%date:yyyy-MM-dd%/x", r"\d{4}-\d\d-\d\d/x"), ("%year%%month%%day%", r"\d{8}"),
        ("%My Sampler.seed%", "42"), ("%KSampler.seed%", "42"), ("%3.seed%", "42"), ("%Nobody.seed%", "%Nobody.seed%"),
        ("%3.model%", "%3.model%"), ("b%batch_num%", "b2"), ("100%", "100%"), ("%date:M-d-yy%", r"\d{1,2}-\d{1,2}-\d\d"),
    ],
)  # fmt: skip
def test_tokens_are_filled_in(prefix: str, expected: str) -> None:
    assert re.fullmatch(expected, expand_prefix(prefix, PROMPT, width=640, height=480, index=2))


def test_a_value_in_a_name_cannot_make_a_folder(folders: Folders) -> None:
    prompt = {"1": {"class_type": "Text", "inputs": {"text": "../a/b:c"}}}
    assert expand_prefix("%Text.text%", prompt) == ".._a_b_c"


def test_a_run_numbers_its_own_results(folders: Folders) -> None:
    run = Run("9", job=Job(id="j", folders=folders))
    names = [run.save(b"a", ".png").filename, run.save(b"b", "png", kind="temp", prefix="t").filename]
    assert names == ["ComfyUI_00001_.png", "t_00001_.png"]


@pytest.mark.parametrize("form", ["PNG", "WEBP", "JPEG"])
def test_a_picture_tells_its_prompt_and_workflow(tmp_path: Path, form: str) -> None:
    from PIL import Image

    path = tmp_path / f"x.{form.lower()}"
    extra = {"workflow": {"nodes": [], "title": "größe 日本"}}
    options: dict[str, Any] = {"pnginfo": png_info(PROMPT, extra)} if form == "PNG" else {"exif": exif(PROMPT, extra)}
    Image.new("RGB", (4, 4)).save(path, form, **options)
    assert read_metadata(path) == {"prompt": PROMPT, **extra}


def test_compressed_and_foreign_text_is_read_too(tmp_path: Path) -> None:
    from PIL import Image
    from PIL.PngImagePlugin import PngInfo

    info = PngInfo()
    info.add_text("prompt", json.dumps(PROMPT), zip=True)
    info.add_itxt("parameters", "a fox, Steps: 20 – größe", zip=True)
    Image.new("RGB", (4, 4)).save(tmp_path / "x.png", pnginfo=info)
    assert read_metadata(tmp_path / "x.png") == {"prompt": PROMPT, "parameters": "a fox, Steps: 20 – größe"}


@pytest.mark.parametrize("cut", [0, 5, 9, 40, 60, 100])
def test_a_truncated_picture_tells_what_it_can(tmp_path: Path, cut: int) -> None:
    from PIL import Image

    whole = io.BytesIO()
    Image.new("RGB", (4, 4)).save(whole, "PNG", pnginfo=png_info(PROMPT))
    (tmp_path / "x.png").write_bytes(whole.getvalue()[:cut])
    assert read_metadata(tmp_path / "x.png") in ({}, {"prompt": PROMPT})


def test_a_result_whose_file_was_deleted_is_made_again(tmp_path: Path) -> None:
    from .toys import SPECS, Loom, n

    def save(inputs: Any, run: Run) -> tuple[Any, ...]:
        run.emit_ui(images=[run.save(b"x", "png").ui()])
        return ()

    specs = {**SPECS, "Save": dataclasses.replace(SPECS["Show"], type="Save", call=save)}
    loom = Loom(specs, folders=Folders(base=tmp_path))
    prompt = {"1": n("Save", value=1)}
    shown = loom.run(prompt).ui["1"]["images"][0]
    assert loom.run(prompt).ran == ()
    settle("local", loom.folders)
    (tmp_path / "output" / shown["filename"]).unlink()
    assert loom.run(prompt).ran == ("1",)
