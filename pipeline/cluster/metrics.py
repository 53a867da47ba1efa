"""Numbers of a process on Ray's metrics endpoint: Prometheus finds them there with `ray_` before their names."""

from __future__ import annotations

import functools
import logging
from typing import Any

from pipeline.console.gauges import Gauge, collect

log = logging.getLogger(__name__)


def expose() -> None:
    """Send what this process shows to the Ray that it is connected to."""
    collect(_send)


def _send(gauge: Gauge, value: float, labels: dict[str, str]) -> None:
    try:
        _of_ray(gauge).set(value, tags=labels)
    except Exception as error:  # whatever becomes of monitoring, training goes on
        log.debug(f"{gauge.name} was not sent: {error}")


@functools.cache
def _of_ray(gauge: Gauge) -> Any:
    from ray.util import metrics

    return metrics.Gauge(gauge.name, description=gauge.meaning, tag_keys=gauge.labels)
