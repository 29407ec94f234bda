"""Draw a small picture of what each shipped workflow makes, beside it: what the workflow library shows.

python tools/thumbnails.py            those that have none
python tools/thumbnails.py NAME ...   these, anew
"""

import subprocess
import sys
import tempfile
from pathlib import Path

from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
WORKFLOWS = ROOT / "workflows"
EDGE = 256
QUALITY = 82


def draw(workflow: Path) -> Image.Image:
    """What a workflow saves, several pictures side by side; raises CalledProcessError if it fails."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "main.py", "run", str(workflow), "--output-directory", folder]
        subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.DEVNULL)
        pictures = [Image.open(path).convert("RGB") for path in sorted(Path(folder).rglob("*.png"))[:4]]
    if not pictures:
        raise SystemExit(f"{workflow.name} saves no picture")
    return together(pictures)


def together(pictures: list[Image.Image]) -> Image.Image:
    """One picture at a fitting size; two or more as a grid of two columns."""
    if len(pictures) == 1:
        picture = pictures[0]
        scale = EDGE / max(picture.size)
        return picture.resize((round(picture.width * scale), round(picture.height * scale)), Image.Resampling.LANCZOS)
    cell = EDGE // 2
    sheet = Image.new("RGB", (EDGE, cell * -(-len(pictures) // 2)), (20, 22, 25))
    for i, picture in enumerate(pictures):
        sheet.paste(picture.resize((cell, cell), Image.Resampling.LANCZOS), (i % 2 * cell, i // 2 * cell))
    return sheet


if __name__ == "__main__":
    wanted, failed = set(sys.argv[1:]), []
    for workflow in sorted(WORKFLOWS.glob("*.json")):
        place = workflow.with_suffix(".webp")
        if workflow.stem not in wanted and (wanted or place.exists()):
            continue
        try:
            draw(workflow).save(place, quality=QUALITY, method=6)
        except subprocess.CalledProcessError:
            failed.append(workflow.name)
            continue
        print(place.relative_to(ROOT), place.stat().st_size)
    sys.exit(f"these failed: {', '.join(failed)}" if failed else 0)
