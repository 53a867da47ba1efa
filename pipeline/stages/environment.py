"""With what a report was made, for people."""

from __future__ import annotations

from pipeline.config.sections.cluster import ClusterConfig
from pipeline.tracking.lineage import lineage


def environment_of(cluster: ClusterConfig) -> dict[str, str]:
    """Processor, workers, precision and versions of the job that writes a report."""
    tags = lineage()
    workers = f"{cluster.num_workers} with {cluster.cpus_per_worker} CPUs and {cluster.gpus_per_worker} GPUs each"
    return {
        "CPU": f"{tags['dq.host_cpu']}, {tags['dq.host_cpus']} cores",
        "workers": workers if cluster.launcher == "ray" else "this process alone",
        "precision": f"{cluster.precision}, engine {cluster.engine}",
        "Python": tags["dq.python"],
        **{name.removeprefix("dq.version."): text for name, text in tags.items() if name.startswith("dq.version.")},
    }
