"""Requests that are sent one behind the other on many connections: each of them waits for its sender's turn."""

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from collector.transport.connections import Connections, Limits, PeerTurns
from collector.transport.protocol import IntakeProtocol
from tests.attacks.collector import head, request, running, wait_until

REQUESTS = 40
FLOODING = 60


class _Counted(PeerTurns):
    def __init__(self) -> None:
        super().__init__()
        self.asked = 0

    def run_in_turn(self, peer: str, work: Callable[[], None]) -> bool:
        self.asked += 1
        return super().run_in_turn(peer, work)


async def _app(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body"})


def test_each_pipelined_request_waits_for_a_turn_and_none_is_lost() -> None:
    assert asyncio.run(_turns_of_one_connection()) >= REQUESTS


async def _turns_of_one_connection() -> int:
    table = Connections(Limits(10, 10))
    table.turns = turns = _Counted()
    config, state = Config(_app, lifespan="off", log_config=None), ServerState()
    config.load()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: IntakeProtocol(config, state, {}, table=table), "127.0.0.1", 0)
    try:
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())
        writer.write(head("/", "GET") * REQUESTS)
        for _ in range(REQUESTS):
            answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
            assert b" 204 " in answer
        writer.close()
        return turns.asked
    finally:
        server.close()


def test_pipelined_batches_are_all_answered_in_order_beside_others(tmp_path: Path) -> None:
    with running(tmp_path) as collector:
        flood = [collector.client(f"127.0.0.{2 + number % 3}") for number in range(FLOODING)]
        for client in flood:
            client.send(head("/v1/health", "GET") * 200)
        client = collector.client("127.0.1.1")
        client.send((request() + head("/v1/none", "GET")) * 20)
        assert [client.answer().status for _ in range(40)] == [202, 404] * 20
        for client in flood:
            assert {client.answer().status for _ in range(200)} == {200}
        wait_until(collector.is_healthy)
