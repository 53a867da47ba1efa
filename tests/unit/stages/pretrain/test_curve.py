"""Points of a model on its way: seconds go on after a crash, lost steps are forgotten."""

from pipeline.stages.pretrain.curve import Curve, Point, first_at, looked_at


def test_what_was_seen_is_read_again(tmp_path):
    """By rising step, with and without a loss."""
    curve = Curve(tmp_path / "of" / "curve.json")
    points = [Point(step=3, seconds=1.5), Point(step=5, seconds=2.5, loss=4.0, masked_accuracy=7.0)]
    for point in points:
        curve.add(point, is_writing=True)
    again = Curve(tmp_path / "of" / "curve.json")
    assert again.points == points and again.validated == points[1:]


def test_seconds_of_a_step_are_those_of_the_last_known_one_before_it(tmp_path):
    """A resumed run goes on from them."""
    curve = Curve(tmp_path / "curve.json")
    assert curve.seconds_at(7) == 0.0
    for step, seconds in ((3, 1.0), (6, 2.0)):
        curve.add(Point(step=step, seconds=seconds), is_writing=True)
    assert [curve.seconds_at(step) for step in (2, 3, 5, 6, 9)] == [0.0, 1.0, 1.0, 2.0, 2.0]


def test_steps_that_are_done_again_replace_what_was_lost(tmp_path):
    """Points behind them belong to a run that nobody can continue."""
    curve = Curve(tmp_path / "curve.json")
    for step in (2, 4, 6):
        curve.add(Point(step=step, seconds=float(step)), is_writing=True)
    curve.add(Point(step=4, seconds=9.0), is_writing=True)
    assert Curve(tmp_path / "curve.json").points == [Point(step=2, seconds=2.0), Point(step=4, seconds=9.0)]


def test_ranks_that_do_not_write_leave_the_file_alone(tmp_path):
    """They remember all the same."""
    curve = Curve(tmp_path / "curve.json")
    curve.add(Point(step=1, seconds=1.0), is_writing=False)
    assert curve.seconds_at(1) == 1.0 and not curve.file.exists()


def test_the_first_point_that_is_as_good_is_found():
    """No higher than the loss asked for; none where nobody got there."""
    points = [Point(step=step, seconds=0.0, loss=loss) for step, loss in ((1, 5.0), (2, 4.0), (3, 4.5), (4, 4.0))]
    assert first_at(points, 4.0).step == 2 and first_at(points, 4.6).step == 2 and first_at(points, 5.0).step == 1
    assert first_at(points, 3.9) is None


def test_a_model_is_looked_at_after_every_so_many_steps_and_the_last():
    """The last one once, also where it is one of them."""
    assert looked_at(9, 4) == [4, 8, 9]
    assert looked_at(8, 4) == [4, 8]
    assert looked_at(3, 500) == [3]
