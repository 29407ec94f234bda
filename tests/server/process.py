"""``python main.py`` as a process of its own, to be killed."""

import json
import shutil
import signal
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

PROJECT = Path(__file__).parents[2]
PACK = Path(__file__).parent / "nodes_for_tests.py"


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
        return port


class Process:
    """The server on a base folder that has the test nodes as a pack; it can be killed and started again."""

    def __init__(self, base: Path, *flags: str) -> None:
        self.base, self.flags, self.port = base, flags, free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        (base / "custom_nodes").mkdir(parents=True, exist_ok=True)
        shutil.copy(PACK, base / "custom_nodes" / "test_nodes.py")
        self.process: subprocess.Popen[bytes] | None = None
        self.answered = 0.0
        self.context: ssl.SSLContext | None = None

    def start(self, seconds: float = 180.0) -> None:
        began = time.monotonic()
        words = ["--base-directory", str(self.base), "--port", str(self.port), "--dont-print-server", "--verbose", "WARNING"]
        words.append("--trust-all-packs")
        with (self.base / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "main.py", *words, *self.flags], cwd=PROJECT, stdout=log, stderr=subprocess.STDOUT
            )
        while time.monotonic() - began < seconds:
            if self.process.poll() is not None:
                raise RuntimeError((self.base / "server.log").read_text()[-2000:])
            try:
                self.get("/system_stats", seconds=1)
            except urllib.error.HTTPError:
                pass
            except OSError:
                time.sleep(0.01)
                continue
            self.answered = time.monotonic() - began
            return
        raise TimeoutError("the server does not answer")

    def request(self, method: str, path: str, data: Any = None, seconds: float = 90.0, **headers: str) -> Any:
        body = None if data is None else json.dumps(data).encode()
        request = urllib.request.Request(self.url + path, body, headers, method=method)
        with urllib.request.urlopen(request, timeout=seconds, context=self.context) as reply:
            text = reply.read()
        return json.loads(text) if text else None

    def get(self, path: str, **how: Any) -> Any:
        return self.request("GET", path, **how)

    def post(self, path: str, data: Any = None, **how: Any) -> Any:
        return self.request("POST", path, data if data is not None else {}, **how)

    def end(self, kind: signal.Signals = signal.SIGKILL) -> int:
        assert self.process is not None
        self.process.send_signal(kind)
        return self.process.wait(90)

    def wait_for_end(self, seconds: float = 120.0) -> None:
        """Wait until the process ends by itself; an error with what it said."""
        assert self.process is not None
        self.process.wait(seconds)
        raise RuntimeError((self.base / "server.log").read_text()[-2000:])

    @property
    def alive(self) -> bool:
        return self.process is not None and self.process.poll() is None
