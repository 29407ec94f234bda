"""Write into web/index.html what the browser will need, so that it fetches all modules at once and not one after another.

    python tools/preload.py          update index.html
    python tools/preload.py --check  only say whether it is up to date
"""

import re
import sys
from pathlib import Path

WEB = Path(__file__).resolve().parent.parent / "web"
STATIC = re.compile(
    r"""^\s*(?:import|export)\b[^;'"()]*?from\s*['"](\.[^'"]+)['"]|^\s*import\s*['"](\.[^'"]+)['"]""", re.MULTILINE
)
BLOCK = re.compile(r"( *<!-- modules -->\n)(.*?)( *<!-- /modules -->\n)", re.DOTALL)


def modules(entry: Path) -> list[Path]:
    """Every module an entry needs before it can run, nearest first."""
    found, queue = [entry], [entry]
    while queue:
        here = queue.pop(0)
        for first, second in STATIC.findall(here.read_text()):
            path = (here.parent / (first or second)).resolve()
            if path not in found:
                found.append(path)
                queue.append(path)
    return found[1:]


def page() -> tuple[str, str]:
    """The page as it is and as it should be."""
    text = (WEB / "index.html").read_text()
    links = "".join(f'    <link rel="modulepreload" href="{path.relative_to(WEB)}" />\n' for path in modules(WEB / "main.js"))
    return text, BLOCK.sub(lambda match: match[1] + links + match[3], text)


if __name__ == "__main__":
    now, wanted = page()
    if "--check" in sys.argv:
        print("index.html is up to date" if now == wanted else "index.html is behind: run python tools/preload.py")
        sys.exit(now != wanted)
    (WEB / "index.html").write_text(wanted)
    print(wanted.count("modulepreload"), "modules")
