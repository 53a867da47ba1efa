"""`python -m pipeline.runtime`: texts in, answers out; mistakes are one paragraph and leave nothing behind."""

import functools
import io
import json
import os
import shlex
import shutil
import signal
import subprocess
import sys
import zipfile

import pytest
from repository import ROOT

from pipeline.config.errors import UserError
from pipeline.runtime.archive import unpack
from pipeline.runtime.command import main
from pipeline.runtime.inputs import Texts, read_texts
from pipeline.runtime.outputs import write_answers

TEXTS = ["read a file", "", "scales are stored", "the teacher never changes"]


@pytest.fixture
def folder(make_exported):
    return make_exported()


@pytest.fixture
def run(folder, capsys, monkeypatch):
    """Run the command: `run(*arguments, stdin=bytes, model=folder) -> (exit code, stdout, stderr)`."""

    def call(*arguments, stdin=b"", model=folder):
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        code = main([str(model), *map(str, arguments), "--threads", "1"])
        return code, *capsys.readouterr()

    return call


def answered(make_answerer, texts, **settings):
    answerer = make_answerer(name="again")
    return [" ".join(answer.splitlines()) for answer in answerer.answers(texts, **settings)]


def test_a_text_a_file_and_standard_input_are_answered_alike(run, make_answerer, tmp_path):
    """One answer a line, an empty line is an empty text; a bar on stderr for files; no file is touched."""
    expected = answered(make_answerer, TEXTS)
    (tmp_path / "texts.txt").write_text("\n".join(TEXTS))
    content = ("\r\n".join(TEXTS) + "\r\n").encode("utf-8-sig")
    assert run(tmp_path / "texts.txt")[:2] == (0, "\n".join(expected) + "\n")
    assert run("-", stdin=content)[:2] == run(stdin=content)[:2] == (0, "\n".join(expected) + "\n")
    assert "4/4" in run(tmp_path / "texts.txt")[2]
    for text, answer in zip(TEXTS, expected, strict=True):
        assert run(text) == (0, f"{answer}\n", "")


def test_settings_of_the_command_are_followed(run, make_answerer):
    """Beams and lengths."""
    code, out, _ = run("read a file", "--beams", 3, "--max-length", 9, "--min-length", 8)
    assert (code, out) == (0, answered(make_answerer, TEXTS[:1], num_beams=3, max_length=9, min_length=8)[0] + "\n")
    assert run("--beams", 3, "--max-length", 9, "read a file", "--min-length", 8)[:2] == (code, out)


def test_json_lines_hold_texts_and_whole_answers(run, make_answerer, tmp_path):
    """In and out; line ends inside texts and answers stay."""
    (tmp_path / "texts.jsonl").write_text('{"text": "read\\na file", "id": 7}\n{"text": ""}\n')
    code, out, _ = run(tmp_path / "texts.jsonl", "--jsonl")
    answers = make_answerer(name="again").answers(["read\na file", ""])
    assert code == 0
    assert [json.loads(line) for line in out.splitlines()] == [
        {"text": text, "answer": answer} for text, answer in zip(["read\na file", ""], answers, strict=True)
    ]


def test_pairs_are_told_from_texts(run, make_exported, tmp_path):
    """In JSON lines, or with --second."""
    model = make_exported("classifier", labels=["no", "yes", "perhaps"])
    (tmp_path / "pairs.jsonl").write_text('{"text": "a", "text_pair": "b c d"}\n')
    _, out, _ = run(tmp_path / "pairs.jsonl", "--jsonl", model=model)
    label = json.loads(out)["answer"]
    assert json.loads(out) == {"text": "a", "text_pair": "b c d", "answer": label}
    assert run("a", "--second", "b c d", model=model)[1] == f"{label}\n"
    for mistake in (("-", "--second", "b"), (tmp_path / "pairs.jsonl", "--second", "b")):
        assert run(*mistake, stdin=b"a\nb\n", model=model)[0] == 2


def test_a_stream_gives_the_same_text(run):
    """One answer a line."""
    content = "\n".join(TEXTS).encode()
    assert run(stdin=content)[1] == run("--stream", stdin=content)[1]
    assert run("a", "--stream", "--jsonl")[0] == run("a", "--stream", "--beams", 2)[0] == 2


def test_an_output_file_is_whole_or_absent(run, tmp_path):
    """It replaces an older one at the end, and a mistake leaves that one as it is."""
    output = tmp_path / "answers.txt"
    output.write_text("old")
    assert run("read a file", "--output", output, "--max-length", 99)[0] == 2
    assert output.read_text() == "old"
    code, out, _ = run("read a file", "--output", output)
    assert (code, out) == (0, "")
    assert output.read_text() == run("read a file")[1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["answers.txt", "exported"]
    os.mkfifo(tmp_path / "pipe")
    for wrong in (
        tmp_path,
        tmp_path / "missing" / "answers.txt",
        tmp_path / "pipe",
        *(tmp_path / ("x" * n) for n in (250, 300)),
    ):
        assert run("read a file", "--output", wrong)[:2] == (2, "")
    assert (tmp_path / "pipe").is_fifo()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"fine\nbroken \xe9\n", "is not UTF-8: byte 0xe9 in line 2"),
        (b"", "is empty"),
        (None, "no file .*texts.txt"),
    ],
)
def test_files_that_cannot_be_read_are_refused(run, tmp_path, content, message):
    """One paragraph, exit code 2."""
    if content is not None:
        (tmp_path / "texts.txt").write_bytes(content)
    code, out, err = run(tmp_path / "texts.txt")
    assert (code, out) == (2, "")
    with pytest.raises(UserError, match=message):
        read_texts(str(tmp_path / "texts.txt"))
    assert "Allowed:" in err and "Traceback" not in err and "\n\n" not in err


@pytest.mark.parametrize(
    "line",
    [
        *("", "a text", "[]", '"a text"', '{"source": "a"}', '{"text": 3}', '{"text": "a", "text_pair": null}'),
        *('{"text": "a"', "[" * 100_000, f'{{"text": "a", "number": {"1" * 5000}}}'),
    ],
)
def test_a_line_that_is_no_object_is_refused_by_its_number(tmp_path, line):
    """So that answers stay beside their lines."""
    path = tmp_path / "texts.jsonl"
    path.write_text(f'{{"text": "fine"}}\n{line}\n')
    with pytest.raises(UserError, match=r"texts\.jsonl, line 2: "):
        read_texts(str(path))


def test_pairs_in_some_lines_only_are_refused(tmp_path):
    """By the first line that differs, whichever it lacks."""
    pair, single = '{"text": "a", "text_pair": "b"}', '{"text": "a"}'
    for lines in ((pair, single), (single, pair)):
        (tmp_path / "texts.jsonl").write_text("\n".join(lines))
        with pytest.raises(UserError, match='line 2: "text_pair" in some lines and not in others'):
            read_texts(str(tmp_path / "texts.jsonl"))


@pytest.mark.parametrize("text", ["", " ", "a" * 5000, "what is in a/b or c.txt?", "key=value", "zero\0byte", "end."])
def test_a_text_is_a_text_whatever_it_holds(text):
    """Only a word like a path must be one."""
    assert read_texts(text) == Texts(origin="text", first=[text])


@pytest.mark.parametrize("name", ["missing.txt", "missing.jsonl", "data/missing", "/missing"])
def test_a_word_like_a_path_is_no_text(name):
    """A mistyped file name is not answered."""
    with pytest.raises(UserError, match=f"no file {name}"):
        read_texts(name)


def test_a_folder_is_no_file_of_texts(tmp_path):
    """Named by its path."""
    with pytest.raises(UserError, match="is a folder"):
        read_texts(str(tmp_path))


def test_line_ends_inside_an_answer_become_spaces(tmp_path):
    """All kinds of them; JSON lines keep them."""
    texts, output = Texts(origin="text", first=["a"]), tmp_path / "out"
    write_answers(["one\ntwo\r\nthree\u2028four"], texts, output=output)
    assert output.read_text() == "one two three four\n"
    write_answers(["one\ntwo"], texts, output=output, jsonl=True)
    assert json.loads(output.read_text())["answer"] == "one\ntwo"


def test_json_lines_are_known_by_their_ending_in_any_case(tmp_path):
    """Other systems write it in capitals."""
    (tmp_path / "TEXTS.JSONL").write_text('{"text": "a"}')
    assert read_texts(str(tmp_path / "TEXTS.JSONL")).first == ["a"]


def zipped(folder, path, prefix="", **others):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        for part in folder.iterdir():
            file.write(part, f"{prefix}{part.name}")
        for name, content in others.items():
            file.writestr(name, content)
    return path


@pytest.mark.parametrize("prefix", ["", "student-fast/"])
def test_a_zip_of_a_folder_is_a_model(run, folder, tmp_path, prefix):
    """With the folder in it or without; nothing is left behind."""
    expected = run("read a file")
    assert run("read a file", model=zipped(folder, tmp_path / "model.zip", prefix)) == expected


def test_a_zip_that_is_none_is_refused(run, folder, tmp_path):
    """Cut short, changed, without a model, with entries that lie elsewhere."""
    whole = zipped(folder, tmp_path / "model.zip").read_bytes()
    changed = bytearray(whole)
    changed[200] ^= 1
    link = zipfile.ZipInfo("link")
    link.external_attr = 0o120777 << 16
    path = tmp_path / "wrong.zip"
    for content in (b"", b"PK", whole[: len(whole) // 2], bytes(changed)):
        path.write_bytes(content)
        assert "is not the .zip of an exported model" in " ".join(run("a", model=path)[2].split())
    for name in ("../outside", "/outside", "a/../../outside", "C:outside", "..\\outside", link):
        with zipfile.ZipFile(path, "w") as file:
            file.writestr(name, "x")
        assert "which lies elsewhere" in " ".join(run("a", model=path)[2].split())
    with zipfile.ZipFile(path, "w") as file:
        file.writestr("readme", "x")
    assert "holds no manifest.json" in " ".join(run("a", model=path)[2].split())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["exported", "model.zip", "wrong.zip"]


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_no_damage_to_a_zip_goes_unnoticed_or_ends_in_a_traceback(tmp_path, method):
    """One byte after the other: it is refused, or what is unpacked is what was packed."""
    path, content = tmp_path / "damaged.zip", b"the content of the file " * 3
    with zipfile.ZipFile(path, "w", method) as file:
        file.writestr("ä", content)
    whole = path.read_bytes()
    refused = 0
    for place in range(len(whole)):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 0xFF]) + whole[place + 1 :])
        folder = tmp_path / str(place)
        folder.mkdir()
        try:
            unpack(path, folder)
            assert all(file.read_bytes() == content for file in folder.iterdir() if file.is_file())
        except UserError:
            refused += 1
    assert refused > len(content) // 3


def test_a_model_that_is_none_is_refused(run, folder, tmp_path):
    """No such folder, an empty one, one without a graph."""
    (tmp_path / "empty").mkdir()
    wrong = [(tmp_path / "missing", "no folder"), (tmp_path / "empty", "is not an exported model")]
    wrong.append((tmp_path / ("a text in its place " * 20), "File name too long"))
    for model, message in wrong:
        code, out, err = run("a", model=model)
        assert (code, out) == (2, "")
        assert message in " ".join(err.split())
        assert "Change: name a folder" in " ".join(err.split())
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "decoder.onnx").unlink()
    assert "decoder.onnx is missing" in " ".join(run("a", model=copy)[2].split())


def command(folder, *arguments, **options):
    words = [sys.executable, "-m", "pipeline.runtime", str(folder), *arguments, "--threads", "1"]
    # A shell's background jobs ignore interrupts, and hand that down.
    heard = functools.partial(signal.signal, signal.SIGINT, signal.SIG_DFL)
    return subprocess.Popen(words, cwd=ROOT, stderr=subprocess.PIPE, text=True, preexec_fn=heard, **options)


def test_a_closed_pipe_and_an_interrupt_end_it_quietly(folder, tmp_path):
    """Exit codes as shells count them, nothing on stderr."""
    (tmp_path / "texts.txt").write_text("a text\n" * 400)
    reading, writing = os.pipe()
    os.close(reading)
    process = command(folder, str(tmp_path / "texts.txt"), "--stream", stdout=writing)
    os.close(writing)
    assert (process.communicate()[1], process.returncode) == ("", 141)
    process = command(folder, "-", "--stream", stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    process.stdin.write("a text\n" * 20_000)
    process.stdin.close()
    process.stdout.readline()  # it is at work
    process.send_signal(signal.SIGINT)
    assert process.stderr.read() == ""
    process.stdout.close()
    assert process.wait() == 130


@pytest.mark.parametrize(
    ("streams", "message"),
    [("> /dev/full", "No space left"), (">&-", "standard output: is closed"), ("<&-", "standard input is closed")],
)
def test_standard_streams_that_do_not_work_are_named(folder, streams, message):
    """A full disk, nothing to write to, nothing to read."""
    words = [
        sys.executable,
        "-m",
        "pipeline.runtime",
        str(folder),
        "--threads",
        "1",
        *(["a text"] if ">" in streams else []),
    ]
    done = subprocess.run(f"{shlex.join(words)} {streams}", shell=True, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 2
    assert message in done.stderr and "Change:" in done.stderr and "Traceback" not in done.stderr
