#!/usr/bin/env python3
"""A target that does not get slower, but whose latency wanders: each path takes 20 ms times (1 + x), with an AR(1) process x of its own
whose scatter is 10 % and whose correlation time is given. `scripts/drift` judges it.

usage: wandering-target.py PORT CORRELATION_SECONDS [SEED]; it listens on 127.0.0.1 until it is ended.
"""
import asyncio
import math
import random
import sys
import time

port, correlation = int(sys.argv[1]), float(sys.argv[2])
chance = random.Random(int(sys.argv[3]) if len(sys.argv) > 3 else 1)
levels = {}


def latency(path):
    """What this path takes now, in seconds."""
    now = time.monotonic()
    x, before = levels.get(path) or (chance.gauss(0, 0.1), now)
    kept = math.exp(-(now - before) / correlation) if correlation > 0 else 0.0
    x = kept * x + chance.gauss(0, 0.1 * math.sqrt(1 - kept * kept))
    levels[path] = (x, now)
    return 0.02 * max(0.2, 1 + x)


async def serve(reader, writer):
    try:
        while True:
            head = await reader.readuntil(b"\r\n\r\n")
            await asyncio.sleep(latency(head.split(b" ", 2)[1]))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError):
        pass
    finally:
        writer.close()


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", port):
        await asyncio.Event().wait()


asyncio.run(main())
