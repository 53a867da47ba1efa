"""Law 9 on disk: whatever moment a writer is killed at, there is a whole checkpoint to go on from."""

import pytest
import torch

from pipeline.training.checkpoint import Checkpointer
from pipeline.training.loop import Learner, Progress
from pipeline.training.random_stream import RandomStream


class OneNumber:
    """An engine whose whole state is one number in a file; writing it can be interrupted."""

    def __init__(self, value):
        self.value, self.killed = value, False

    def save(self, folder):
        folder.mkdir()
        (folder / "value").write_text("" if self.killed else str(self.value))
        if self.killed:
            raise KeyboardInterrupt

    def load(self, folder):
        self.value = int((folder / "value").read_text())


def learner(value):
    parts = {"objective": None, "learning_rate": None, "listener": None}
    return Learner(name="a", engine=OneNumber(value), random=RandomStream(0, torch.device("cpu")), **parts)


@pytest.mark.parametrize("step", [2, 3])
def test_a_kill_while_writing_leaves_the_last_whole_checkpoint(tmp_path, step):
    """Also when the step is the one that is saved already, as at the end of training."""
    checkpointer, writer = Checkpointer(tmp_path), learner(7)
    checkpointer.save([writer], Progress(step=2))
    writer.engine.value, writer.engine.killed = 8, True
    if step == 2:
        checkpointer.save([writer], Progress(step=step))
    else:
        with pytest.raises(KeyboardInterrupt):
            checkpointer.save([writer], Progress(step=step))
    reader = learner(0)
    assert checkpointer.restore([reader]) == Progress(step=2)
    assert reader.engine.value == 7


def test_only_the_newest_checkpoint_is_kept(tmp_path):
    """And `clear` removes it, too."""
    checkpointer = Checkpointer(tmp_path)
    for step in (1, 2, 3):
        checkpointer.save([learner(step)], Progress(step=step))
    assert [path.name for path in tmp_path.glob("step-*")] == ["step-00000003"]
    checkpointer.clear()
    assert not tmp_path.exists()
