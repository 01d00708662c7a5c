"""Calls of commands that cannot succeed, each with its exit code and a part of the error that it prints.

Exit code 2: no installation accepts the call. 1: this installation cannot do it, or not now. The test that makes the calls
fills in the placeholders ``{…}``.
"""

from typing import Final, NamedTuple


class Wrong(NamedTuple):
    """A call, its exit code, and a part of the error that it prints."""

    arguments: str
    code: int
    words: str


NO_PROJECT: Final = "there is no project 'defualt'; did you mean 'default'? The projects are default"

CALLS: Final = [
    # Projects that do not exist
    Wrong("keys list --project defualt", 1, NO_PROJECT),
    Wrong("projects show defualt", 1, NO_PROJECT),
    Wrong("incidents list --project defualt", 1, NO_PROJECT),
    Wrong("incidents release --project defualt --reason x", 1, NO_PROJECT),
    Wrong("explain s-0 --project defualt", 1, NO_PROJECT),
    Wrong("explain --last 3 --project defualt", 1, NO_PROJECT),
    # Keys and addresses
    Wrong("incidents list --url foo", 2, "must have the form http://127.0.0.1:8080, not 'foo'"),
    Wrong("incidents list --url http://127.0.0.1:99999999", 2, "must have the form http://127.0.0.1:8080"),
    Wrong("incidents list --url http://nowhere.invalid --key x", 1, "http://nowhere.invalid (there is no such host)"),
    Wrong("incidents list --url https://127.0.0.1:{port}", 1, "it does not speak TLS: is it http://?"),
    Wrong("incidents list --key schlüssel", 2, "ASCII"),
    Wrong("incidents list --key wrong", 1, "the collector at http://127.0.0.1:{port} refused the key (401)"),
    Wrong("send examples/checkout.jsonl --key schlüssel", 2, "a key has only printable ASCII characters"),
    Wrong("send examples/checkout.jsonl --key wrong", 1, "http://127.0.0.1:{port}/v1/events answered 401"),
    Wrong("send examples/checkout.jsonl --operator-key wrong", 1, "http://127.0.0.1:{port}/v1/events answered 401"),
    Wrong("run detect --prefect-url foo", 2, "'foo' is not the address of a Prefect API"),
    Wrong("explain s-0 --prefect-url http://x:99999999/api", 2, "is not the address of a Prefect API"),
    Wrong(
        "run detect --prefect-url http://nowhere.invalid/api", 1, "http://nowhere.invalid/api (there is no such host)"
    ),
    Wrong("run detect --prefect-url http://127.0.0.1:{port}", 1, "http://127.0.0.1:{port}"),
    # Numbers and times
    Wrong("incidents list --offset 99999999999999999999", 2, "`offset` must be a whole number"),
    Wrong("incidents list --since yesterday", 2, "`since` must be RFC 3339"),
    Wrong("incidents list --status nonsense", 2, "`status` must be one or more of draft"),
    Wrong("incidents suppress {id} --reason x --sessions 99999999999999999999", 2, "`sessions`"),
    Wrong("evaluate --replay -3d --config {toml}", 2, "a window looks like 7d"),
    Wrong("evaluate --replay 0d --config {toml}", 2, "is empty"),
    Wrong("evaluate --replay 99999999999999d --config {toml}", 2, "a window looks like 7d"),
    # Names and ids
    Wrong(
        "run nothing",
        1,
        "'nothing/nothing' at http://127.0.0.1:{prefect_port}/api; the deployments are alerts/alerts, backfill/backfill",
    ),
    Wrong("run ../../admin/settings", 1, "there is no deployment '../../admin/settings' at http"),
    Wrong("run ../x", 1, "there is no deployment '../x' at http"),
    Wrong("run backfill --param x=1", 2, "has no parameter 'x'"),
    Wrong(
        "incidents show nothing",
        1,
        "the collector at http://127.0.0.1:{port} refused the request (404) no such incident",
    ),
    Wrong("incidents show ../status", 2, "has the form inc_"),
    Wrong("keys create --project a/b", 2, "a project id has at most"),
    Wrong("projects set a/b", 2, "a project id has at most"),
    Wrong("projects set shop --setting confirmSessions=-1", 2, "confirmSessions must be a whole number"),
    Wrong("projects set shop --setting confirmSessions=99999999999999999999", 2, "must be a whole number"),
    Wrong("projects set shop --config {file}", 1, "is not valid TOML"),
    Wrong("keys revoke nothing", 1, "there is no key 'nothing'"),
    # Directories and files
    Wrong("explain s-0 --data-dir {nowhere}", 1, "Prefect at http://127.0.0.1:{prefect_port}/api refused (401)"),
    Wrong("keys list --data-dir {nowhere}", 1, "the embedded Postgres of {nowhere} does not run"),
    Wrong("prefect-login --data-dir {nowhere}", 1, "{nowhere} contains no login for Prefect"),
    Wrong("restore {file} --data-dir {nowhere}", 1, "is not a backup"),
    Wrong("backup {nowhere}", 1, "another process of Furrow uses"),
    Wrong("up", 1, "another process of Furrow uses"),
]

OPTIONS: Final = [
    "send {nowhere}",
    "detect {nowhere}",
    "evaluate {file} {nowhere}",
    "restore {nowhere}",
    "send {file} --attempts -1",
    "incidents list --limit 0",
    "incidents list --limit 99999999999999999999",
    "incidents list --min-score 101",
    "incidents suppress {id} --reason x --sessions -1",
    "incidents suppress {id} --reason x --until yesterday",
    "incidents confirm {id}",
    "explain --last 0",
    "explain --last 51",
    "run detect --timeout -1",
    "keys create --role owner",
    "up --port 0",
    "up --prefect-port 65536",
    "doctor --port -1",
    "nonsense",
]
"""Calls that the parser of the command line refuses: exit code 2 and the usage."""

RUNS: Final = [
    Wrong("run backfill --param start=2026-01-01 --param end=2026-01-02 --param project=defualt", 1, NO_PROJECT),
    Wrong("evaluate --replay 1d --config {toml} --project defualt", 1, NO_PROJECT),
    Wrong("run backfill --param start=2026-01-02 --param end=2026-01-01", 1, "the window is empty"),
    Wrong("run backfill --param start=yesterday --param end=2026-01-01", 1, "start: Input should be a valid datetime"),
    Wrong("run retention --param days=-4", 1, "days are 0 (kept for ever) to 36,500, not -4"),
    Wrong("run retention --param days=99999999999999", 1, "days are 0 (kept for ever) to 36,500"),
    Wrong("run detect --param shard=5", 1, "there is no shard 5 of 1"),
]
"""Runs that fail; `words` are in the last line that the command prints."""
