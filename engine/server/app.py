"""The web application, and serving it until it is told to stop."""

import asyncio
import errno
import logging
import signal
import ssl
import sys
import webbrowser
from collections.abc import Callable
from contextlib import suppress

from aiohttp import web

from engine.server.access import Role
from engine.server.gate import bind, guard
from engine.server.options import Options
from engine.server.pack_routes import pack_route
from engine.server.route import Route
from engine.server.routes import ROUTES
from engine.server.runtime import Engine
from engine.server.site import SITE, Site
from engine.settings import Settings, SettingsError

log = logging.getLogger(__name__)
HEADER_BYTES = 32 * 1024
STOP_SECONDS = 2.0
STREAMS = ("websocket", "text/event-stream")
"""Answers without an end, which nobody can ask the length of."""
NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL)
"""What a machine without IPv6 says to ``::``, which a bare ``--listen`` asks for beside ``0.0.0.0``."""
SWITCH_SECONDS = 0.001
"""How long a thread that computes may keep the others waiting; Python's own 5 ms would show in every answer."""


def make_app(options: Options, load_engine: Callable[[], Engine]) -> web.Application:
    """The application; ``load_engine`` is called on the worker's thread once the socket listens."""
    app = web.Application(middlewares=[guard], client_max_size=options.max_upload)
    site = app[SITE] = Site(options, load_engine)
    for route in ROUTES:
        handler = bind(route)
        for path in route.paths():
            app.router.add_route(route.method, path, handler)
            if route.method == "GET" and route.answer not in STREAMS:
                app.router.add_route("HEAD", path, handler)
    app.router.add_route("*", "/{path:.+}", bind(Route("*", "/{path:.+}", pack_route, Role.ANYONE, bare=True)))
    app.on_startup.append(site.open)
    app.on_shutdown.append(close_sockets)
    app.on_cleanup.append(site.close)
    return app


async def close_sockets(app: web.Application) -> None:
    """Say goodbye to the websockets, or they would hold the server up."""
    await app[SITE].hub.close()


async def run(options: Options, load_engine: Callable[[], Engine], *, once: bool = False) -> int:
    """Serve until SIGINT or SIGTERM (``once``: until everything is loaded); the exit code."""
    certificate = tls(options)
    app = make_app(options, load_engine)
    runner = web.AppRunner(
        app, access_log=None, max_line_size=HEADER_BYTES, max_field_size=HEADER_BYTES, shutdown_timeout=STOP_SECONDS
    )
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for name in (signal.SIGINT, signal.SIGTERM):
        with suppress(NotImplementedError):
            loop.add_signal_handler(name, stop.set)
    await runner.setup()
    try:
        for host in options.hosts:
            try:
                await web.TCPSite(runner, host, options.port, ssl_context=certificate, backlog=1024).start()
            except OSError as problem:
                if host != "::" or problem.errno not in NO_IPV6 or len(options.hosts) == 1:
                    raise
    except OSError as problem:
        print(f"Cannot listen on {host} port {options.port}: {problem.strerror}. Choose another with --port.", file=sys.stderr)
        await runner.cleanup()
        return 1
    if not options.quiet:
        announce(options)
    if options.open_browser:
        await asyncio.to_thread(webbrowser.open, f"{address(options, options.hosts[0])}/")
    site = app[SITE]
    site.ready.add_done_callback(lambda ready: stop.set() if ready.cancelled() or ready.exception() else None)
    if once:
        await site.ready
        await site.runtime.engine()
        stop.set()
    await stop.wait()
    loaded = not site.ready.done() or site.ready.exception() is None
    await runner.cleanup()
    return 0 if loaded else 1


def tls(options: Options) -> ssl.SSLContext | None:
    if options.tls_certfile is None:
        if options.tls_keyfile is not None:
            raise SettingsError("--tls-keyfile needs --tls-certfile beside it, or https cannot be served")
        return None
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        context.load_cert_chain(options.tls_certfile, options.tls_keyfile)
    except (OSError, ValueError) as problem:
        files = f"--tls-certfile {str(options.tls_certfile)!r}, --tls-keyfile {str(options.tls_keyfile or '')!r}"
        raise SettingsError(f"{files}: expected a certificate and its key in PEM form ({problem})") from None
    return context


def address(options: Options, host: str) -> str:
    scheme = "https" if options.tls_certfile else "http"
    return f"{scheme}://{f'[{host}]' if ':' in host else host}:{options.port}"


def announce(options: Options) -> None:
    """Where the server is, who may use it, and where it looks for models."""
    for host in options.hosts:
        print(f"Latent Loom is at {address(options, host)}")
    print(f"Login: {who_may(options)}")
    roots = options.folders.models or options.folders.base / "models"
    more = sorted({str(path) for paths in (*options.folders.first.values(), *options.folders.extra.values()) for path in paths})
    print(f"Models: {roots}" + "".join(f"\n        {path}" for path in more[:8]))
    sys.stdout.flush()


def who_may(options: Options) -> str:
    if options.login_needed:
        return "needed"
    if options.loopback:
        return "not needed, only this machine can reach the server"
    return "not needed (--no-login): WHOEVER REACHES THIS ADDRESS MAY DO EVERYTHING HERE"


def serve(settings: Settings) -> int:
    """What ``python main.py`` does: the exit code."""
    from engine.server.start import engine_of, options_of, set_up_logging

    set_up_logging(settings)
    sys.setswitchinterval(SWITCH_SECONDS)
    options = options_of(settings)
    return asyncio.run(run(options, lambda: engine_of(settings), once=settings.quick_test_for_ci))
