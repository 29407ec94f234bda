"""Names become files inside their folder, or are refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from engine.folders import Folders, MissingFileError, PathError, nearest


@pytest.fixture
def folders(tmp_path: Path) -> Folders:
    for name in (
        "checkpoints/sd/one.safetensors",
        "checkpoints/Two.ckpt",
        "unet/flux.gguf",
        "loras/hat.safetensors",
        "vae/notes.txt",
    ):
        path = tmp_path / "models" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "input" / "sub").mkdir(parents=True)
    (tmp_path / "input" / "sub" / "a.png").write_text("a")
    return Folders(base=tmp_path)


def test_files_are_listed_by_kind_with_their_subfolders(folders: Folders) -> None:
    assert folders.names("checkpoints") == ["sd/one.safetensors", "Two.ckpt"]
    assert folders.names("unet") == folders.names("diffusion_models") == ["flux.gguf"]
    assert folders.names("vae") == []
    assert folders.names("input") == ["sub/a.png"]


@pytest.mark.parametrize("name", ["sd/one.safetensors", "sd\\one.safetensors", ".\\sd\\one.safetensors"])
def test_either_separator_is_understood(folders: Folders, name: str) -> None:
    assert folders.find("checkpoints", name).read_text() == "checkpoints/sd/one.safetensors"


def test_an_annotated_name_says_its_folder(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "output").mkdir()
    (tmp_path / "output" / "b.png").write_text("b")
    assert folders.find("input", "b.png [output]").read_text() == "b"
    assert folders.find("input", "sub/a.png [input]").read_text() == "a"


def test_a_missing_name_comes_with_the_nearest(folders: Folders) -> None:
    with pytest.raises(MissingFileError, match=r"the nearest: Two\.ckpt"):
        folders.find("checkpoints", "tow.ckpt")
    with pytest.raises(MissingFileError) as caught:
        folders.find("checkpoints", "one.safetensors")
    assert caught.value.nearest == ("sd/one.safetensors",)
    with pytest.raises(MissingFileError, match="it is in loras"):
        folders.find("checkpoints", "hat.safetensors")


@pytest.mark.parametrize("name", ["../x", "a/../../x", "/etc/passwd", "C:/x", "\\\\host\\x", "a\0b", "", ".", "..", "..\\..\\x"])
def test_a_name_never_leaves_its_folder(folders: Folders, name: str) -> None:
    with pytest.raises(PathError):
        folders.find("input", name)


def test_a_link_out_of_input_is_refused_but_models_may_be_linked(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "big.safetensors").write_text("big")
    (tmp_path / "input" / "out").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "models" / "loras" / "more").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(PathError):
        folders.find("input", "out/big.safetensors")
    assert folders.find("loras", "more/big.safetensors").read_text() == "big"
    assert "more/big.safetensors" in folders.names("loras")


def test_a_loop_of_links_ends(folders: Folders, tmp_path: Path) -> None:
    (tmp_path / "models" / "loras" / "again").symlink_to(tmp_path / "models" / "loras")
    assert folders.names("loras") == ["hat.safetensors"]


def test_a_new_file_is_seen(folders: Folders, tmp_path: Path) -> None:
    folders.names("loras")
    (tmp_path / "models" / "loras" / "new.safetensors").write_text("")
    assert "new.safetensors" in folders.names("loras")


def test_folders_of_another_program_come_after_ours_or_before(folders: Folders, tmp_path: Path) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "hat.safetensors").write_text("theirs")
    last = Folders(base=tmp_path, extra={"loras": (other,)})
    first = Folders(base=tmp_path, first={"loras": (other,)})
    assert last.find("loras", "hat.safetensors").read_text() == "loras/hat.safetensors"
    assert first.find("loras", "hat.safetensors").read_text() == "theirs"
    assert "ipadapter" in Folders(base=tmp_path, extra={"ipadapter": (other,)}).kinds()


def test_nearest_ignores_case() -> None:
    assert nearest("KSAMPLER", ["KSampler", "VAEDecode"]) == ["KSampler"]
