#!/usr/bin/env python3
"""What a daemon has to bear while it loads: connections that are idle, half-sent or never read, scrapes at once, pages of other origins, broken
profiles, pipes and devices among them, and a storage path that is gone.

usage: attack.py HOST:PORT PID PROFILE STORAGE SECONDS

Fails if the daemon obeys a page of another origin, doesn't answer a scraper, or takes a broken profile.
"""
import concurrent.futures
import os
import signal
import socket
import sys
import time
import urllib.error
import urllib.request

host, port = sys.argv[1].rsplit(":", 1)
pid, profile, storage, seconds = int(sys.argv[2]), sys.argv[3], sys.argv[4], float(sys.argv[5])
right = open(profile, encoding="utf-8").read()
pipe = profile + ".pipe"
os.mkfifo(pipe)
BROKEN = [
    right + f"\ninclude: [{os.path.basename(pipe)}]\n",
    right + "\nphasse: []\n",
    right + "\nx-long: '" + "{{ 1" + "+1" * 8000 + " }}'\ninclude: [/dev/zero]\n",
    '{"name": "soak", "scenarios": {"s": {"flow": [' + '{"http": {"get": "/"}}, ' * 4000 + '{"htp": 1}]}}}',
    "",
]


def ask(path, method="GET", headers=None):
    request = urllib.request.Request(f"http://{host}:{port}{path}", method=method, headers=headers or {})
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, error.read().decode()


def connect(text):
    # Another peer than the scrapers, who have their own share of connections.
    connection = socket.socket()
    connection.bind(("127.0.0.9", 0))
    connection.connect((host, int(port)))
    connection.sendall(text)
    return connection


def reload_successful():
    page = ask("/metrics")[1]
    return [line for line in page.splitlines() if line.startswith("load_exporter_profile_last_reload_successful")][0].endswith(" 1")


def until(wanted):
    deadline = time.monotonic() + 30
    while reload_successful() != wanted:
        assert time.monotonic() < deadline, f"the daemon has not {'taken' if wanted else 'refused'} its profile"
        time.sleep(0.5)


def lose_storage():
    """The storage path is a file for a while: what ends or begins then can't be stored."""
    os.rename(storage, storage + ".away")
    open(storage, "w", encoding="utf-8").close()
    time.sleep(3)
    os.remove(storage)
    os.rename(storage + ".away", storage)


# The first opens a connection and no more, the last wants many pages and reads none.
GUESTS = [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n", b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n" * 50]
end, rounds, scrapes = time.monotonic() + seconds, 0, 0
with concurrent.futures.ThreadPoolExecutor(100) as pool:
    while time.monotonic() < end:
        guests = [connect(text) for text in GUESTS for _ in range(80)]
        pages = list(pool.map(lambda _: ask("/metrics"), range(100)))
        assert all(status == 200 and "load_requests_total" in page for status, page in pages)
        scrapes += len(pages)
        status, _ = ask("/-/quit", "POST", {"Origin": "http://elsewhere.example"})
        assert status == 403, f"a page of another origin was answered {status}"
        with open(profile, "w", encoding="utf-8") as out:
            out.write(BROKEN[rounds % len(BROKEN)])
        os.kill(pid, signal.SIGHUP)
        until(False)
        with open(profile, "w", encoding="utf-8") as out:
            out.write(right)
        os.kill(pid, signal.SIGHUP)
        until(True)
        lose_storage()
        assert ask("/-/healthy")[0] == 200
        time.sleep(min(12, max(0, end - time.monotonic())))
        for guest in guests:
            guest.close()
        rounds += 1
assert rounds, "too short for one round"
print(f"attack: {rounds} rounds, {scrapes} scrapes, {rounds * 240} connections that nobody uses, {rounds} broken profiles, a storage path that was gone {rounds} times", flush=True)
