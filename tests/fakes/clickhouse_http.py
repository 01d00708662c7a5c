"""As much of a ClickHouse server's HTTP interface as ``clickhouse-connect`` uses, on top of chDB. For tests alone.

A ClickHouse server comes from no package registry; its engine does, as chDB. What stands between is written here after
ClickHouse's own sources (src/Server/HTTPHandler.cpp, HTTP/HTMLForm.cpp, HTTP/exceptionCodeToHTTPStatus.cpp): users,
databases, settings and parameters in the query string or in a form, their limits, sessions, Content-Encoding both ways,
`INSERT … FORMAT` with its data in the body, summaries, error codes with their statuses. Not done: TLS, quotas, external
tables, progress headers, asynchronous inserts (the setting is recorded), everything that needs Keeper or a second server.

It is a process of its own with a chDB directory of its own (``python -m tests.fakes.clickhouse_http``), because one
process opens one directory. `ClickHouseServer` starts, kills and talks to it; `Fault` is what goes wrong on demand.
"""

import argparse
import base64
import contextlib
import gzip
import io
import json
import os
import re
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
import zlib
from collections import deque
from dataclasses import asdict, dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qsl, quote, urlsplit

ROOT = Path(__file__).resolve().parents[2]
USER, PASSWORD = "furrow", "open: sésame/#"

# Defaults of the server's settings of these names (system.settings of chDB 26.9).
MAX_URI_BYTES = 1_048_576
MAX_FIELD_BYTES = 131_072

_START_SECONDS = 60
_HALF_A_CUT = 64
_REFUSED_IN_GET = re.compile(rb"\s*(insert|create|alter|drop|truncate|kill|set)\b", re.I)
_INSERT = re.compile(rb"\s*(insert\s+into\s+[^;]+?\sformat\s+(\w+))[ \t]*(?:\r?\n|$)", re.I)
_FORMAT = re.compile(rb"\bformat\s+(\w+)\s*;?\s*$", re.I)
# A cluster of one shard, which is this very process: Distributed tables work, ON CLUSTER (which needs Keeper) does not.
_CLUSTER = """<clickhouse><tcp_port>9000</tcp_port><remote_servers><one><shard><internal_replication>true</internal_replication>
<replica><host>localhost</host><port>9000</port></replica></shard></one></remote_servers></clickhouse>"""
# What the HTTP interface takes for itself; every other parameter is a setting or a query's parameter (param_…).
_RESERVED = {
    "query", "database", "user", "password", "default_format", "session_id", "session_timeout", "session_check", "query_id",
    "quota_key", "compress", "decompress", "wait_end_of_query", "client_protocol_version", "role", "buffer_size", "stacktrace",
}  # fmt: skip
_STATUS = {
    194: 401, 192: 403, 193: 403, 516: 403, 512: 403, 497: 403,
    36: 400, 6: 400, 25: 400, 26: 400, 38: 400, 41: 400, 72: 400, 27: 400, 376: 400, 15: 400, 44: 400, 8: 400, 62: 400,
    117: 400, 53: 400, 321: 400, 427: 400,
    60: 404, 46: 404, 47: 404, 50: 404, 56: 404, 81: 404, 115: 404, 63: 404, 73: 404, 78: 404, 336: 404,
    48: 501, 209: 503, 76: 503, 439: 503, 159: 408,
}  # fmt: skip
_NAMES = {
    60: "UNKNOWN_TABLE", 159: "TIMEOUT_EXCEEDED", 164: "READONLY", 202: "TOO_MANY_SIMULTANEOUS_QUERIES", 209: "SOCKET_TIMEOUT",
    241: "MEMORY_LIMIT_EXCEEDED", 373: "SESSION_IS_LOCKED", 497: "ACCESS_DENIED", 516: "AUTHENTICATION_FAILED",
    1000: "POCO_EXCEPTION",
}  # fmt: skip


@dataclass
class Fault:
    """What goes wrong with the next ``times`` requests whose SQL (or, of an insert, its statement) holds ``match``.

    ``error``: the answer is the error ``code``, nothing is done. ``lost``: all is done, the connection is cut instead of an
    answer. ``cut``: all is done, the connection is cut in the middle of the answer. ``refused``: the connection is cut when
    half of the request's body has come, nothing is done. ``slow``: nothing for ``seconds``, then all is done and answered.
    ``trickle``: the answer comes in 20 pieces over ``seconds``. ``failed_late``: the answer begins, and ends with an error
    of ``code`` as a server sends it once its headers are gone.
    """

    kind: str
    match: str = ""
    times: int = 1
    code: int = 241
    seconds: float = 0.0


@dataclass
class Recorded:
    """One request as it came: the statement without its data, and how it was sent."""

    sql: str
    parameters: list[str]
    settings: dict[str, str]
    user: str
    database: str
    uri_bytes: int
    body_bytes: int
    form: bool
    content_encoding: str
    accept_encoding: str
    answer_encoding: str = ""
    status: int = 0
    session: bool = False


class ClickHouseError(Exception):
    """An error as ClickHouse tells it."""

    def __init__(self, code: int, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass
class _Query:
    sql: bytes
    data: bytes | None
    parameters: dict[str, str]
    settings: dict[str, str]
    database: str


@dataclass
class _State:
    path: str
    user: str
    password: str
    faults: list[Fault] = field(default_factory=list)
    requests: deque[Recorded] = field(default_factory=lambda: deque(maxlen=5_000))
    sessions: set[str] = field(default_factory=set)
    guard: threading.Lock = field(default_factory=threading.Lock)

    def fault(self, sql: bytes, *kinds: str) -> Fault | None:
        with self.guard:
            for fault in self.faults:
                if fault.times > 0 and fault.kind in kinds and fault.match.encode() in sql:
                    fault.times -= 1
                    return fault
        return None

    @contextlib.contextmanager
    def session(self, name: str) -> Any:
        """A session serves one query at a time, as a server has it."""
        if not name:
            yield
            return
        with self.guard:
            if name in self.sessions:
                raise ClickHouseError(373, f"Session {name} is locked by a concurrent client.")
            self.sessions.add(name)
        try:
            yield
        finally:
            with self.guard:
                self.sessions.discard(name)


def _execute(path: str, query: _Query) -> tuple[bytes, dict[str, str]]:
    import chdb

    connection = chdb.connect(path)
    try:
        connection.query(f"USE `{query.database}`", "TabSeparated")
        for name, value in query.settings.items():
            connection.query(f"SET {name} = {_literal(value)}", "TabSeparated")
        if query.data is None:
            result = connection.query(query.sql.decode(), "TabSeparated", params=query.parameters)
        else:
            result = _insert(connection, query)
        rows, size = str(result.rows_read()), str(result.bytes_read())
        summary = {"elapsed_ns": str(int(result.elapsed() * 1e9)), "read_rows": rows, "read_bytes": size}
        if query.data is not None:
            summary |= {"written_rows": rows, "written_bytes": size}
        return result.bytes() or b"", summary
    except RuntimeError as error:
        raise _told(str(error)) from error
    finally:
        connection.close()


def _insert(connection: Any, query: _Query) -> Any:
    """chDB takes the data of an insert out of a file."""
    match = _INSERT.match(query.sql)
    assert match is not None
    statement = match[1].decode()
    target = statement[: re.search(r"\sformat\s+\w+$", statement, re.I).start()]  # type: ignore[union-attr]
    with tempfile.NamedTemporaryFile(suffix=".data") as file:
        assert query.data is not None
        file.write(query.data)
        file.flush()
        sql = f"{target} FROM INFILE {_literal(file.name)} FORMAT {match[2].decode()}"
        return connection.query(sql, "TabSeparated", params=query.parameters)


def _told(message: str) -> ClickHouseError:
    found = re.search(r"Code: (\d+)\. (.*)", message, re.S)
    return ClickHouseError(int(found[1]), found[2]) if found else ClickHouseError(1001, message)


def _literal(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: _State

    def log_message(self, *_: Any) -> None:
        """The requests are recorded; nothing is printed."""

    def do_GET(self) -> None:
        self._serve()

    def do_POST(self) -> None:
        self._serve()

    def _serve(self) -> None:
        if self.path.startswith("/-/"):
            return self._control()
        if urlsplit(self.path).path == "/ping":
            return self._answer(200, b"Ok.\n", {})
        self._cut_early = False
        try:
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                self._query()
        except _CutError:
            self._reset()

    def _query(self) -> None:
        parts = urlsplit(self.path)
        recorded: Recorded | None = None
        try:
            if len(self.path) > MAX_URI_BYTES:
                self.close_connection = True
                return self._answer(400, b"HTTP request URI invalid or too long\n", {})
            fields = _fields(parts.query)
            body = self._body(fields.get("query", "").encode())
            form = (self.headers.get("Content-Type") or "").startswith("multipart/form-data")
            if form:
                fields, raw = fields | _multipart(body, self.headers["Content-Type"]), b""
            else:
                raw = _decoded(body, self.headers.get("Content-Encoding") or "")
            query = _query_of(fields, raw, form)
            recorded = Recorded(
                query.sql.decode(errors="replace"),
                sorted(query.parameters),
                query.settings,
                self._user(fields),
                query.database,
                len(self.path),
                len(body),
                form,
                self.headers.get("Content-Encoding") or "",
                self.headers.get("Accept-Encoding") or "",
                session="session_id" in fields,
            )
            with self.state.guard:
                self.state.requests.append(recorded)
            self._run(query, fields, recorded)
        except ClickHouseError as error:
            status = _STATUS.get(error.code, 500)
            if recorded:
                recorded.status = status
            self._fail(status, error)

    def _run(self, query: _Query, fields: dict[str, str], recorded: Recorded) -> None:
        self._authenticate(fields)
        if self.command == "GET" and _REFUSED_IN_GET.match(query.sql):
            raise ClickHouseError(164, "Cannot execute query in readonly mode. For queries over HTTP, method GET implies "
                                       "readonly.")  # fmt: skip
        if fault := self.state.fault(query.sql, "error"):
            raise ClickHouseError(fault.code, f"On demand: {query.sql[:80].decode(errors='replace')}")
        if fault := self.state.fault(query.sql, "slow"):
            time.sleep(fault.seconds)
        with self.state.session(fields.get("session_id", "")):
            content, summary = _execute(self.state.path, query)
        if self.state.fault(query.sql, "lost"):
            raise _CutError
        recorded.status = 200
        found = _FORMAT.search(query.sql)
        headers = {
            "X-ClickHouse-Summary": json.dumps(summary),
            "X-ClickHouse-Query-Id": fields.get("query_id", ""),
            "X-ClickHouse-Timezone": "UTC",
            "X-ClickHouse-Server-Display-Name": "fake",
        }
        if content or found:
            headers["X-ClickHouse-Format"] = found[1].decode() if found else "TabSeparated"
        if query.settings.get("enable_http_compression", "1") == "1":  # on by default since 26.x
            content, recorded.answer_encoding = _encoded(content, recorded.accept_encoding)
            if recorded.answer_encoding:
                headers["Content-Encoding"] = recorded.answer_encoding
        self._answer(200, content, headers, query.sql)

    def _answer(self, status: int, content: bytes, headers: dict[str, str], sql: bytes = b"") -> None:
        cut = sql and self.state.fault(sql, "cut")
        late = self.state.fault(sql, "failed_late") if sql else None
        trickle = self.state.fault(sql, "trickle") if sql else None
        self.send_response(status)
        for name, value in {"Content-Type": "text/plain; charset=UTF-8", **headers}.items():
            self.send_header(name, value)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        if cut or late:
            self._chunk(content[: max(_HALF_A_CUT, len(content) // 2)])
            if late:
                self._chunk(f"Code: {late.code}. DB::Exception: late ({_NAMES.get(late.code, '?')})".encode())
            self.wfile.flush()
            raise _CutError
        pieces = 20 if trickle else 1
        step = max(1, -(-len(content) // pieces))
        for start in range(0, len(content), step):
            self._chunk(content[start : start + step])
            if trickle:
                time.sleep(trickle.seconds / pieces)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, piece: bytes) -> None:
        if piece:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))

    def _fail(self, status: int, error: ClickHouseError) -> None:
        name = _NAMES.get(error.code, "")
        text = error.message if "DB::Exception" in error.message else f"DB::Exception: {error.message}"
        text += "" if text.endswith(")") or not name else f" ({name})"
        body = f"Code: {error.code}. {text} (version 26.9.2.1 (official build))\n".encode()
        self._answer(status, body, {"X-ClickHouse-Exception-Code": str(error.code)})

    def _user(self, fields: dict[str, str]) -> str:
        basic = self.headers.get("Authorization") or ""
        if basic.startswith("Basic "):
            user, _, self._password = base64.b64decode(basic[6:]).decode().partition(":")
            return user
        self._password = self.headers.get("X-ClickHouse-Key") or fields.get("password", "")
        return self.headers.get("X-ClickHouse-User") or fields.get("user", "default")

    def _authenticate(self, fields: dict[str, str]) -> None:
        user = self._user(fields)
        if (user, self._password) != (self.state.user, self.state.password):
            raise ClickHouseError(
                516, f"{user}: Authentication failed: password is incorrect, or there is no user with such name."
            )

    def _body(self, sql: bytes) -> bytes:
        if (self.headers.get("Transfer-Encoding") or "").lower() == "chunked":
            return self._chunked_body(sql)
        length = int(self.headers.get("Content-Length") or 0)
        first = self.rfile.read(length // 2)
        self._cut_if_asked(sql + b" " + first)
        return first + self.rfile.read(length - len(first))

    def _chunked_body(self, sql: bytes) -> bytes:
        body = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            body += self.rfile.read(size)
            self.rfile.readline()
            self._cut_if_asked(sql + b" " + body)
        self.rfile.readline()
        return body

    def _cut_if_asked(self, sql: bytes) -> None:
        if self.state.fault(sql[:4096], "refused"):
            raise _CutError

    def _reset(self) -> None:
        """Cut the connection hard: the other side sees a reset, not an orderly end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.rfile.close()
        with contextlib.suppress(OSError):
            self.wfile.close()
        self.connection.close()

    def _control(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        with self.state.guard:
            if self.path == "/-/faults":
                self.state.faults[:] = [Fault(**one) for one in json.loads(body)]
                told: Any = []
            elif self.path == "/-/forget":
                self.state.requests.clear()
                told = []
            else:
                told = [asdict(one) for one in self.state.requests]
        self._answer(200, json.dumps(told).encode(), {})


class _CutError(Exception):
    """The connection ends here."""


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256

    def handle_error(self, *_: Any) -> None:
        """Clients that hang up are part of the tests."""


def _fields(query: str) -> dict[str, str]:
    for pair in query.split("&"):
        _check_field(pair.partition("=")[2])
    return dict(parse_qsl(query, keep_blank_values=True))


def _check_field(value: str | bytes) -> None:
    if len(value) > MAX_FIELD_BYTES:
        raise ClickHouseError(
            1000, "Poco::Exception. Code: 1000, e.code() = 0, HTML Form Exception: Field value too long"
        )


def _multipart(body: bytes, content_type: str) -> dict[str, str]:
    boundary = re.search(r'boundary="?([^";]+)', content_type)
    assert boundary is not None
    fields: dict[str, str] = {}
    for part in body.split(b"--" + boundary[1].encode())[1:-1]:
        head, _, value = part.removeprefix(b"\r\n").partition(b"\r\n\r\n")
        name = re.search(rb'name="([^"]*)"', head)
        assert name is not None
        value = value.removesuffix(b"\r\n")
        _check_field(value)
        fields[name[1].decode()] = value.decode()
    return fields


def _query_of(fields: dict[str, str], raw: bytes, form: bool) -> _Query:
    sql = fields.get("query", "").encode()
    whole = sql if form else sql + (b"\n" if sql and raw else b"") + raw
    insert = _INSERT.match(whole)
    data = whole[insert.end() :] if insert else None
    statement = whole[: insert.end()] if insert else whole
    parameters = {name[6:]: value for name, value in fields.items() if name.startswith("param_")}
    settings = {n: v for n, v in fields.items() if n not in _RESERVED and not n.startswith("param_") and n}
    for name in settings:
        if not re.fullmatch(r"[A-Za-z_]\w*", name):
            raise ClickHouseError(115, f"Unknown setting '{name}'")
    if len(statement) > int(settings.get("max_query_size", 262_144)):
        raise ClickHouseError(62, "Syntax error: Max query size exceeded")
    return _Query(statement, data, parameters, settings, fields.get("database") or "default")


def _decoded(body: bytes, encoding: str) -> bytes:
    """The body as it was before its Content-Encoding; one of several frames after each other, too."""
    if encoding in ("", "identity"):
        return body
    if encoding == "gzip":
        return gzip.decompress(body)
    if encoding == "deflate":
        return zlib.decompress(body)
    if encoding == "lz4":
        import lz4.frame

        with lz4.frame.open(io.BytesIO(body)) as frames:
            return bytes(frames.read())
    if encoding == "zstd":
        from backports import zstd

        return zstd.decompress(body)
    raise ClickHouseError(48, f"Unknown compression method {encoding}")


def _encoded(content: bytes, accepted: str) -> tuple[bytes, str]:
    """As the server chooses: the first of its own list that the client takes."""
    import lz4.frame
    from backports import zstd

    ways = {"lz4": lz4.frame.compress, "zstd": zstd.compress, "gzip": gzip.compress, "deflate": zlib.compress}
    for name, compress in ways.items():
        if name in accepted:
            return compress(content), name
    return content, ""


def main(arguments: list[str]) -> None:
    """Serve until killed; prints the port when it answers."""
    parser = argparse.ArgumentParser()
    parser.add_argument("path")
    parser.add_argument("--port", type=int, default=0)
    told = parser.parse_args(arguments)
    import chdb

    config = Path(f"{told.path}.xml")
    config.write_text(_CLUSTER)
    path = f"{told.path}?config-file={config}"
    anchor = chdb.connect(path)  # as long as this one is open, the engine stays
    handler = type("Handler", (_Handler,), {"state": _State(path, USER, PASSWORD)})
    server = _Server(("127.0.0.1", told.port), handler)
    print(server.server_address[1], flush=True)
    try:
        server.serve_forever(poll_interval=0.05)
    finally:
        anchor.close()


class ClickHouseServer:
    """The server as a process, for a test: ``start``, ``kill`` and ``start`` again keep the port and what was stored."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._port = 0
        self._process: subprocess.Popen[str] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.kill()

    def url(self, database: str, password: str = PASSWORD, user: str = USER) -> str:
        """As Furrow's setting has it."""
        return f"clickhouse://{user}:{quote(password, safe='')}@127.0.0.1:{self._port}/{database}"

    def start(self) -> None:
        """Start it and wait until it answers; nothing if it runs."""
        if self._process is not None:
            return
        command = [sys.executable, "-m", "tests.fakes.clickhouse_http", str(self._directory), "--port", str(self._port)]
        self._process = subprocess.Popen(
            command, cwd=ROOT, stdout=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": str(ROOT)}
        )
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        assert line, "the fake ClickHouse did not start"
        self._port = int(line)

    def execute(self, database: str, sql: str) -> str:
        """Run one statement, as ``clickhouse-client`` would; the answer's text."""
        basic = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        request = urllib.request.Request(
            f"http://127.0.0.1:{self._port}/?database={database}",
            data=sql.encode(),
            headers={"Authorization": f"Basic {basic}"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return str(answer.read().decode())

    def kill(self) -> None:
        """``kill -9``."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(_START_SECONDS)
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def fault(self, *faults: Fault) -> None:
        """From now on these faults and no others; none: all is well."""
        self._control("faults", [asdict(one) for one in faults])

    def forget(self) -> None:
        """Drop the record of requests."""
        self._control("forget", None)

    def requests(self, holding: str = "") -> list[Recorded]:
        """The queries since the last ``forget`` whose SQL holds this text."""
        return [one for one in (Recorded(**told) for told in self._control("requests", None)) if holding in one.sql]

    def _control(self, what: str, body: Any) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{self._port}/-/{what}", data=json.dumps(body).encode())
        with urllib.request.urlopen(request, timeout=30) as answer:
            return json.load(answer)


if __name__ == "__main__":
    main(sys.argv[1:])
