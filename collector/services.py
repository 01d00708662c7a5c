"""What the endpoints share: keys, limits, the spool and the incident store. Opened when the application starts."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from collector.access.callers import Gate
from collector.access.keys import KeyRing
from collector.admission import Admission
from collector.config import CollectorConfig
from collector.senders.source import SourceReader
from collector.spool.dead_letters import LetterBudget
from collector.spool.spool import Spool
from collector.store import Incidents, StoreCalls
from collector.streams.figures import StreamCounts
from collector.transport.body import Doorway
from collector.transport.turns import Turns
from core.networks import parse_networks
from incidents.owners_file import OwnersFile, open_owners_file


@dataclass(frozen=True)
class Services:
    """The shared parts of a running collector; every endpoint class is made from them."""

    config: CollectorConfig
    keys: KeyRing
    gate: Gate
    sources: SourceReader
    turns: Turns
    spool: Spool
    letters: LetterBudget
    admission: Admission
    stream_counts: StreamCounts
    store: StoreCalls
    owners: OwnersFile

    @property
    def salt(self) -> bytes:
        """The secret with which user ids are hashed."""
        return self.config.user_salt.get_secret_value().encode()

    def make_doorway(self, max_in_flight: int) -> Doorway:
        """A doorway for ``max_in_flight`` request bodies at once."""
        return Doorway(max_in_flight, self.config.body_seconds, self.sources, self.turns)


@contextmanager
def open_services(config: CollectorConfig, keys: KeyRing, store: Incidents | None) -> Iterator[Services]:
    """Open the spool and refresh the keys; close both and the store at the end. Raises OSError when the spool's
    directory cannot be used."""
    spool = Spool(
        config.spool_dir,
        max_bytes=config.spool_max_bytes,
        dead_letter_max_bytes=config.dead_letter_max_bytes,
        seal_bytes=config.seal_bytes,
        seal_seconds=config.seal_seconds,
        project_part=config.spool_project_part,
        sender_part=config.spool_source_part,
    )
    keys.start_refreshing()
    sources = SourceReader(parse_networks(config.trusted_proxies))
    stream_counts = StreamCounts(config.spool_dir)
    letters = LetterBudget(config.spool_dir, config.dead_letter_max_bytes)
    gate = Gate(keys, sources, config.guesses_per_second)
    try:
        yield Services(
            config=config,
            keys=keys,
            gate=gate,
            sources=sources,
            turns=Turns(),
            spool=spool,
            letters=letters,
            stream_counts=stream_counts,
            admission=Admission(config, keys, gate, spool, letters),
            store=StoreCalls(store),
            owners=open_owners_file(config.owners_file),
        )
    finally:
        spool.close()
        letters.write_counts()
        stream_counts.write_counts()
        keys.stop_refreshing()
        if store is not None:
            store.close()
