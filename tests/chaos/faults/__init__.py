"""The kinds of faults, by what they befall."""

from chaos.faults import clusters, damages, disks, inputs, nights, numbers, processes, trackers

KINDS = (
    *processes.KINDS,
    *disks.KINDS,
    *damages.KINDS,
    *numbers.KINDS,
    *inputs.KINDS,
    *trackers.KINDS,
    *nights.KINDS,
    *clusters.KINDS,
)
