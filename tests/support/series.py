"""The time series that the service's metrics make, by the code that defines them."""

from __future__ import annotations

from prometheus_client.metrics import MetricWrapperBase

from api.telemetry import metrics

TARGET_LABELS = {"instance", "namespace", "pod", "job"}
"""Labels that Prometheus adds to each."""


def collectors() -> list[MetricWrapperBase]:
    """The metrics that api/telemetry/metrics.py defines, those in its dictionaries included."""
    values = list(vars(metrics).values())
    values += [each for value in values if isinstance(value, dict) for each in value.values()]
    return [each for each in values if isinstance(each, MetricWrapperBase)]


def series() -> dict[str, set[str]]:
    """Every time series of the service, with its labels."""
    found: dict[str, set[str]] = {}
    for collector in collectors():
        (family,) = collector.describe()
        labels = set(collector._labelnames)
        ends = {"counter": ("_total",), "gauge": ("",), "histogram": ("_sum", "_count")}[family.type]
        found |= {family.name + end: labels for end in ends}
        if family.type == "histogram":
            found[f"{family.name}_bucket"] = labels | {"le"}
    return found
