"""Flags before the environment before the file; what is unknown is answered with what is known."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from engine.flags import Parser, add_settings, setting_flags, without_ignored
from engine.server.start import features
from engine.settings import Settings, SettingsError, read_settings


def parsed(*words: str) -> Settings:
    parser = Parser(prog="main.py serve")
    add_settings(parser)
    found = parser.parse(words)
    return read_settings(setting_flags(found), {}, found.config)


def test_without_anything_the_defaults_hold() -> None:
    assert read_settings({}, {}) == Settings()


def test_flags_win_over_environment_over_file(tmp_path: Path) -> None:
    (tmp_path / "loom.toml").write_text('port = 1\nlisten = "a"\nmax-queue = 3\n')
    settings = read_settings({"port": "3", "base_directory": str(tmp_path)}, {"LOOM_PORT": "2", "LOOM_LISTEN": "b"})
    assert (settings.port, settings.listen, settings.max_queue) == (3, "b", 3)


def test_comfys_launch_lines_are_understood(tmp_path: Path) -> None:
    settings = parsed(
        "--listen", "--port", "8189", "--output-directory", str(tmp_path), "--cpu", "--lowvram", "--cuda-device", "1", "--fast",
        "--cache-lru", "10", "--enable-cors-header", "--preview-method", "none", "--disable-all-custom-nodes",
        "--whitelist-custom-nodes", "one", "two", "--dont-print-server", "--reserve-vram=2", "--verbose",
    )  # fmt: skip
    assert (settings.listen, settings.port, settings.enable_cors_header) == ("0.0.0.0,::", 8189, "*")
    assert (settings.cpu, settings.cache_lru, settings.preview_method, settings.verbose) == (True, 10, "none", "DEBUG")
    assert settings.pack_names() == ("one", "two")
    assert settings.folders().work("output") == tmp_path


@pytest.mark.parametrize("field", dataclasses.fields(Settings), ids=lambda field: field.name)
def test_every_setting_has_a_flag_and_help(field: dataclasses.Field[object]) -> None:
    assert field.metadata["help"]


def test_an_unknown_flag_is_answered_with_the_nearest(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        parsed("--ouput-directory", "x")
    assert caught.value.code == 2
    assert "did you mean --output-directory?" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("flags", "environment", "text", "said"),
    [
        ({"port": "x"}, {}, "", "port: .*integer"), ({}, {"LOOM_PROT": "1"}, "", "did you mean port"),
        ({}, {}, "prot = 1", "did you mean port"), ({}, {}, "port = ", "loom.toml"), ({"front_end": "x"}, {}, "", "front_end"),
    ],
)  # fmt: skip
def test_a_wrong_setting_says_where_and_what(
    tmp_path: Path, flags: dict[str, str], environment: dict[str, str], text: str, said: str
) -> None:
    (tmp_path / "loom.toml").write_text(text)
    with pytest.raises(SettingsError, match=said):
        read_settings({**flags, "base_directory": str(tmp_path)}, environment)


def test_a_named_file_must_be_there(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="no settings file"):
        read_settings({}, {}, tmp_path / "none.toml")


def test_lists_in_the_environment_are_split_at_commas() -> None:
    assert read_settings({}, {"LOOM_ALLOWED_HOSTS": "a.example, b.example"}).allowed_hosts == ("a.example", "b.example")


def test_ignored_flags_leave_the_rest_in_order() -> None:
    assert without_ignored(["--novram", "a", "--cuda-device", "0", "b", "--cuda-device=1", "--port", "1"]) == [
        "a",
        "b",
        "--port",
        "1",
    ]


def test_the_models_of_another_program_are_found(tmp_path: Path) -> None:
    """A relative base_path starts at the file; several lines are several folders; old kinds mean the new ones."""
    (tmp_path / "comfy" / "models" / "unet").mkdir(parents=True)
    (tmp_path / "comfy" / "models" / "unet" / "flux.safetensors").write_text("")
    (tmp_path / "comfy" / "more").mkdir()
    (tmp_path / "comfy" / "more" / "x.safetensors").write_text("")
    config = tmp_path / "paths.yaml"
    config.write_text(
        "comfyui:\n  base_path: comfy\n  unet: |\n    models/unet\n    more\n  custom_nodes: packs\nempty:\n"
        "first:\n  is_default: true\n  loras: L\n"
    )
    settings = Settings(base_directory=tmp_path, extra_model_paths_config=(config,))
    folders = settings.folders()
    assert folders.names("diffusion_models") == ["flux.safetensors", "x.safetensors"]
    assert folders.roots("loras")[0] == tmp_path / "L"
    assert settings.packs() == [tmp_path / "custom_nodes", tmp_path / "comfy" / "packs"]


def test_the_cache_follows_the_settings(tmp_path: Path) -> None:
    assert Settings(cache_none=True).cache().max_bytes == 0
    assert Settings(cache_ram=(2.0,)).cache().max_bytes == 2 * 2**30
    assert Settings(cache_lru=5).cache().max_entries == 5
    assert Settings().cache().disk is None
    assert Settings(cache_directory=tmp_path).cache().disk is not None


def test_every_launch_flag_that_scripts_use(tmp_path: Path) -> None:
    """One command line with all of them; a flag that may be repeated adds up."""
    folders = [word for name in ("output", "input", "temp", "user") for word in (f"--{name}-directory", str(tmp_path / name))]
    yamls = [tmp_path / name for name in ("a.yaml", "b.yaml", "c.yaml")]
    for n, path in enumerate(yamls):
        path.write_text(f"x:\n  loras: L{n}\n")
    settings = parsed(
        *folders, "--base-directory", str(tmp_path), "--listen", "127.0.0.1", "--port", "8189",
        "--extra-model-paths-config", str(yamls[0]), str(yamls[1]), "--extra-model-paths-config", str(yamls[2]),
        "--front-end-root", str(tmp_path), "--front-end", "comfy", "--preview-method", "latent2rgb", "--cache-lru", "3",
        "--cache-none", "--cache-ram", "4", "8", "--cpu", "--multi-user", "--max-upload-size", "5", "--enable-cors-header",
        "http://a.example", "--tls-keyfile", "k", "--tls-certfile", "c", "--disable-all-custom-nodes",
        "--whitelist-custom-nodes", "p", "--whitelist-custom-nodes", "q", "--quick-test-for-ci", "--dont-print-server",
        "--verbose", "DEBUG", "--feature-flag", "a=1", "--feature-flag", "b", "--enable-compress-response-body",
    )  # fmt: skip
    assert settings.extra_model_paths_config == tuple(yamls)
    assert [root.name for root in settings.folders().roots("loras")] == ["loras", "L0", "L1", "L2"]
    assert settings.pack_names() == ("p", "q")
    assert (settings.cache_ram, settings.max_upload_size, settings.enable_cors_header) == ((4, 8), 5, "http://a.example")
    assert [settings.folders().work(name) for name in ("output", "input", "temp", "user")] == [
        tmp_path / name for name in ("output", "input", "temp", "user")
    ]
    assert features(settings.feature_flag) == {"a": 1, "b": True}
