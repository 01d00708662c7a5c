"""Read the tickets that webhooks named."""

from contextlib import closing
from typing import Any

from prefect import flow
from prefect.client.schemas.objects import State
from prefect.states import Completed

from tasks.export import connect_tracker
from tasks.read_back import describe_read_back_errors, find_hinted_trackers, read_back_counts, read_hinted_tickets
from tasks.report import Report, describe_failure, escape_markdown


@flow(name="read-back")
@describe_failure
def read_back() -> State[Any]:
    """Read the states of the tickets that webhooks of their trackers named, and move their incidents. Safe to run again at any
    time; `export` reads all tickets."""
    report = Report("read-back")
    hinted = report.run_step(find_hinted_trackers)
    if hinted == []:
        return Completed(message="no webhook named a ticket")
    trackers = [tracker for name in hinted or [] if (tracker := report.run_step(connect_tracker, name)) is not None]
    if not (trackers or report.pending):
        # Its tickets stay named until it is configured again: no report each minute.
        return Completed(message="no webhook named a ticket of a tracker that is configured")
    for tracker in trackers:
        name = tracker.name
        with closing(tracker):
            done = report.run_step(read_hinted_tickets, tracker)
        if done is not None:
            report.counts.update(read_back_counts(done))
            report.add_lines(
                f"States of tickets at {name} that the next export reads",
                [escape_markdown(line) for line in describe_read_back_errors(done)],
            )
    return report.finish_run()
