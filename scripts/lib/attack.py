#!/usr/bin/env python3
"""What a daemon has to bear while it loads: idle and half-sent connections, scrapes at once, pages of other origins, broken profiles.

usage: attack.py HOST:PORT PID PROFILE SECONDS

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
pid, profile, seconds = int(sys.argv[2]), sys.argv[3], float(sys.argv[4])
right = open(profile, encoding="utf-8").read()
BROKEN = [
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


end, rounds, scrapes = time.monotonic() + seconds, 0, 0
with concurrent.futures.ThreadPoolExecutor(100) as pool:
    while time.monotonic() < end:
        guests = [connect(text) for text in [b"", b"GET /metrics HTTP/1.1\r\nHost: x\r\n"] for _ in range(100)]
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
        time.sleep(min(12, max(0, end - time.monotonic())))
        for guest in guests:
            guest.close()
        rounds += 1
print(f"attack: {rounds} rounds, {scrapes} scrapes, {rounds * 200} idle connections, {rounds} broken profiles", flush=True)
