"""The editor's modules as two scripts and its styles as one sheet: a browser asks for three files, not for a hundred and fifty.

The files in ``web/`` stay as they are, and ``/?parts`` serves them so. Each becomes a function that is called when it is first
needed; its names are given before it runs, as those of modules are, so that modules may need each other.
"""

import gzip
import hashlib
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

FOLDER = "joined"
ENTRY = "main.js"
LEVEL = 9
MODULES = re.compile(r"[ \t]*<!-- modules -->.*?<!-- /modules -->\n?", re.DOTALL)
SCRIPT = re.compile(r'[ \t]*<script type="module" src="main\.js"></script>\n?')
SHEET = re.compile(r'[ \t]*<link rel="stylesheet" href="([^"]+)" />\n?')
UNREAD = re.compile(r"/\*\*(?!/)[\s\S]*?\*/[ \t]*|^[ \t]*//.*\n|^[ \t]+|^\n", re.MULTILINE)
"""What a browser need not read: comments and indentation. Templates are the only strings of several lines, and are HTML."""
STYLE = re.compile(r"/\*.*?\*/|^[ \t]+|^\n", re.DOTALL | re.MULTILINE)
IMPORT = re.compile(r"^import\s+(?:(?P<what>[^'\"]+?)\s+from\s+)?'(?P<path>\.[^']+)';?", re.MULTILINE)
PASSED_ON = re.compile(r"^export\s+(?P<what>\*|\{[^}]*\})\s+from\s+'(?P<path>\.[^']+)';?", re.MULTILINE)
NAMED = re.compile(r"^export\s+(?P<kept>(?:async\s+)?(?:function\*?|class|const|let)\s+(?P<name>[\w$]+))", re.MULTILINE)
LISTED = re.compile(r"(?:^|(?<=[;}]))export\s*\{(?P<names>[^}]*)\};?", re.MULTILINE)
LATER = re.compile(r"\bimport\('(?P<path>\.[^']+)'\)")
LEFT = re.compile(r"^(?:import|export)\b|\bimport\s*\(|\bimport\.meta\b", re.MULTILINE)
SHARED = "__give, __need, __take, __later, __parts"
RUNTIME = """const __parts = {}, __made = {}, __whole = {}, __waiting = {};
const __give = (out, names) => {
for (const name in names) Object.defineProperty(out, name, { get: names[name], enumerable: true, configurable: true });
};
const __need = (name) => {
if (name in __made) return __made[name];
__parts[name](__made[name] = {});
__whole[name] = true;
for (const take of __waiting[name] ?? []) take();
return __made[name];
};
const __take = (name, take) => {
__need(name);
take();
if (!(name in __whole)) (__waiting[name] ??= []).push(take);
};
const __later = async (name) => {
if (!(name in __parts)) await import('./REST');
return __need(name);
};
"""


class UnjoinableError(Exception):
    """A module says something that cannot be put into a function; the message names it."""


@dataclass(frozen=True, slots=True)
class Joined:
    """The page, and the files it names: MIME type, bytes, the same as gzip."""

    page: str
    files: dict[str, tuple[str, bytes, bytes]]


class Joiner:
    """Joins a folder's files again when one of them has changed. Safe to call from any thread."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._lock = threading.Lock()
        self._stamp: tuple[tuple[str, int], ...] = ()
        self._joined: Joined | None = None

    def joined(self) -> Joined | None:
        """What to serve; None where the page is not one of ours. Raises UnjoinableError."""
        with self._lock:
            stamp = tuple((str(path), path.stat().st_mtime_ns) for path in self._files())
            if stamp != self._stamp:
                self._joined = join(self.root)
                self._stamp = stamp
            return self._joined

    def _files(self) -> Iterator[Path]:
        yield self.root / "index.html"
        for folder in sorted(path for path in self.root.iterdir() if path.is_dir() and path.name not in ("node_modules", "test")):
            yield from sorted(path for path in folder.iterdir() if path.suffix in (".js", ".css"))


def join(root: Path) -> Joined | None:
    """Raises UnjoinableError."""
    page = (root / "index.html").read_text(encoding="utf-8")
    if not MODULES.search(page) or not SCRIPT.search(page):
        return None
    modules = Modules(root)
    first = modules.reach(ENTRY)
    body = "".join(modules.part(name) for name in first)
    rest = "".join(modules.part(name) for name in modules.reach(ENTRY, later=True) if name not in first)
    sheet = "".join(STYLE.sub("", (root / name).read_text(encoding="utf-8")) for name in SHEET.findall(page))
    # A name says what is inside; either script names the other, so both take their name from both.
    code, style = _mark(RUNTIME, body, rest), _mark(sheet)
    start = RUNTIME.replace("REST", f"rest-{code}.js") + f"export {{ {SHARED} }};\n{body}__need('{ENTRY}');\n"
    files = {
        f"first-{code}.js": _file("text/javascript", start),
        f"rest-{code}.js": _file("text/javascript", f"import {{ {SHARED} }} from './first-{code}.js';\n{rest}"),
        f"style-{style}.css": _file("text/css", sheet),
    }
    head = f'    <link rel="stylesheet" href="{FOLDER}/style-{style}.css" />\n'
    head += f'    <script type="module" src="{FOLDER}/first-{code}.js"></script>\n'
    return Joined(SCRIPT.sub(lambda _: head, MODULES.sub("", SHEET.sub("", page))), files)


def _mark(*texts: str) -> str:
    return hashlib.sha256("\0".join(texts).encode()).hexdigest()[:16]


def _file(kind: str, text: str) -> tuple[str, bytes, bytes]:
    return kind, text.encode(), gzip.compress(text.encode(), LEVEL)


class Modules:
    """The modules of a folder by name: ``ui/app.js``."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._texts: dict[str, str] = {}
        self._reached: dict[tuple[str, bool], list[str]] = {}

    def text(self, name: str) -> str:
        if name not in self._texts:
            text = (self.root / name).read_text(encoding="utf-8")
            self._texts[name] = text if name.startswith("vendor/") else UNREAD.sub("", text)
        return self._texts[name]

    def reach(self, entry: str, *, later: bool = False) -> list[str]:
        """The modules that an entry needs before it can run, itself first; with ``later`` also those it may ask for."""
        if (entry, later) not in self._reached:
            found = [entry]
            for name in found:
                for pattern in (IMPORT, PASSED_ON, LATER)[: 3 if later else 2]:
                    paths = (resolve(name, match["path"]) for match in pattern.finditer(self.text(name)))
                    found.extend(path for path in dict.fromkeys(paths) if path not in found)
            self._reached[entry, later] = found
        return self._reached[entry, later]

    def part(self, name: str) -> str:
        """A module as a function that gives its names to ``__out`` and then runs."""
        given: list[tuple[str, str]] = []
        needed: list[str] = []

        def imported(match: re.Match[str]) -> str:
            target = resolve(name, match["path"])
            needed.append(bind((match["what"] or "").strip(), target, mutual=name in self.reach(target)))
            return ""

        def passed_on(match: re.Match[str]) -> str:
            target = resolve(name, match["path"])
            needed.append(f"__need('{target}');")
            if match["what"] == "*":
                needed.append(f"Object.defineProperties(__out, Object.getOwnPropertyDescriptors(__need('{target}')));")
            else:
                given.extend((outer, f"__need('{target}').{inner}") for inner, outer in pairs(match["what"]))
            return ""

        def named(match: re.Match[str]) -> str:
            given.append((match["name"], match["name"]))
            return match["kept"]

        def listed(match: re.Match[str]) -> str:
            given.extend((outer, inner) for inner, outer in pairs(match["names"]))
            return ""

        text = PASSED_ON.sub(passed_on, IMPORT.sub(imported, self.text(name)))
        text = LISTED.sub(listed, NAMED.sub(named, text))
        text = LATER.sub(lambda match: f"__later('{resolve(name, match['path'])}')", text)
        text = text.replace("import.meta.url", f"new URL('{name}', document.baseURI)")
        if not name.startswith("vendor/") and (left := LEFT.search(text)):
            line = text[left.start() :].splitlines()[0]
            raise UnjoinableError(f"{name}: the joined script cannot hold this line: {line[:100]}")
        names = ", ".join(f"{outer}: () => {inner}" for outer, inner in given)
        lines = "\n".join(needed)
        return f"__parts['{name}'] = (__out) => {{\n__give(__out, {{ {names} }});\n{lines}\n{text}\n}};\n"


def resolve(module: str, path: str) -> str:
    """The name that a module means by a relative path."""
    parts: list[str] = []
    for piece in (*PurePosixPath(module).parent.parts, *PurePosixPath(path).parts):
        if piece == ".." and parts:
            parts.pop()
        elif piece not in (".", ".."):
            parts.append(piece)
    return "/".join(parts)


def bind(what: str, target: str, *, mutual: bool) -> str:
    """An import as names of this function. Of a module that needs this one in turn, what is not there yet is taken later."""
    if not what:
        return f"__need('{target}');"
    if what.startswith("*"):
        return f"const {what.removeprefix('*').strip().removeprefix('as').strip()} = __need('{target}');"
    default, _, named = what.partition("{")
    found = [("default", default.strip(" ,\n"))] if default.strip() else []
    found += pairs(named)
    if not mutual:
        return f"const {{ {', '.join(f'{inner}: {outer}' for inner, outer in found)} }} = __need('{target}');"
    takes = " ".join(f"try {{ {outer} = __need('{target}').{inner}; }} catch {{}}" for inner, outer in found)
    return f"let {', '.join(outer for _, outer in found)}; __take('{target}', () => {{ {takes} }});"


def pairs(what: str) -> list[tuple[str, str]]:
    """The (inner, outer) names of ``{ a, b as c }``."""
    found = []
    for entry in what.strip("{} \n").split(","):
        inner, _, outer = entry.strip().partition(" as ")
        if inner:
            found.append((inner.strip(), (outer or inner).strip()))
    return found
