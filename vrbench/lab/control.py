"""How a lab is talked to: one JSON line asked, one JSON line answered, over a socket in the state directory."""

from __future__ import annotations

import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

from vrbench.lab.ground.port import GroundError
from vrbench.lab.status import LabError

SOCKET_NAME = "control"

Answer = Callable[[dict[str, Any], socket.socket], dict[str, Any]]


def listen(state: Path) -> socket.socket:
    """Return a socket in ``state`` that only its owner can reach.

    A path may be longer than a socket address: it is reached by an open directory.
    """
    (state / SOCKET_NAME).unlink(missing_ok=True)
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        server.bind(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
    finally:
        os.close(directory)
    server.listen()
    return server


def ask(state: Path, question: dict[str, Any], timeout_s: float) -> dict[str, Any]:
    """Return the lab's answer; LabError with its words when it refuses, or when nobody answers in time."""
    directory = os.open(state, os.O_PATH | os.O_DIRECTORY)
    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as line:
            line.settimeout(timeout_s)
            line.connect(f"/proc/self/fd/{directory}/{SOCKET_NAME}")
            line.sendall(json.dumps(question).encode() + b"\n")
            reply = json.loads(line.makefile("rb").readline() or b"null")
    except (OSError, ValueError) as error:
        raise LabError(f"the lab in {state} does not answer ({error}): see {state / 'lab.log'}") from error
    finally:
        os.close(directory)
    if not isinstance(reply, dict) or "ok" not in reply:
        said = reply.get("error") if isinstance(reply, dict) else "the connection was closed"
        raise LabError(f"the lab in {state} refused: {said}")
    answer = reply["ok"]
    assert isinstance(answer, dict)
    return answer


def serve(server: socket.socket, answer: Answer) -> None:
    """Answer for ever, each caller in a thread of its own."""
    while True:
        line, _ = server.accept()
        Thread(target=_answer_one, args=(line, answer), daemon=True).start()


def _answer_one(line: socket.socket, answer: Answer) -> None:
    reply: dict[str, Any]
    with line:
        try:
            question = json.loads(line.makefile("rb").readline())
            reply = {"ok": answer(question, line)}
        except (GroundError, ValueError, KeyError, TypeError) as error:
            reply = {"error": str(error)}
        try:
            line.sendall(json.dumps(reply).encode() + b"\n")
        except OSError as error:
            print(f"control: the caller left before its answer: {error}", flush=True)
