"""What a page of ours may load and run: scripts only from our own files."""

import base64
import hashlib
import re
from collections.abc import Iterable
from functools import lru_cache
from pathlib import Path

INLINE = re.compile(r"<script(?![^>]*\ssrc\s*=)[^>]*>(.*?)</script\s*>", re.DOTALL | re.IGNORECASE)


def policy(inline: Iterable[str] = ()) -> str:
    """The Content-Security-Policy; ``inline`` are hashes of scripts in the page. Styles may be inline: editors place things."""
    scripts = " ".join(("'self'", *inline))
    return (
        f"default-src 'self'; script-src {scripts}; style-src 'self' 'unsafe-inline'; "
        "img-src 'self' data: blob:; media-src 'self' data: blob:; font-src 'self' data:; connect-src 'self' blob: data:; "
        "worker-src 'self' blob:; object-src 'none'; base-uri 'none'; form-action 'self'; frame-ancestors 'self'"
    )


POLICY = policy()


def policy_of(page: Path) -> str:
    """The policy for the first page of an editor that is not ours: the scripts that its file has inside, and no others."""
    stat = page.stat()
    return policy(hashes_of(page, stat.st_size, stat.st_mtime_ns))


@lru_cache(8)
def hashes_of(page: Path, _size: int, _time: int) -> tuple[str, ...]:
    scripts = INLINE.findall(page.read_text(encoding="utf-8", errors="replace"))
    return tuple(f"'sha256-{base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()}'" for script in scripts)
