"""Numbers of a process on Ray's metrics endpoint: Prometheus finds them there with `ray_` before their names.

Ray forgets a number that is not sent again within seconds. What holds until it changes, such as the time of a
checkpoint, is therefore sent again for as long as the process lives.
"""

from __future__ import annotations

import functools
import logging
import threading
from typing import Any

from pipeline.console.gauges import Gauge, collect

SECONDS = 5.0  # between two sendings: Ray reports every ten and keeps what it had for twice as long

_latest: dict[tuple[Gauge, tuple[tuple[str, str], ...]], float] = {}
_lock = threading.Lock()
log = logging.getLogger(__name__)


def expose() -> None:
    """Send what this process shows to the Ray that it is connected to, now and as long as it lives."""
    collect(_keep)
    if not any(thread.name == __name__ for thread in threading.enumerate()):
        threading.Thread(target=_send_regularly, name=__name__, daemon=True).start()


def _keep(gauge: Gauge, value: float, labels: dict[str, str]) -> None:
    with _lock:
        _latest[gauge, tuple(labels.items())] = value
    _send(gauge, value, labels)


def _send_regularly() -> None:
    pause = threading.Event()
    while not pause.wait(SECONDS):
        send_again()


def send_again() -> None:
    """Send everything once more."""
    with _lock:
        latest = dict(_latest)
    for (gauge, labels), value in latest.items():
        _send(gauge, value, dict(labels))


def _send(gauge: Gauge, value: float, labels: dict[str, str]) -> None:
    try:
        _of_ray(gauge).set(value, tags=labels)
    except Exception as error:  # whatever becomes of monitoring, training goes on
        log.debug(f"{gauge.name} was not sent: {error}")


@functools.cache
def _of_ray(gauge: Gauge) -> Any:
    from ray.util import metrics

    return metrics.Gauge(gauge.name, description=gauge.meaning, tag_keys=gauge.labels)
