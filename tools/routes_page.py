"""Write docs/routes.md from the route table: every route, who may use it, what it is for."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from engine.server.access import Role  # noqa: E402
from engine.server.openapi import plain  # noqa: E402
from engine.server.route import Route  # noqa: E402

PAGE = ROOT / "docs" / "routes.md"
ROLES = (Role.ANYONE, Role.VIEWER, Role.USER, Role.ADMIN)


def page(routes: Sequence[Route]) -> Iterator[str]:
    """The page by lines: one row a route, a column for each role."""
    yield "# Routes"
    yield ""
    yield f"{len(routes)} routes, written by `python tools/routes_page.py` from the code. What goes in and out of each is told by"
    yield "`/openapi.json`, and for people by `/docs`. A path that begins with `(/api)` is there with the prefix and without."
    yield "HEAD is answered wherever GET is."
    yield ""
    yield "The columns say who may where the server has users; each sees and changes only what is theirs, an administrator"
    yield "everything. `-` is answered 401 to one who has not logged in, else 403. A server without login treats everyone as its"
    yield "administrator."
    yield ""
    yield f"| method | path | {' | '.join(role.name.lower() for role in ROLES)} | |"
    yield f"|---|---|{'---|' * len(ROLES)}---|"
    for route in routes:
        marks = " | ".join("yes" if role >= route.role else "-" for role in ROLES)
        yield f"| {route.method} | {path(route)} | {marks} | {summary(route)} |"


def path(route: Route) -> str:
    shown = plain(route.paths()[0])
    return f"`{shown}`" if route.bare else f"`(/api){shown}`"


def summary(route: Route) -> str:
    return (route.handler.__doc__ or "").strip().partition("\n")[0].replace("|", "\\|")


def main() -> None:
    from engine.server.routes import ROUTES

    PAGE.write_text("\n".join([*page(ROUTES), ""]), encoding="utf-8")


if __name__ == "__main__":
    main()
