"""Sends batches as fast as it can: ``python -m tests.attacks.flood PORT KEY SOURCE CONNECTIONS EVENTS``, until it is killed.

The number of events of a batch decides what is flooded: 1 costs requests, 1,000 (and ``gzip`` as a last argument) work.
"""

import asyncio
import contextlib
import gzip
import json
import sys

from tests.attacks.collector import EVENT, request


async def _flood(port: int, source: str, data: bytes) -> None:
    while True:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            reader, writer = await asyncio.open_connection("127.0.0.1", port, local_addr=(source, 0))
            try:
                while True:
                    writer.write(data)
                    await reader.readuntil(b"\r\n\r\n")
            finally:
                writer.close()
        await asyncio.sleep(0.01)


async def _main(port: int, key: str, source: str, connections: int, events: int, packed: bool) -> None:
    body = json.dumps({"events": [{**EVENT, "seq": n} for n in range(events)]}).encode()
    data = request(gzip.compress(body), key, content_encoding="gzip") if packed else request(body, key)
    await asyncio.gather(*(_flood(port, source, data) for _ in range(connections)))


if __name__ == "__main__":
    port, key, source, connections, events, *rest = sys.argv[1:]
    asyncio.run(_main(int(port), key, source, int(connections), int(events), rest == ["gzip"]))
