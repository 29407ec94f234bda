"""Fetch the browser libraries the editor uses and write them to web/vendor (development only).

Each package is taken from npm at the version named here, checked against the integrity npm records for it (and against
LOCK.json when that already has one), bundled to one ES module where it needs its friends, and written with its licence.
Run it again to update; the result is committed, so nobody else needs node.

    python tools/vendor.py          write web/vendor
    python tools/vendor.py --check  only say whether the files are those LOCK.json names
"""

import argparse
import base64
import hashlib
import io
import json
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

VENDOR = Path(__file__).resolve().parent.parent / "web" / "vendor"

PACKAGES = {
    "preact": "11.2.0",
    "htm": "3.1.1",
    "@preact/signals": "2.11.4",
    "@preact/signals-core": "1.14.5",
    "@leeoniya/ufuzzy": "1.0.19",
    "@dagrejs/dagre": "3.1.3",
    "idb-keyval": "6.3.0",
    "marked": "18.2.1",
    "dompurify": "3.4.18",
    "lucide-static": "1.62.0",
    "esbuild": "0.28.2",
}
NOT_SHIPPED = {"esbuild"}

BUNDLES = {
    "preact.js": """
        export { h, render, Fragment, createContext, createRef, options } from 'preact';
        export { useState, useEffect, useLayoutEffect, useMemo, useRef, useCallback, useContext, useId } from 'preact/hooks';
        export { signal, computed, effect, batch, untracked, useSignal, useComputed, useSignalEffect, Signal }
          from '@preact/signals';
        import { h } from 'preact';
        import htm from 'htm';
        export const html = htm.bind(h);
    """,
    "fuzzy.js": "export { default } from '@leeoniya/ufuzzy';",
    "dagre.js": "import dagre from '@dagrejs/dagre'; "
    "export const Graph = dagre.graphlib.Graph; export const layout = dagre.layout;",
    "idb.js": "export * from 'idb-keyval';",
    "markdown.js": "export { marked } from 'marked'; export { default as DOMPurify } from 'dompurify';",
}

ICONS = """
    play square x plus minus search settings layers list-tree image images box boxes package workflow folder folder-open
    file file-json save download upload trash-2 copy clipboard scissors undo-2 redo-2 sun moon monitor menu ellipsis
    ellipsis-vertical chevron-down chevron-right chevron-left chevron-up arrow-right arrow-left arrow-up arrow-down
    check circle-alert triangle-alert info circle-help pause skip-forward rotate-cw refresh-cw zoom-in zoom-out maximize
    fullscreen map lock unlock pin pin-off eye eye-off volume-x ban link unlink cable git-branch group ungroup
    wand-sparkles palette pencil eraser brush history clock cpu memory-stick gauge terminal keyboard command star
    star-off bookmark grid-3x3 layout-grid table columns-2 sliders-horizontal align-start-vertical align-end-vertical
    align-start-horizontal align-end-horizontal align-center-vertical align-center-horizontal
    align-horizontal-distribute-center align-vertical-distribute-center corner-up-left log-out user key share-2 dices
    repeat sticky-note type hash toggle-left square-dashed square-mouse-pointer hand locate panel-left panel-right
    panel-bottom filter arrow-down-up list grip-vertical circle circle-dot circle-check circle-x loader video music
    file-text app-window external-link split network route replace
""".split()  # noqa: SIM905


def fetch(name: str, version: str, lock: dict) -> tuple[bytes, str]:
    """The package's archive and its integrity, checked against npm's record and the lock."""
    told = json.loads(subprocess.check_output(["npm", "view", f"{name}@{version}", "dist", "--json"], stderr=subprocess.DEVNULL))
    locked = lock.get("packages", {}).get(name, {})
    if locked.get("version") == version and locked["integrity"] != told["integrity"]:
        raise SystemExit(
            f"{name} {version}: npm now says {told['integrity']}, LOCK.json says {locked['integrity']}. "
            "Somebody changed a published version; do not use it."
        )
    with tempfile.TemporaryDirectory() as place:
        pack = ["npm", "pack", f"{name}@{version}", "--silent"]
        subprocess.check_call(pack, cwd=place, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        data = next(Path(place).glob("*.tgz")).read_bytes()
    algorithm, digest = told["integrity"].split("-", 1)
    if base64.b64encode(hashlib.new(algorithm, data).digest()).decode() != digest:
        raise SystemExit(f"{name} {version}: the archive does not match npm's integrity {told['integrity']}.")
    return data, told["integrity"]


def unpack(data: bytes, into: Path) -> None:
    """Write an npm archive's files, without its leading folder; links and paths that leave it are refused."""
    with tarfile.open(fileobj=io.BytesIO(data)) as archive:
        for member in archive.getmembers():
            path = into / Path(*Path(member.name).parts[1:])
            if not member.isfile() or not path.resolve().is_relative_to(into.resolve()):
                continue
            path.parent.mkdir(parents=True, exist_ok=True)
            source = archive.extractfile(member)
            path.write_bytes(source.read() if source else b"")


def bundle(work: Path, name: str, entry: str) -> bytes:
    """One minified ES module of an entry text."""
    (work / "entry.js").write_text(entry)
    options = ["--bundle", "--format=esm", "--minify", "--target=es2022", "--legal-comments=none"]
    return subprocess.check_output(["npx", "--no-install", "esbuild", "entry.js", *options], cwd=work)


def sprite(folder: Path) -> bytes:
    """The chosen icons as one SVG of symbols."""
    symbols = []
    for icon in ICONS:
        path = folder / "icons" / f"{icon}.svg"
        if not path.exists():
            print(f"no icon {icon}", file=sys.stderr)
            continue
        text = path.read_text()
        body = text[text.index(">", text.index("<svg")) + 1 : text.rindex("</svg>")]
        symbols.append(f'<symbol id="{icon}" viewBox="0 0 24 24">{"".join(line.strip() for line in body.splitlines())}</symbol>')
    return ('<svg xmlns="http://www.w3.org/2000/svg">' + "\n".join(symbols) + "</svg>\n").encode()


def licence(folder: Path, name: str, version: str) -> str:
    """The licence text of an unpacked package."""
    texts = [path.read_text() for path in sorted(folder.iterdir()) if path.name.lower().startswith(("license", "licence"))]
    told = json.loads((folder / "package.json").read_text()).get("license", "")
    return f"{name} {version} ({told})\n{'=' * 60}\n" + ("\n".join(texts) or "See the package's own page.\n")


def write() -> None:
    """Fetch everything and write web/vendor."""
    lock_file = VENDOR / "LOCK.json"
    lock = json.loads(lock_file.read_text()) if lock_file.exists() else {}
    VENDOR.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as place:
        work = Path(place)
        packages, licences = {}, []
        for name, version in PACKAGES.items():
            data, integrity = fetch(name, version, lock)
            packages[name] = {"version": version, "integrity": integrity}
            if name in NOT_SHIPPED:
                continue
            folder = work / "node_modules" / name
            unpack(data, folder)
            licences.append(licence(folder, name, version))
        (work / "package.json").write_text('{"private": true}')
        install = ["npm", "install", "--silent", "--no-save", "--prefix", "tool", f"esbuild@{PACKAGES['esbuild']}"]
        subprocess.check_call(install, cwd=work)
        (work / "node_modules" / ".bin").mkdir(exist_ok=True)
        (work / "node_modules" / ".bin" / "esbuild").symlink_to(work / "tool" / "node_modules" / ".bin" / "esbuild")
        files = {name: bundle(work, name, entry) for name, entry in BUNDLES.items()}
        files["icons.svg"] = sprite(work / "node_modules" / "lucide-static")
    files["LICENSES"] = "\n\n".join(licences).encode()
    for name, data in files.items():
        (VENDOR / name).write_bytes(data)
    sums = {name: hashlib.sha256(data).hexdigest() for name, data in files.items()}
    lock_file.write_text(json.dumps({"packages": packages, "files": sums}, indent=2) + "\n")
    print({name: len(data) for name, data in files.items()})


def check() -> int:
    """Compare the files with the lock; the exit code says whether they are the same."""
    sums = json.loads((VENDOR / "LOCK.json").read_text())["files"]
    changed = [name for name, sha in sums.items() if hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() != sha]
    print(f"changed since vendored: {', '.join(changed)}" if changed else "vendored files are those of LOCK.json")
    return 1 if changed else 0


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare the files with LOCK.json and write nothing")
    if parser.parse_args().check:
        sys.exit(check())
    write()
