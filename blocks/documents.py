"""The block documents named ``furrow``: one of each type, made empty so that people find them in the Prefect UI."""

import threading
import time
from typing import TypeVar

import httpx
from prefect.blocks.core import Block
from prefect.client.orchestration import get_client
from prefect.context import FlowRunContext
from prefect.exceptions import ObjectNotFound, PrefectHTTPStatusError
from prefect.settings import PREFECT_API_URL
from pydantic import SecretStr

import blocks
from blocks.stores import EventStoreBlock, IncidentStoreBlock, StoreBlock
from blocks.trackers import JiraBlock, LinearBlock
from furrow.errors import PermanentError, TransientError
from furrow.metrics import degraded
from furrow.settings import Settings

DOCUMENT = "furrow"
B = TypeVar("B", bound=Block)


def register() -> None:
    """Register the block types and make the documents that are missing; those that exist are left as people set them."""
    for block_type in blocks.ALL:
        block_type.register_type_and_schema()
        if load(block_type) is None:
            block_type().save(DOCUMENT)


def load(block_type: type[B]) -> B | None:
    """The document of this type, None if there is none. Raises TransientError when Prefect does not answer.

    Not the settings then: a block may say another server than they do, and work would go to the wrong place.
    """
    try:
        with get_client(sync_client=True) as client:
            document = client.read_block_document_by_name(DOCUMENT, block_type.get_block_type_slug())
    except ObjectNotFound:
        return None
    except (httpx.HTTPError, PrefectHTTPStatusError) as error:
        raise TransientError(
            f"Prefect does not answer, so its blocks cannot be read ({type(error).__name__})"
        ) from error
    return block_type.model_validate(document.data)


def effective_settings() -> Settings:
    """The settings with what the blocks say put over them, at most ten seconds old.

    Outside of a flow run and without a Prefect server (``PREFECT_API_URL``) there are no blocks to ask. While Prefect
    does not answer, what it said last still holds; if it has said nothing yet, TransientError.
    """
    if FlowRunContext.get() is None and not PREFECT_API_URL.value():
        return Settings()
    with _guard:
        if _known and time.monotonic() < _known[0][0]:
            return _known[0][1]
        try:
            settings = put_blocks_over(Settings())
        except TransientError:
            if not _known:
                raise
            degraded("blocks", "unreachable")
            settings = _known[0][1]
        _known[:] = [(time.monotonic() + _FRESH_SECONDS, settings)]
        return settings


def forget() -> None:
    """Ask Prefect again at the next call, whatever it said a moment ago."""
    with _guard:
        _known.clear()


_FRESH_SECONDS = 10.0
_known: list[tuple[float, Settings]] = []
_guard = threading.Lock()


def put_blocks_over(settings: Settings) -> Settings:
    """``settings`` with what the blocks of the Prefect server say put over them. Raises TransientError without answer."""
    for store in (EventStoreBlock, IncidentStoreBlock):
        if (found := load(store)) is not None:
            settings = settings.model_copy(update={store.setting: _resolve(found, getattr(settings, store.setting))})
    if (jira := load(JiraBlock)) is not None:
        settings = jira.apply(settings)
    if (linear := load(LinearBlock)) is not None:
        settings = linear.apply(settings)
    return settings


def _resolve(block: StoreBlock, setting: SecretStr) -> SecretStr:
    try:
        return block.resolve(setting)
    except ValueError as error:
        raise PermanentError(str(error)) from error
