"""``pierhead audit --follow``: prints events as they come, and goes on behind the last one when the line breaks."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from typing import Final

from pierhead.cli.client import Client, Fault, Unreachable

_PAUSE_SECONDS: Final = 1.0
_PAUSE_SECONDS_MAX: Final = 10.0


def follow_events(client: Client, wanted: Mapping[str, str], after: int | None) -> None:
    """Until interrupted. Raises Fault for what the server refuses, and if it cannot be reached in the beginning."""
    query = dict(wanted)
    if after is not None:
        query["after"] = str(after)
    pause, begun = _PAUSE_SECONDS, False
    while True:
        try:
            for line in client.lines("audit", "stream", **query):
                event = json.loads(line)
                if event["kind"] != "heartbeat":
                    sys.stdout.write(line.decode())
                    sys.stdout.flush()
                # From now on the place is known, and an instant would only repeat what was printed.
                query["after"] = str(event["seq"])
                pause, begun = _PAUSE_SECONDS, True
        except Unreachable as fault:
            if not begun:
                raise
            print(f"{fault.line} Trying again.", file=sys.stderr)
        except BrokenPipeError:
            raise Fault("Nobody reads the events any more.") from None
        except KeyboardInterrupt:
            sys.exit(130)
        time.sleep(pause)
        pause = min(pause * 2, _PAUSE_SECONDS_MAX)
