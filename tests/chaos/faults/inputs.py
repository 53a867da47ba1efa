"""Data that change under a job, and jobs of different data that share one storage folder."""

from __future__ import annotations

from chaos.fault import SAME, Fault, check
from chaos.faults.processes import MOMENTS
from chaos.process import GO_ON, Moment
from chaos.scene import Scene, write_corpus

CHANGES = {
    "before they are tokenised": Moment(module="pipeline.data.tokenise", function="tokenise"),
    "while the teacher is trained": MOMENTS["first step of the teacher"],
    "while students are trained": MOMENTS["second step of the students"],
}


def changed(scene: Scene, moment: str) -> str:
    """Files are written anew while the job works: it goes on with what it has read; the new ones are other data."""
    answer = scene.run(at=[CHANGES[moment]], doing=lambda *_: write_corpus(scene.corpus, seed=1) or GO_ON)
    check(answer.code == 0, "it finishes", answer.last_words)
    scene.is_whole(answer)
    again = scene.run()
    check(again.code == 0, "the new data are learned", again.last_words)
    check(again.document["sweep"] != answer.document["sweep"], "other data are another sweep", again.document["sweep"])
    return SAME


def shared(scene: Scene, moment: str) -> str:
    """A second job of other data runs from its beginning to its end while the first one is held: neither notices."""
    other = Scene(scene.folder / "other", scene.references, seed=1, storage=scene.storage)
    ended = []
    first = scene.run(at=[CHANGES[moment]], doing=lambda *_: ended.append(other.run()) or GO_ON)
    check((first.code, ended[0].code) == (0, 0), "both finish", first.last_words + ended[0].last_words)
    for one, answer in ((scene, first), (other, ended[0])):
        one.is_whole(answer, without=["runs"])
    return SAME


KINDS = (
    Fault(name="data change", how="files written anew while the job works", moments=tuple(CHANGES), inject=changed),
    Fault(name="cache shared", how="a job of other data beside it", moments=tuple(CHANGES), inject=shared),
)
