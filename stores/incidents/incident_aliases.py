"""Which incident a detection belongs to: fingerprints that lead to incidents (docs/decisions/0130-grouping-is-versioned.md).

A detection carries the fingerprint of this version of the rules of grouping, and older ones. What a person decided comes
first, then the oldest fingerprint that is known; a detection without a known one makes an incident named by the newest.
"""

# Statements are put together from constants of this module alone; values are always bound.

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import sqlalchemy as sa
from sqlalchemy import text

from stores.incidents.incident_detection import DetectionRow

_READ = text("""
    SELECT f.project, f.fingerprint, f.incident_id, f.decided
    FROM incident_fingerprints f
    JOIN unnest(CAST(:project AS text[]), CAST(:fingerprint AS text[])) AS k(project, fingerprint)
      ON (f.project, f.fingerprint) = (k.project, k.fingerprint)
""")
# In one order, so that two writers wait for each other in no circle; who comes second reads what the first decided.
_ADD = text("""
    INSERT INTO incident_fingerprints (project, fingerprint, incident_id, version)
    SELECT project, fingerprint, incident_id, version
    FROM unnest(CAST(:project AS text[]), CAST(:fingerprint AS text[]), CAST(:incident_id AS text[]),
                CAST(:version AS integer[])) AS new(project, fingerprint, incident_id, version)
    ORDER BY project, fingerprint
    ON CONFLICT (project, fingerprint) DO NOTHING
    RETURNING 1
""")
_Key = tuple[str, str]
"""A project and a fingerprint."""


class _Known(NamedTuple):
    incident_id: str
    decided: bool


def assign_incidents(connection: sa.Connection, rows: Sequence[DetectionRow], remember: bool = True) -> None:
    """Set ``incident_id`` of each row to the incident that its fingerprints lead to.

    ``remember``: the newest fingerprint leads to this incident from now on; the same transaction inserts the incident.
    Otherwise (open sessions, which make no incident at first) nothing is written.
    """
    if not rows:
        return
    known = _read_known(connection, {(row["project"], print_) for row in rows for print_ in row["fingerprints"]})
    fresh: dict[_Key, tuple[str, int]] = {}
    # Those that lead somewhere come first: what they find also holds for a new name of theirs that others have.
    for row in sorted(rows, key=lambda row: _leads_nowhere(row, known)):
        row["incident_id"] = _choose_incident(row, known)
        newest = (row["project"], row["fingerprints"][-1])
        if newest not in known:
            fresh.setdefault(newest, (row["incident_id"], row["fingerprint_version"]))
            row["incident_id"] = fresh[newest][0] if _leads_nowhere(row, known) else row["incident_id"]
    if not fresh or not remember:
        return
    keys = sorted(fresh)
    added = connection.execute(
        _ADD,
        {
            "project": [project for project, _ in keys],
            "fingerprint": [print_ for _, print_ in keys],
            "incident_id": [fresh[key][0] for key in keys],
            "version": [fresh[key][1] for key in keys],
        },
    ).all()
    if len(added) < len(keys):  # another writer was first: its incident is the one
        later = _read_known(connection, set(keys))
        for row in rows:
            if _leads_nowhere(row, known):
                row["incident_id"] = later[row["project"], row["fingerprints"][-1]].incident_id


def _read_known(connection: sa.Connection, keys: set[_Key]) -> dict[_Key, _Known]:
    asked = sorted(keys)
    columns = {"project": [project for project, _ in asked], "fingerprint": [print_ for _, print_ in asked]}
    found = connection.execute(_READ, columns)
    return {(row.project, row.fingerprint): _Known(row.incident_id, row.decided) for row in found}


def _leads_nowhere(row: DetectionRow, known: Mapping[_Key, _Known]) -> bool:
    return not any((row["project"], print_) in known for print_ in row["fingerprints"])


def _choose_incident(row: DetectionRow, known: Mapping[_Key, _Known]) -> str:
    found = [entry for print_ in row["fingerprints"] if (entry := known.get((row["project"], print_)))]
    decided = next((entry.incident_id for entry in found if entry.decided), "")
    return decided or (found[0].incident_id if found else f"inc_{row['fingerprints'][-1]}")
