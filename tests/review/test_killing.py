"""A server that is killed while it saves: what it acknowledged is there, once."""

import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from tiny_reviews import write_lines

from ocrtune.review import open_review

pytest.importorskip("fastapi")
pytest.importorskip("uvicorn")
httpx = pytest.importorskip("httpx")

RUN = "from ocrtune.cli import main\nmain()"
WRITERS = 3


def serve(lines):
    server = subprocess.Popen(
        [sys.executable, "-c", RUN, "review", str(lines), "--json"],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    return server, json.loads(server.stdout.readline())["link"]


def visit(link):
    home = link.partition("/?")[0]
    client = httpx.Client(base_url=home, headers={"origin": home})
    client.get(link)
    return client


def send(client, number, version, step):
    body = {"key": f"item{number}-step{step}", "version": version, "text": f"text {step}", "state": "good"}
    return client.post(f"/api/items/{number}/save", json=body)


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_what_was_acknowledged_before_a_kill_is_there_once_and_a_retry_adds_what_was_not(tmp_path):
    lines = tmp_path / "lines"
    write_lines(lines)
    server, link = serve(lines)
    acknowledged = dict.fromkeys(range(1, WRITERS + 1), 0)

    def write(number):
        client = visit(link)
        try:
            while send(client, number, acknowledged[number], acknowledged[number] + 1).status_code == 200:
                acknowledged[number] += 1
        except httpx.TransportError:
            return  # the server is dead

    writers = [threading.Thread(target=write, args=(number,)) for number in acknowledged]
    for writer in writers:
        writer.start()
    while sum(acknowledged.values()) < 40:
        time.sleep(0.01)
    os.kill(server.pid, signal.SIGKILL)
    for writer in writers:
        writer.join()
    server.wait()

    store = open_review(str(lines)).store
    for number, steps in acknowledged.items():
        kept = [edit.after for edit in reversed(store.read_history(number))]
        # The one on its way may have been written without having been answered.
        assert kept in ([f"text {step + 1}" for step in range(count)] for count in (steps, steps + 1))
        assert store.read_item(number).text == kept[-1]
        assert store.read_item(number).version == len(kept)
    store.close()

    server, link = serve(lines)
    client = visit(link)
    for number, steps in acknowledged.items():
        assert send(client, number, steps, steps + 1).json()["version"] == steps + 1
        assert len(client.get(f"/api/items/{number}/history").json()) == steps + 1
    server.send_signal(signal.SIGINT)
    assert server.wait(timeout=10) == 0
