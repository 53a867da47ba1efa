"""The parts of a learner's state: read whatever number of ranks wrote them, refused where they are another state."""

import pytest
import torch

from pipeline.config.sections.training import TrainConfig
from pipeline.storage.sealed import DamagedFileError
from pipeline.training import tensor_states
from pipeline.training.engine import TorchEngine
from pipeline.training.optim import adamw, published_adamw
from pipeline.training.state_file import read_state, write_state
from pipeline.training.tensor_states import SavedStates, TensorState, optimiser_form, write_parts

CPU = torch.device("cpu")
OPTIMISERS = {
    "momentum": lambda module: torch.optim.SGD([p for p in module.parameters() if p.requires_grad], 0.1, momentum=0.9),
    "adamw": lambda module: adamw((p for p in module.parameters() if p.requires_grad), TrainConfig()),
    "published": lambda module: published_adamw(
        ((name, p) for name, p in module.named_parameters() if p.requires_grad), TrainConfig()
    ),
}


def engine(steps=2, kind="adamw", width=3):
    """An engine of two layers that share a weight, one of whose biases is frozen, after some steps."""
    torch.manual_seed(steps)
    module = torch.nn.Sequential(torch.nn.Linear(width, width), torch.nn.Linear(width, width))
    module[1].weight = module[0].weight
    module[1].bias.requires_grad_(False)
    module.register_buffer("seen", torch.tensor([steps]))
    one = TorchEngine(module, OPTIMISERS[kind](module), precision="fp32", max_gradient_norm=1.0)
    for _ in range(steps):
        one.backward(one.forward(input=torch.ones(1, width)).square().sum())
        one.step(0.1)
    return one


def write(folder, one, num_ranks, monkeypatch):
    """The parts of an engine, as so many ranks write them."""
    for rank in range(num_ranks):
        monkeypatch.setattr(tensor_states, "rank", lambda rank=rank: rank)
        monkeypatch.setattr(tensor_states, "world_size", lambda: num_ranks)
        write_parts(folder, one.states())
    return folder


def all_of(one):
    """Everything that an engine gives, to compare."""
    return {
        name: (state.value.tolist(), {key: moment.tolist() for key, moment in state.moments.items()}, state.numbers)
        for name, state in one.states()
    }


@pytest.mark.parametrize("steps", [0, 2])
@pytest.mark.parametrize("kind", OPTIMISERS)
@pytest.mark.parametrize("num_ranks", [1, 2, 3, 8])
def test_what_any_number_of_ranks_wrote_is_read(tmp_path, monkeypatch, num_ranks, kind, steps):
    """Every bit of it, into an engine that was elsewhere; before the first step an optimiser has nothing, and again."""
    first, second = engine(steps, kind), engine(5, kind)
    second.load(SavedStates(write(tmp_path, first, num_ranks, monkeypatch)))
    assert all_of(second) == all_of(first)
    assert set(all_of(first)) == {"0.weight", "0.bias", "1.bias", "seen"}
    for one in (first, second):
        one.backward(one.forward(input=torch.ones(1, 3)).square().sum())
        one.step(0.1)
    assert all_of(second) == all_of(first)
    numbers = {"adamw": {"step": steps + 1.0}, "published": {"step": steps + 1}, "momentum": {}}[kind]
    assert repr(all_of(first)["0.bias"][2]) == repr(numbers)


def test_ranks_share_the_work_and_write_no_more_than_there_is(tmp_path, monkeypatch):
    """The largest part is as large as the average and one tensor; a view takes its own bytes alone."""
    one = engine(width=64)
    write(tmp_path / "3", one, 3, monkeypatch)
    sizes = [sum(t.nbytes for t in tensors_in(read_state(part, "cpu"))) for part in (tmp_path / "3").iterdir()]
    tensors = [state.num_bytes for _, state in one.states()]
    assert sum(sizes) == sum(tensors) and max(sizes) <= sum(tensors) / 3 + max(tensors)
    monkeypatch.undo()
    write_parts(tmp_path / "view", [("rows", TensorState(value=torch.zeros(1000, 100)[:2]))])
    assert (tmp_path / "view" / "part-0.pt").stat().st_size < 4000


def tensors_in(states):
    """The tensors of a part."""
    for state in states["tensors"].values():
        yield from (state["value"], *state["moments"].values())


BAD = {
    "missing": (lambda states: states.pop("0.bias"), "with the tensor '0.bias'"),
    "extra": (lambda states: states.update(more=states["seen"]), "also 'more'"),
    "shape": (lambda states: states["0.bias"].update(value=torch.zeros(4)), r"whose '0.bias' is \[3\]"),
    "kind": (lambda states: states["0.bias"].update(value=torch.zeros(3).double()), "of torch.float32"),
    "shape of a moment": (lambda states: states["0.bias"]["moments"].update(exp_avg=torch.zeros(2)), r"is \[3\]"),
    "no moment": (lambda states: states["0.bias"]["moments"].pop("exp_avg"), "of its optimiser"),
    "other moment": (lambda states: states["0.bias"]["moments"].update(sum=torch.zeros(3)), "of its optimiser"),
    "moment of what is frozen": (lambda states: states["1.bias"].update(numbers={"step": 2.0}), "of its optimiser"),
    "no step": (lambda states: states["0.bias"]["numbers"].clear(), "of its optimiser"),
    "step of another optimiser": (lambda states: states["0.bias"]["numbers"].update(step=2), "of its optimiser"),
    "other step": (lambda states: states["0.bias"]["numbers"].update(step=3.0), "the steps of the others"),
    "no entry": (lambda states: states.update({"0.bias": torch.zeros(3)}), "another entry '0.bias'"),
    "no names": (lambda states: states.update({0: states["0.bias"]}), "another entry '0'"),
    "no tensor": (lambda states: states["0.bias"].update(value=[0.0] * 3), "another entry '0.bias'"),
    "no number": (lambda states: states["0.bias"]["numbers"].update(step=torch.ones(2)), "another entry '0.bias'"),
}


@pytest.mark.parametrize("what", BAD)
def test_another_state_is_refused_before_anything_changes(tmp_path, monkeypatch, what):
    """Tensors that are missing, too many or of another shape; states of another optimiser."""
    change, said = BAD[what]
    part = write(tmp_path, engine(), 1, monkeypatch) / "part-0.pt"
    content = read_state(part, "cpu")
    change(content["tensors"])
    write_state(part, content)
    one = engine(5)
    before = all_of(one)
    with pytest.raises(DamagedFileError, match=said) as error:
        one.load(SavedStates(tmp_path))
    assert "the state of a learner" in f"{error.value}"
    assert all_of(one) == before


def test_a_part_that_is_missing_or_there_twice_is_refused(tmp_path, monkeypatch):
    """Its tensors are named; so is one that two ranks have written, and a state of another learner."""
    folder = write(tmp_path / "two", engine(), 2, monkeypatch)
    parts = sorted(folder.iterdir())
    content = parts[1].read_bytes()
    parts[1].unlink()
    with pytest.raises(DamagedFileError, match="with the tensor"):
        engine().load(SavedStates(folder))
    with pytest.raises(DamagedFileError, match=r"that of .*/two"):
        (tmp_path / "other").mkdir()
        (tmp_path / "other" / "part-0.pt").write_bytes(content)
        SavedStates(tmp_path / "other")
    for _ in range(2):
        parts[1].write_bytes(content)
        parts[1] = folder / "part-7.pt"
    with pytest.raises(DamagedFileError, match="as in another part"):
        SavedStates(folder)
    with pytest.raises(DamagedFileError, match=r"whose '0\.weight' is"):
        engine(width=4).load(SavedStates(write(tmp_path / "one", engine(), 1, monkeypatch)))
    write_state(folder / "part-0.pt", [1, 2])
    with pytest.raises(DamagedFileError, match="something else"):
        SavedStates(folder)


def test_a_large_share_is_written_in_several_files(tmp_path, monkeypatch):
    """So that little of it lies in memory; all of it is read."""
    monkeypatch.setattr(tensor_states, "PART_BYTES", 40)
    one, other = engine(), engine(5)
    folder = write(tmp_path, one, 1, monkeypatch)
    assert sorted(path.name for path in folder.iterdir()) == ["part-0-1.pt", "part-0.pt"]
    other.load(SavedStates(folder))
    assert all_of(other) == all_of(one)


@pytest.mark.parametrize("kind", OPTIMISERS)
def test_what_an_optimiser_keeps_is_found_without_a_trace(kind):
    """Its groups and its state are as before."""
    one = engine(1, kind)
    before, groups = len(one.optimiser.state), one.optimiser.param_groups
    form = optimiser_form(one.optimiser, CPU)
    adam = ({"exp_avg", "exp_avg_sq"}, {"step"})
    assert (form.moments, set(form.numbers)) == (({"momentum_buffer"}, set()) if kind == "momentum" else adam)
    assert len(one.optimiser.state) == before and one.optimiser.param_groups is groups
