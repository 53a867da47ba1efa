"""Law 9 on disk: whatever moment a writer is killed at, and whatever becomes of a file, training goes on from what is
whole, and says so."""

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from damage import DAMAGES, damage

from pipeline.storage.sealed import DamagedFileError, digests_of, write_seal
from pipeline.training import checkpoint
from pipeline.training.checkpoint import Checkpointer, has_checkpoint, read_progress
from pipeline.training.engine import TorchEngine
from pipeline.training.loop import Learner, Progress
from pipeline.training.progress_file import FORMAT
from pipeline.training.random_stream import RandomStream
from pipeline.training.tensor_states import Form, OptimiserForm, TensorState

CPU = torch.device("cpu")
FILES = ["digests.json", "progress.json", "random-0.pt", "learner-0/part-0.pt"]


class OneNumber:
    """An engine whose whole state is one number; writing it can be interrupted."""

    name, device = "one number", CPU

    def __init__(self, value):
        self.value, self.killed = value, False

    def states(self):
        yield "value", TensorState(value=torch.tensor(self.value))
        if self.killed:
            raise KeyboardInterrupt

    def load(self, saved):
        form = Form(shape=torch.Size(), dtype=torch.int64, is_trained=False)
        no_optimiser = OptimiserForm(moments=frozenset(), numbers={})
        self.value = int(saved.checked({"value": form}, no_optimiser)["value"].value)


def learner(value):
    parts = {"objective": None, "learning_rate": None, "listener": None}
    return Learner(name="a", engine=OneNumber(value), random=RandomStream(0, CPU), **parts)


def trained(num_steps):
    """A learner of a tiny model under Adam, after some steps."""
    torch.manual_seed(0)
    module = torch.nn.Linear(3, 2)
    engine = TorchEngine(module, torch.optim.AdamW(module.parameters()), precision="fp32", max_gradient_norm=1.0)
    for step in range(num_steps):
        engine.backward(engine.forward(input=torch.full((1, 3), 1.0 + step)).square().sum())
        engine.step(0.1)
    listener = SimpleNamespace(failed=print, stopped=print)
    parts = {"objective": None, "learning_rate": None, "listener": listener}
    return Learner(name="a", engine=engine, random=RandomStream(num_steps, CPU), **parts)


def state_of(one):
    """Weights, moments and the place in the random stream, to compare."""
    adam = one.engine.optimiser.state_dict()["state"]
    tensors = [*one.engine.whole_state().values(), *(t for _, values in sorted(adam.items()) for t in values.values())]
    return [tensor.tolist() for tensor in (*tensors, *one.random.state())]


@pytest.fixture
def saved(tmp_path):
    """A folder with checkpoints of the steps 1, 2 and 3, as far as they are kept."""
    for step in (1, 2, 3):
        Checkpointer(tmp_path).save([trained(step)], Progress(step=step))
    return tmp_path


def restored(folder):
    """(step, state) that training goes on from."""
    one = trained(0)
    return Checkpointer(folder).restore([one]).step, state_of(one)


@pytest.mark.parametrize("step", [2, 3])
def test_a_kill_while_writing_leaves_the_last_whole_checkpoint(tmp_path, step, caplog):
    """Also when the step is the one that is saved already, as at the end of training; what was begun is mentioned."""
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
    assert ("step-00000003: it has no seal" in caplog.text) == (step == 3)


def test_the_two_newest_checkpoints_are_kept(tmp_path):
    """And `clear` removes them, too."""
    checkpointer = Checkpointer(tmp_path)
    for step in (1, 2, 3):
        checkpointer.save([learner(step)], Progress(step=step))
    assert sorted(path.name for path in tmp_path.glob("step-*")) == ["step-00000002", "step-00000003"]
    assert (tmp_path / "latest").read_text() == "step-00000003"
    checkpointer.clear()
    assert not tmp_path.exists()


def test_a_whole_checkpoint_is_restored_without_a_word(saved, caplog):
    """The newest, every bit of it."""
    assert restored(saved) == (3, state_of(trained(3)))
    assert not caplog.records


@pytest.mark.parametrize("kind", DAMAGES)
@pytest.mark.parametrize("name", FILES)
def test_a_damaged_checkpoint_is_set_aside_and_the_one_before_is_used(saved, caplog, name, kind):
    """Whichever file it is; the warning names it, what was expected and found, and what happens."""
    damage(saved / "step-00000003" / name, kind)
    assert restored(saved) == (2, state_of(trained(2)))
    [record] = caplog.records
    assert record.levelname == "WARNING" and "step-00000002, the one before it, is tried" in record.message
    if (name, kind) == ("digests.json", "missing"):  # as if it had never been sealed
        assert "step-00000003: it has no seal" in record.message
        return_folder = saved / "step-00000003"
    else:
        assert str(saved / "step-00000003" / name) in record.message and "expected" in record.message
        return_folder = saved / "damaged-step-00000003"
    assert return_folder.is_dir()
    Checkpointer(saved).save([trained(3)], Progress(step=3))
    assert restored(saved) == (3, state_of(trained(3)))


@pytest.mark.parametrize("name", FILES)
def test_a_bit_counts_wherever_it_lies(tmp_path, name):
    """Flipped at places all over a file."""
    Checkpointer(tmp_path / "whole").save([trained(2)], Progress(step=2))
    size = (tmp_path / "whole" / "step-00000002" / name).stat().st_size
    for place in range(0, 8 * size, max(1, 8 * size // 30)):
        folder = tmp_path / str(place)
        shutil.copytree(tmp_path / "whole", folder)
        damage(folder / "step-00000002" / name, "flipped", place)
        assert Checkpointer(folder).restore([trained(0)]) == Progress(), place
        shutil.rmtree(folder)


def test_a_file_that_nobody_wrote_is_damage(saved):
    """Every file is listed, and no other is there."""
    (saved / "step-00000003" / "learner-0" / "more.pt").write_text("")
    assert restored(saved)[0] == 2


def test_where_none_is_whole_training_starts_afresh(saved, caplog):
    """Said once for each; the damaged ones are kept, but not more and more of them."""
    for step in (2, 3):
        damage(saved / f"step-{step:08d}" / "learner-0" / "part-0.pt", "flipped")
    assert restored(saved) == (0, state_of(trained(0)))
    assert len(caplog.records) == 2 and "training starts afresh" in caplog.records[1].message
    for step in range(4, 9):
        Checkpointer(saved).save([trained(step)], Progress(step=step))
        damage(saved / f"step-{step:08d}" / "random-0.pt", "empty")
        restored(saved)
    assert len(list(saved.glob("damaged-*"))) == 3


@pytest.mark.parametrize("pointer", ["", "step-00000009", "../x", None])
def test_nothing_depends_on_the_name_that_people_read(saved, pointer):
    """`latest` may be empty, odd or away."""
    (saved / "latest").unlink()
    if pointer is not None:
        (saved / "latest").write_text(pointer)
    assert restored(saved)[0] == read_progress(saved)["step"] == 3


def test_a_checkpoint_of_an_earlier_version_is_not_used(saved, caplog):
    """It has no digests, so nobody knows whether it is whole; the next one takes its place."""
    for path in saved.glob("step-*"):
        (path / "digests.json").unlink()
        (path / "progress.json").write_text(json.dumps({"epoch": 0, "step_in_epoch": 0, "step": 3, "failures": [None]}))
    assert has_checkpoint(saved) and read_progress(saved) == {}
    assert restored(saved)[0] == 0
    assert "of an earlier version" in caplog.text and "training starts afresh" in caplog.text
    Checkpointer(saved).save([trained(1)], Progress(step=1))
    assert [path.name for path in saved.glob("step-*")] == ["step-00000001"]


def test_planning_sees_what_training_will_use(saved):
    """Where the newest is damaged so that it shows without its weights, the one before; nothing in an empty folder."""
    assert read_progress(saved)["step"] == 3
    damage(saved / "step-00000003" / "progress.json", "empty")
    assert (read_progress(saved)["step"], restored(saved)[0]) == (2, 2)
    assert read_progress(saved / "none") == {} and not has_checkpoint(saved / "none")


def test_a_checkpoint_says_who_wrote_it(saved):
    """Of another format, it is not read."""
    progress = json.loads((saved / "step-00000003" / "progress.json").read_text())
    assert progress["format"] == FORMAT and progress["written_by"].startswith("dq-pipeline ")


def test_who_has_left_stays_away(tmp_path):
    """Failures and stops are part of a checkpoint."""
    both = [trained(1), trained(1)]
    both[1].stop("enough")
    Checkpointer(tmp_path).save(both, Progress(step=1))
    again = [trained(0), trained(0)]
    Checkpointer(tmp_path).restore(again)
    assert [one.stopped for one in again] == [None, "enough"]
    assert not Path(tmp_path / "step-00000001" / "learner-1").exists()


@pytest.mark.parametrize("name", ["learner-0/part-0.pt", "random-0.pt"])
def test_another_state_under_a_good_digest_is_refused_in_a_paragraph(saved, name):
    """Nothing tells that it was swapped but its form: it names the file, and nobody trains on it."""
    newest = max(saved.glob("step-*"))
    others = {"learner-0/part-0.pt": newest / "random-0.pt", "random-0.pt": newest / "learner-0" / "part-0.pt"}
    shutil.copy(others[name], newest / name)
    write_seal(newest, digests_of(newest))
    with pytest.raises(DamagedFileError, match="the state of a learner"):
        restored(saved)


@pytest.fixture
def of_others(saved):
    """The newest checkpoint, as two ranks of ZeRO 2 would have left it, which rank 1 reads after another change."""
    newest = saved / "step-00000003"

    def change(**layout):
        progress = json.loads((newest / "progress.json").read_text())
        (newest / "progress.json").write_text(json.dumps({**progress, **layout}))
        write_seal(newest, digests_of(newest))
        return saved

    return change


@pytest.mark.parametrize(
    ("layout", "goes_on", "said"),
    [
        ({"engine": "zero2"}, True, "torch on 1 cpu rank from step 3, which was written by zero2 on 1 cpu rank"),
        ({"num_ranks": 4}, True, "by torch on 4 cpu ranks; random draws, such as dropout, differ"),
        ({"device": "cuda"}, False, "by torch on 1 cuda rank; random draws, such as dropout, differ"),
    ],
)
def test_training_goes_on_after_others_and_says_so(of_others, caplog, layout, goes_on, said):
    """Weights and moments are taken over whoever wrote them; no warning, for nothing is lost."""
    caplog.set_level("INFO")
    step, state = restored(of_others(**layout))
    expected = state_of(trained(3))
    assert step == 3 and state[:-1] == expected[:-1] and (state[-1] == expected[-1]) is goes_on
    [record] = caplog.records
    assert record.levelname == "INFO" and record.message.endswith(("differ from there on", "1 cpu rank"))
    assert said in record.message


def test_a_rank_that_was_not_there_draws_from_a_start_of_its_own(saved, monkeypatch):
    """It is the same whenever it is tried, and another one for another rank and step."""
    monkeypatch.setattr(checkpoint, "rank", lambda: 1)
    monkeypatch.setattr(checkpoint, "gather_objects", lambda _: [saved / "step-00000003"])
    monkeypatch.setattr(Checkpointer, "_damage", lambda *_: None)
    progress = json.loads((saved / "step-00000003" / "progress.json").read_text())
    states = []
    for _ in range(2):
        one = trained(0)
        answers = iter([[saved / "step-00000003"], [progress]])
        monkeypatch.setattr(checkpoint, "gather_objects", lambda _, answers=answers: next(answers))
        assert Checkpointer(saved).restore([one]).step == 3
        states.append(state_of(one))
    assert states[0] == states[1] and states[0][-1] != state_of(trained(3))[-1]


def test_a_checkpoint_of_the_format_before_is_set_aside(of_others, caplog):
    """Its files are other ones; it is called of an earlier version, and the one before is tried."""
    assert restored(of_others(format="dq-checkpoint/2"))[0] == 2
    assert "found format dq-checkpoint/2, of an earlier version" in caplog.text


@pytest.mark.parametrize("layout", [{"num_ranks": 0}, {"engine": None}, {"device": 1}])
def test_who_wrote_a_checkpoint_has_to_be_said(of_others, layout):
    """Else nobody can say whose random draws go on."""
    assert restored(of_others(**layout))[0] == 2


@pytest.mark.parametrize("progress", [{"step": 4}, {"step": 1 << 31}, {"epoch": 4}, {"step_in_epoch": 4}])
def test_a_progress_belongs_to_its_step(of_others, progress):
    """Under a good digest, too: nobody is further than the folder says."""
    assert restored(of_others(**progress))[0] == 2
