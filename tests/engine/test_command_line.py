"""``main.py`` as a user meets it: answers, exit codes, and nothing written when what was asked makes no sense."""

from __future__ import annotations

import io
import json
import subprocess
import sys
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engine import events
from engine.overrides import override
from engine.problems import GraphError
from engine.prompt import parse
from engine.terminal import Terminal
from main import main

from .toys import n

ROOT = Path(__file__).resolve().parents[2]
PROMPT = {
    "1": n("PrimitiveInt", "How Many", value=3),
    "2": n("PreviewAny", source=("1", 0)),
    "3": n("Dice", seed=1),
    "4": n("Dice", seed=("1", 0)),
    "5": n("Empty", batch_size=1),
}


@pytest.fixture
def workflow(tmp_path: Path) -> Path:
    path = tmp_path / "hello.json"
    path.write_text(json.dumps({id: PROMPT[id] for id in ("1", "2")}))
    return path


def run(tmp_path: Path, *words: str) -> int:
    command, *rest = words
    return main([command, *rest, "--base-directory", str(tmp_path)])


def test_run_prints_what_the_nodes_show(tmp_path: Path, workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "run", str(workflow)) == 0
    assert capsys.readouterr().out == "3\n"


@pytest.mark.parametrize("name", ["1", "How Many", "how many", "PrimitiveInt"])
def test_an_input_is_set_by_id_title_or_type(
    tmp_path: Path, workflow: Path, capsys: pytest.CaptureFixture[str], name: str
) -> None:
    assert run(tmp_path, "run", str(workflow), "--set", f"{name}.value=7") == 0
    assert capsys.readouterr().out == "7\n"


@pytest.mark.parametrize(
    ("setting", "said"), [("9.value=1", "id or title"), ("1.valeu=1", "Did you mean value"), ("x", "NODE.INPUT=VALUE")]
)
def test_a_setting_that_makes_no_sense_is_refused(
    tmp_path: Path, workflow: Path, capsys: pytest.CaptureFixture[str], setting: str, said: str
) -> None:
    assert run(tmp_path, "run", str(workflow), "--set", setting) == 2
    assert said in capsys.readouterr().err


def test_json_tells_what_came_out(tmp_path: Path, workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "run", str(workflow), "--json") == 0
    assert json.loads(capsys.readouterr().out)["outputs"]["2"]["text"] == ["3"]


def test_seed_and_batch_change_every_one_that_is_no_link() -> None:
    raw = override(parse(PROMPT), seed=99, batch=4).raw
    assert (raw["3"]["inputs"]["seed"], raw["4"]["inputs"]["seed"], raw["5"]["inputs"]["batch_size"]) == (99, ["1", 0], 4)
    assert PROMPT["3"]["inputs"]["seed"] == 1


def test_a_changed_prompt_no_longer_claims_its_workflow() -> None:
    prompt = parse(PROMPT, {"workflow": {"nodes": []}, "other": 1})
    assert override(prompt).extra == prompt.extra
    assert override(prompt, seed=2).extra == {"other": 1}


def test_all_wrong_settings_are_told_at_once() -> None:
    with pytest.raises(GraphError) as caught:
        override(parse(PROMPT), ["9.a=1", "b", "1.valu=3"])
    assert len(caught.value.problems) == 3


def test_a_bad_prompt_lists_all_problems_exits_2_and_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    bad = {"1": n("PrimitiveInt", value="x"), "2": n("PreviewAny", source=("7", 0)), "3": n("PreviewAny", source=("1", 4))}
    (tmp_path / "bad.json").write_text(json.dumps(bad))
    before = sorted(tmp_path.rglob("*"))
    assert run(tmp_path, "run", str(tmp_path / "bad.json")) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 3
    assert run(tmp_path, "check", str(tmp_path / "bad.json"), "--json") == 2
    assert len(json.loads(capsys.readouterr().out)["problems"]) == 3
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("text", ["", "{", "[]", "3", '{"1": 2}', '{"nodes": [], "links": []}', "{}"])
def test_a_file_that_is_no_prompt_is_one_error(tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str) -> None:
    (tmp_path / "bad.json").write_text(text)
    assert run(tmp_path, "run", str(tmp_path / "bad.json")) == 2
    assert len(capsys.readouterr().err.strip().splitlines()) == 1


def test_too_much_json_is_one_error(tmp_path: Path, workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow.write_text(json.dumps({"1": n("PrimitiveString", value="x" * 300_000)}))
    assert run(tmp_path, "run", str(workflow), "--max-prompt-size", "0.1") == 2
    assert "--max-prompt-size" in capsys.readouterr().err


def test_a_missing_file_is_said(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(tmp_path, "run", str(tmp_path / "none.json")) == 2
    assert "no file" in capsys.readouterr().err


def test_a_failing_node_exits_1_with_its_name(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "fail.py").write_text(
        "from engine.node import node\n"
        "@node('Fail', category='t', output=True)\n"
        "def fail() -> None:\n"
        "    raise ValueError('it is broken')\n"
    )
    (tmp_path / "bad.json").write_text(json.dumps({"1": n("Fail", "Bad One")}))
    assert run(tmp_path, "run", str(tmp_path / "bad.json"), "--trust-all-packs") == 1
    assert "node 1 (Bad One): it is broken" in capsys.readouterr().err


def test_check_tells_what_is_sound_and_what_is_idle(tmp_path: Path, workflow: Path, capsys: pytest.CaptureFixture[str]) -> None:
    workflow.write_text(json.dumps({**json.loads(workflow.read_text()), "9": n("PrimitiveInt", value=1)}))
    assert run(tmp_path, "check", str(workflow)) == 0
    assert "node 9 (PrimitiveInt): no output needs it" in capsys.readouterr().out


def test_an_unknown_command_is_said(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(["rnu"])
    assert caught.value.code == 2
    assert "rnu" in capsys.readouterr().err


def test_help_comes_at_once_and_loads_nothing() -> None:
    code = "import sys; from main import main; main(['--help']); print([m for m in ('pydantic', 'torch') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.endswith("[]\n")


def test_a_picture_is_run_again_and_its_pixels_are_equal(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    prompt = {
        "1": n("EmptyImage", width=32, height=16, batch_size=1, color=0x3366CC),
        "2": n("SaveImage", images=("1", 0), filename_prefix="sub/%EmptyImage.width%"),
    }
    (tmp_path / "p.json").write_text(json.dumps(prompt))
    assert run(tmp_path, "run", str(tmp_path / "p.json")) == 0
    first = Path(capsys.readouterr().out.strip())
    assert first == tmp_path / "output" / "sub" / "32_00001_.png"
    assert run(tmp_path, "run", str(first)) == 0
    second = Path(capsys.readouterr().out.strip())
    assert second.name == "32_00002_.png"
    assert Image.open(first).tobytes() == Image.open(second).tobytes()


def test_an_interrupt_ends_a_run_as_cancelled(tmp_path: Path) -> None:
    import signal

    (tmp_path / "custom_nodes").mkdir()
    (tmp_path / "custom_nodes" / "long.py").write_text(
        "import time\n"
        "from engine.node import Run, node\n"
        "@node('Long', category='t', output=True)\n"
        "def long(*, run: Run) -> None:\n"
        "    print('begun', flush=True)\n"
        "    for i in range(1000):\n"
        "        time.sleep(0.05)\n"
        "        run.progress(i, 1000)\n"
    )
    (tmp_path / "p.json").write_text(json.dumps({"1": n("Long")}))
    words = [sys.executable, "main.py", "run", str(tmp_path / "p.json"), "--base-directory", str(tmp_path), "--trust-all-packs"]
    heed = partial(signal.signal, signal.SIGINT, signal.SIG_DFL)  # a shell lets what it starts in the background ignore it
    process = subprocess.Popen(words, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, preexec_fn=heed)
    assert process.stdout is not None
    assert process.stdout.readline() == "begun\n"
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=45)  # the node alone would take 50 seconds
    assert process.returncode == 130
    assert "cancelled" in err


class Screen(io.StringIO):
    def isatty(self) -> bool:
        return True


def told(out: io.StringIO, *happened: Any) -> str:
    terminal = Terminal(out)
    for event in happened:
        terminal(event)
    return out.getvalue()


WHO: dict[str, Any] = {"job": "j", "node": "3", "display": "3"}
STEPS = [
    events.StepStarted(**WHO, type="KSampler", title="Sample"),
    *(events.Progress(**WHO, value=i, total=20) for i in (1, 10, 20)),
    events.Finished(job="j"),
]


def test_a_terminal_sees_a_bar_with_node_step_and_pace() -> None:
    text = told(Screen(), *STEPS)
    assert "Sample" in text
    assert "10/20" in text
    assert "s/step" in text
    assert "█" in text


def test_a_log_gets_one_line_for_a_node() -> None:
    lines = told(io.StringIO(), *STEPS).splitlines()
    assert len(lines) == 1
    assert lines[0].startswith("Sample  20/20")
