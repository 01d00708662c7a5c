"""The block documents named ``furrow``: one of each type, created empty so that people find them in the Prefect UI.

A thread reads the blocks, so that a slow Prefect does not stop a run: until an answer arrives, the last answer is used.
"""

import contextvars
import threading
import time
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

import blocks
from blocks.stores import EventStoreBlock, IncidentStoreBlock, StoreBlock
from blocks.trackers import TRACKER_BLOCKS
from core import known_stores, prefect_gate
from core.errors import FurrowError, PermanentError, TransientError
from core.http_errors import describe_http_error
from core.metrics import count_degraded
from core.settings import Settings

DOCUMENT = "furrow"
FRESH_SECONDS: Final = 10.0
"""Age (s) after which blocks are read again: a change takes effect after this time and the time of reading."""
LIMIT_SECONDS: Final = 2.0
"""How long (s) a run waits while blocks are read again; after that it uses the last answer."""
_FIRST_SECONDS = 30.0  # wait of a run before the first answer, because the settings alone may name other stores
_REQUEST_SECONDS = 10.0  # of one request in the reading thread: a busy server may take longer than the limit
B = TypeVar("B", bound=Block)


def register_blocks() -> None:
    """Register the block types and create missing documents; existing documents are not changed."""
    for block_type in blocks.ALL:
        block_type.register_type_and_schema()
        if load_block(block_type) is None:
            block_type().save(DOCUMENT)


def load_block(block_type: type[B], timeout_s: float | None = None) -> B | None:
    """The document of this type; None if there is none. Raises TransientError when Prefect does not answer.

    The settings are no replacement then: a block may name another server. ``timeout_s``: of one request; None: Prefect's own.
    """
    return _parse_block(block_type, _read_block_documents(timeout_s))


def _read_block_documents(timeout_s: float | None) -> dict[str, dict[str, Any]]:
    """The data of every document named ``furrow``, by the slug of its block type; one request, since it is made so often."""
    limits = None if timeout_s is None else {"timeout": timeout_s}
    asked = {"block_documents": {"name": {"any_": [DOCUMENT]}}, "include_secrets": True}
    try:
        with get_client(sync_client=True, httpx_settings=limits) as client:
            found = client.request("POST", "/block_documents/filter", json=asked).json()
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise TransientError(
            f"Prefect does not answer, so its blocks cannot be read ({describe_http_error(error)})"
        ) from error
    return {document["block_type"]["slug"]: document["data"] for document in found}


def _parse_block(block_type: type[B], found: Mapping[str, Mapping[str, Any]]) -> B | None:
    data = found.get(block_type.get_block_type_slug())
    return None if data is None else block_type.model_validate(data)


def effective_settings() -> Settings:
    """The settings with the fields of the blocks, for runs; waits for Prefect for at most `LIMIT_SECONDS`.

    Outside of a flow run and without a Prefect server (``PREFECT_API_URL``), these are the plain settings. While Prefect does
    not answer, its last answer is used. Raises TransientError before the first answer.
    """
    if FlowRunContext.get() is None and not PREFECT_API_URL.value():
        return Settings()
    found = _reader.current_settings(LIMIT_SECONDS, _FIRST_SECONDS)
    if found is None:
        raise TransientError("Prefect does not answer, so its blocks cannot be read")
    return found


def known_settings() -> Settings:
    """As `effective_settings`, without waiting: for work that continues without Prefect, like landing.

    Before Prefect's first answer in this process, the stores are those of its last answer to an earlier process
    (`core.known_stores`). Raises TransientError when there is none.
    """
    if not PREFECT_API_URL.value():
        return Settings()
    if (found := _reader.current_settings(0, 0)) is not None:
        return found
    settings = Settings()
    if (kept := known_stores.read_known_stores(settings.data_dir)) is None:
        raise TransientError("Prefect has not answered yet, so it is not known which stores its blocks name")
    return kept.apply_to_settings(settings)


def forget_blocks() -> None:
    """Read the blocks again at the next call."""
    _reader.forget_settings()


class _BlockReader:
    """Reads the blocks in a thread, one reading at a time. Thread-safe."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._known: Settings | PermanentError | None = None
        self._fresh_until = 0.0
        self._reading: threading.Event | None = None  # set when the reading has ended
        self._generation = 0

    def current_settings(self, wait_s: float, first_wait_s: float) -> Settings | None:
        """What is known, after a new reading if that takes no longer than ``wait_s`` (``first_wait_s``: nothing is known).

        None: nothing is known. Raises PermanentError when a block lacks something.
        """
        with self._guard:
            known = self._known
            stale = time.monotonic() >= self._fresh_until and prefect_gate.is_gate_open()
            ended = self._start_reading() if stale else None
        if ended is not None and not ended.wait(first_wait_s if known is None else wait_s) and wait_s:
            count_degraded("blocks", "unreachable")
            with self._guard:  # whoever asks next does not wait again
                self._fresh_until = max(self._fresh_until, time.monotonic() + FRESH_SECONDS)
        with self._guard:
            known = self._known
        if isinstance(known, PermanentError):
            raise known
        return known

    def forget_settings(self) -> None:
        with self._guard:
            self._known, self._fresh_until, self._reading = None, 0.0, None
            self._generation += 1

    def _start_reading(self) -> threading.Event:
        if self._reading is None:
            self._reading = threading.Event()
            # Prefect's settings of the caller, its address among them, are in the context.
            run = contextvars.copy_context().run
            arguments = (self._read_blocks, self._reading, self._generation)
            threading.Thread(target=run, args=arguments, name="furrow-blocks", daemon=True).start()
        return self._reading

    def _read_blocks(self, ended: threading.Event, generation: int) -> None:
        found: Settings | PermanentError | None = None
        try:
            plain = Settings()
            found = apply_blocks(plain, _REQUEST_SECONDS)
            known_stores.write_known_stores(plain.data_dir, known_stores.find_changed_stores(plain, found))
        except PermanentError as error:
            found = error
        except FurrowError:
            count_degraded("blocks", "unreachable")
        finally:
            with self._guard:
                if generation == self._generation:
                    self._known = self._known if found is None else found
                    # Nothing known: asked again at once by whoever needs it.
                    self._fresh_until = time.monotonic() + FRESH_SECONDS if self._known is not None else 0.0
                    self._reading = None
            ended.set()


_reader = _BlockReader()


def apply_blocks(settings: Settings, timeout_s: float | None = None) -> Settings:
    """``settings`` with the fields of the Prefect server's blocks; ``timeout_s`` as in `load_block`.

    Raises TransientError without an answer, PermanentError when a block is incomplete.
    """
    documents = _read_block_documents(timeout_s)
    for store in (EventStoreBlock, IncidentStoreBlock):
        if (found := _parse_block(store, documents)) is not None:
            settings = settings.model_copy(
                update={store.setting: _resolve_store_url(found, getattr(settings, store.setting))}
            )
    for tracker in TRACKER_BLOCKS:
        if (block := _parse_block(tracker, documents)) is not None:
            settings = block.apply_to_settings(settings)
    return settings


def _resolve_store_url(block: StoreBlock, setting: SecretStr) -> SecretStr:
    try:
        return block.resolve_url(setting)
    except ValueError as error:
        raise PermanentError(str(error)) from error
