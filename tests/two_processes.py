"""Which process runs which tests where there are several: whole files, the longest first, all that start Ray in one."""

from repository import ROOT
from xdist.scheduler import LoadScopeScheduling

# So that none of them is alone at the end.
LONGEST = [
    "distributed/test_world_size.py",
    "integration/test_chaos.py",
    "integration/test_hub_families.py",
    "integration/test_dq_sweep.py",
    "integration/test_tasks.py",
    "integration/test_serving.py",
    "distributed/test_elastic.py",
    "integration/test_fuzz.py",
    "integration/test_benchmarks.py",
    "integration/test_tracking_server.py",
    "integration/test_ose_search.py",
    "integration/test_sweep_plan.py",
    "integration/test_sweep_settings.py",
    "integration/test_export.py",
    "numerics/test_onnx_package.py",
    "numerics/test_token_tables.py",
    "unit/config/test_load.py",
]


# Files with one of these in their text go to one process: two Ray clusters at once would take each other's room, and
# a fixture of the session would be made in both.
TOGETHER = ["mark.ray", "served_sweep"]


class WholeFiles(LoadScopeScheduling):
    """Tests of a file share what it builds, and so do some files.

    (`--dist loadgroup` would say the same with marks, but xdist 3.8 writes groups where pytest 9.2 does not look.)
    """

    def __init__(self, config, log):
        config.option.loadscopereorder = False  # the order of the collection, not the files with most tests first
        super().__init__(config, log)

    def _split_scope(self, nodeid):
        file = nodeid.partition("::")[0]
        text = (ROOT / file).read_text()
        return next((word for word in TOGETHER if word in text), file)


def longest_first(items):
    """Sort collected tests; those of a file stay together and in order."""
    ranks = {ROOT / "tests" / name: rank for rank, name in enumerate(LONGEST)}
    items.sort(key=lambda item: (ranks.get(item.path, len(ranks)), "ray" not in item.keywords))
