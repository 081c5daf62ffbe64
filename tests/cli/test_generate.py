"""scripts/generate against a small server that answers as told (the real one: test_readme.py and test_clients.py)."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl

import numpy as np
import pytest
from PIL import Image

from cli.generate import __main__ as program
from cli.generate import service as client
from cli.generate.options import parse
from formats import FORMATS
from tests.support.answering import EMPTY, ERROR, POINTS, READY, WAY, Server, stream

pytestmark = pytest.mark.usefixtures("folder")


def run(server: Server, *arguments: object) -> int | str | None:
    """The exit status of `scripts/generate "a chair" …` (a string is a message and status 1)."""
    with pytest.raises(SystemExit) as stop:
        program.main(["a chair", "--url", server.url, *map(str, arguments)])
    return stop.value.code


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


# Files


@pytest.mark.parametrize("format_", FORMATS[1:], ids=lambda format_: format_.name)
def test_every_format_of_the_service_is_written_as_the_service_sends_it(
    format_: Any, server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "-o", f"chair{format_.suffix}", "--format", format_.name, "--steps", 7) == 0
    assert (folder / f"chair{format_.suffix}").read_bytes() == f"a file with format={format_.name}".encode()
    assert server.files == [(f"format={format_.name}", {"prompt": "a chair", "ddim_steps": 7, "seed": 42})]
    line = rf"chair\{format_.suffix}: 3 fine points, 2 coarse points, seed 42, \d+\.\d s\n"
    assert re.fullmatch(line, capsys.readouterr().out)
    assert names(folder) == [f"chair{format_.suffix}"]


def test_json_is_written_without_another_request(server: Server, folder: Path) -> None:
    assert run(server, "-o", "chair.json") == 0
    assert json.loads((folder / "chair.json").read_text()) == POINTS
    assert server.files == []


@pytest.mark.parametrize(("ending", "name"), [(".glb", "glb"), (".PLY", "ply"), (".npz", "npz"), (".vox", "vox")])
def test_the_ending_chooses_the_format(ending: str, name: str, server: Server, folder: Path) -> None:
    assert run(server, "-o", f"chair{ending}") == 0
    assert (folder / f"chair{ending}").read_bytes() == f"a file with format={name}".encode()


def test_options_reach_the_file_and_not_the_preview(server: Server, folder: Path) -> None:
    assert run(server, "-o", "chair.vox", "--size", 48, "--fill", "solid", "--clean", "--palette", "oak") == 0
    ((query, _),) = server.files
    assert dict(parse_qsl(query)) == {
        "format": "vox", "size": "48", "fill": "solid", "clean": "true", "palette": "oak"
    }  # fmt: skip
    assert run(server, "-o", "chair.json", "--up", "z") == 0
    assert dict(parse_qsl(server.files[1][0])) == {"format": "json", "up": "z"}


def test_levels_write_a_zip_that_says_so(server: Server, folder: Path) -> None:
    assert run(server, "--format", "ply", "--levels", 2) == 0
    assert run(server, "-o", "levels.zip", "--format", "ply", "--levels", 2) == 0
    assert names(folder) == ["a-chair-42.zip", "levels.zip"]


def test_a_file_without_a_name_is_called_after_prompt_and_seed(server: Server, folder: Path) -> None:
    assert run(server, "--format", "stl") == 0
    assert run(server, "--format", "glb-points", "--seed", -3) == 0
    assert names(folder) == ["a-chair--3-points.glb", "a-chair-42.stl"]


def test_a_prompt_alone_makes_a_glb_and_shows_it_in_a_terminal(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XCUBE_URL", f" {server.url}/ ")
    monkeypatch.setattr(program, "drawing", lambda *_: "DRAWN")
    for looked_at in (False, True):
        monkeypatch.setattr(sys.stderr, "isatty", lambda looked_at=looked_at: looked_at)
        with pytest.raises(SystemExit) as ended:
            program.main(["a tall chair", "--seed", "7"])
        assert ended.value.code == 0
        output = capsys.readouterr()
        assert "a-tall-chair-7.glb: " in (output.err if looked_at else output.out)
        assert ("DRAWN" in output.err) is looked_at
    assert [path.name for path in folder.iterdir()] == ["a-tall-chair-7.glb"]


def test_several_shapes_have_numbered_files_and_seeds_that_count_up(
    server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, "-o", "chair.ply", "--count", 10, "--seed", 5) == 0
    assert names(folder) == [f"chair-{number:02}.ply" for number in range(1, 11)]
    assert [request["seed"] for request in server.requests] == list(range(5, 15))
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == names(folder)


def test_several_shapes_without_a_seed_have_one_of_the_service_s_choice_each(server: Server) -> None:
    assert run(server, "-o", "chair.ply", "--count", 2) == 0
    assert server.requests == [{"prompt": "a chair"}, {"prompt": "a chair"}]


def variants(*items: dict[str, Any]) -> list[tuple[str, Any]]:
    """What the service tells of shapes that it makes together; the last one is ready first."""
    way = [(name, {"index": index, **data}) for index in range(len(items)) for name, data in WAY]
    ends = [("variant", {"index": index, **item}) for index, item in reversed(list(enumerate(items)))]
    return [*way, *ends, ("completed", {"made": len(items), "failed": 0})]


def item(seed: int) -> dict[str, Any]:
    return {**POINTS, "seed": seed, "seed_text": str(seed), "warnings": []}


def test_variants_come_from_one_request_and_each_has_its_file(
    server: Server, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    server.events = [variants(item(5), item(6), item(7))]
    assert run(server, "-o", "chair.ply", "--n", 3, "--seed", 5, "--preset", "draft") == 0
    assert server.requests == [{"prompt": "a chair", "seed": 5, "n": 3, "preset": "draft"}]
    assert [request["seed"] for _, request in server.files] == [7, 6, 5]
    assert all("n" not in request for _, request in server.files)
    assert names(folder) == ["chair-1.ply", "chair-2.ply", "chair-3.ply"]
    assert [line.split(":")[0] for line in capsys.readouterr().out.splitlines()] == names(folder)[::-1]
    assert run(server, "--format", "json", "--n", 3) == 0
    assert set(names(folder)) >= {"a-chair-5.json", "a-chair-6.json", "a-chair-7.json"}


def test_a_variant_that_was_not_made_leaves_the_others(server: Server, folder: Path) -> None:
    server.events = [variants(item(1), EMPTY)]
    message = run(server, "-o", "chair.ply", "--n", 2)
    assert message == "1 of 2 shapes were not made: The model produced no voxels: take another seed."
    assert names(folder) == ["chair-1.ply"]


def test_a_seed_without_a_shape_does_not_keep_the_others_from_being_made(server: Server, folder: Path) -> None:
    done = [*WAY, ("completed", dict(POINTS))]
    server.events = [done, [*WAY, ("failed", EMPTY)], done]
    message = run(server, "-o", "chair.ply", "--count", 3, "--seed", 1)
    assert message == "1 of 3 shapes were not made: The model produced no voxels: take another seed."
    assert names(folder) == ["chair-1.ply", "chair-3.ply"]


def test_an_error_that_every_seed_would_have_stops_at_once(server: Server, folder: Path) -> None:
    server.statuses, server.answer = [400], ERROR
    assert run(server, "-o", "chair.ply", "--count", 3) == ERROR["error"]
    assert len(server.requests) == 1


def test_what_the_user_leaves_out_is_the_service_s_to_choose(server: Server) -> None:
    assert run(server, "-o", "chair.ply") == 0
    options = ["--steps", 20, "--guidance-scale", 3.5, "--seed", -7, "--no-fine", "--scheduler", "dpm++"]
    options += ["--fine-steps", 9, "--guidance-interval", 0.1, 0.9]
    assert run(server, "-o", "chair.ply", *options) == 0
    assert server.requests == [
        {"prompt": "a chair"},
        {
            "prompt": "a chair",
            "ddim_steps": 20,
            "guidance_scale": 3.5,
            "seed": -7,
            "use_fine": False,
            "scheduler": "dpm++",
            "fine_steps": 9,
            "guidance_interval": [0.1, 0.9],
        },
    ]


def test_the_key_in_the_environment_is_sent(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run(server, "-o", "chair.ply") == 0
    monkeypatch.setenv("XCUBE_API_KEY", "correct horse")
    assert run(server, "-o", "chair.ply") == 0
    assert server.keys == [None, None, "Bearer correct horse", "Bearer correct horse"]


def test_a_key_from_a_file_is_sent_without_the_file_s_line_break(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCUBE_API_KEY", "secret\r\n")
    assert run(server, "-o", "chair.ply") == 0
    assert set(server.keys) == {"Bearer secret"}


@pytest.mark.parametrize("key", ["zwei\nzeilen", "schlüssel"])
def test_a_key_that_no_header_can_carry_is_named_in_one_sentence(
    key: str, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XCUBE_API_KEY", key)
    assert "XCUBE_API_KEY has a character that a key cannot have" in str(run(server, "-o", "chair.ply"))


# Pictures


def test_the_preview_is_a_picture_of_the_finest_stage(server: Server, folder: Path) -> None:
    assert run(server, "-o", "chair.ply", "--preview", "chair.png") == 0
    with Image.open(folder / "chair.png") as picture:
        assert picture.size == (512, 512)
        assert len(picture.getcolors(512 * 512) or []) > 2


def test_several_shapes_are_one_picture(server: Server, folder: Path) -> None:
    assert run(server, "--count", 4, "--seed", 1, "--preview", "chairs.png") == 0
    assert names(folder) == ["chairs.png"]
    with Image.open(folder / "chairs.png") as picture:
        assert picture.size[0] == 2 * program.SHEET_SIDE
        tiles = np.asarray(picture)[: 2 * program.SHEET_SIDE].reshape(2, program.SHEET_SIDE, 2, -1, 3)
        assert (tiles < 250).any(axis=(1, 3, 4)).all(), "something is drawn in each of the four places"


def test_a_drawing_where_nobody_looks_has_no_escape_codes(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(server, "--preview") == 0
    said = capsys.readouterr()
    assert "\x1b" not in said.err
    assert len(said.err.strip()) > 3
    assert said.out.startswith("a chair: 3 fine points")
    assert run(server, "--preview", "chair.png") == 0
    assert capsys.readouterr().err == "", "the picture is in its file"


# Waiting, and what goes wrong


def test_it_waits_while_the_models_load(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client.time, "sleep", pauses.append)
    server.health = [{"status": "loading"}, {"status": "loading"}, READY]
    assert run(server, "-o", "chair.ply") == 0
    assert pauses == [1.0, 1.0], "a client that asks without a pause would keep the server busy"


def test_it_stops_waiting_at_the_timeout(server: Server) -> None:
    server.health = [{"status": "loading"}]
    assert "was still loading after 0.1 s" in str(run(server, "-o", "chair.ply", "--timeout", 0.1))


@pytest.mark.parametrize(("told", "pause"), [("3", 3.0), ("Tue, 24 Nov 2026 07:00:00 GMT", 1.0)])
def test_a_full_service_is_asked_again_when_it_says_so(
    server: Server, monkeypatch: pytest.MonkeyPatch, told: str, pause: float
) -> None:
    pauses: list[float] = []
    monkeypatch.setattr(client.time, "sleep", pauses.append)
    server.statuses, server.answer, server.headers = [429, 200], ERROR, {"Retry-After": told, "X-Seed": "42"}
    assert run(server, "-o", "chair.ply") == 0
    assert pauses == [pause]


def test_a_service_that_stays_full_for_too_long_is_an_error(server: Server) -> None:
    server.statuses, server.answer, server.headers = [429], ERROR, {"Retry-After": "30"}
    assert run(server, "-o", "chair.ply", "--timeout", 5) == ERROR["error"]


def test_a_warning_of_the_service_is_shown(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    warning = ("warning", {"warnings": ["the fine model is missing"]})
    server.events = [[*WAY, warning, ("completed", {**POINTS, "fine_xyz": None, "fine_normal": None})]]
    assert run(server, "-o", "chair.ply") == 0
    said = capsys.readouterr()
    assert "Note: the fine model is missing" in said.err
    assert "chair.ply: 2 coarse points" in said.out


@pytest.mark.parametrize(
    ("status", "answer", "message"),
    [
        (400, ERROR, "prompt should not be blank: correct the request."),
        (503, ERROR, "prompt should not be blank: correct the request."),
        (502, b"<html>Bad gateway</html>", "The service answered 502: <html>Bad gateway</html>"),
        (500, b"", "The service answered 500: nothing"),
    ],
)
def test_an_error_of_the_service_is_one_sentence_and_leaves_no_file(
    server: Server, folder: Path, status: int, answer: Any, message: str
) -> None:
    server.statuses, server.answer = [status], answer
    assert run(server, "-o", "chair.ply") == message
    assert names(folder) == []


def test_a_failure_on_the_way_is_one_sentence_and_leaves_no_file(server: Server, folder: Path) -> None:
    server.events = [[*WAY, ("failed", EMPTY)]]
    assert run(server, "-o", "chair.ply") == EMPTY["error"]
    assert names(folder) == []


def test_a_stream_that_breaks_off_is_an_error(server: Server, folder: Path) -> None:
    server.events = [WAY]
    assert run(server, "-o", "chair.ply") == (
        f"The connection to {server.url} broke (it ended early): see the service's log."
    )
    assert names(folder) == []


def test_failed_models_are_explained(server: Server) -> None:
    server.health = [{"status": "error", "error": "No checkpoint was found: put one into checkpoints/."}]
    assert run(server, "-o", "a.ply") == (
        "The service has no models: No checkpoint was found: put one into checkpoints/."
    )


def test_no_service_says_how_to_start_one() -> None:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    message = str(run(Server(url=f"http://127.0.0.1:{port}"), "-o", "a.ply"))
    assert message == f"No service answers at http://127.0.0.1:{port}: start scripts/serve or give another --url."


@pytest.mark.parametrize("health", [["ready"], {"ok": True}, None])
def test_another_server_is_not_taken_for_the_service(server: Server, health: Any) -> None:
    server.health = [health]
    assert "is not this service" in str(run(server, "-o", "a.ply"))


def test_an_answer_that_is_no_stream_is_not_taken_for_one(server: Server) -> None:
    server.content_type = "text/html"
    assert "is not this service" in str(run(server, "-o", "a.ply"))


def test_a_slow_answer_ends_at_the_timeout(server: Server) -> None:
    done = threading.Event()
    server.delay = lambda: done.wait(10)
    try:
        assert "No answer in 0.3 s" in str(run(server, "-o", "a.ply", "--timeout", 0.3))
    finally:
        done.set()


def test_a_stream_that_only_stays_alive_ends_at_the_timeout() -> None:
    service = client.Service("http://unused", timeout=5.0, key=None)
    late = service._in_time([b": alive\n\n"], end=0.0)
    with pytest.raises(client.GenerateError, match="No answer in 5 s"):
        list(late)


def test_events_are_read_however_they_are_cut() -> None:
    events = [*WAY, ("completed", {"text": "a: b\u2028c"})]
    content = stream(events)
    for size in (1, 2, 3, 7, len(content)):
        chunks = [content[start : start + size] for start in range(0, len(content), size)]
        assert [(name, json.loads(data)) for name, data in client.read_events(chunks)] == events
    assert len(list(client.read_events([content[:-1]]))) == len(events) - 1, "the last one is not whole"


# Options


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["-o", "chair.fbx"], "chair.fbx ends in none of .json, .npz"),
        (["-o", "chair.ply", "--preview", "chair.jpg"], "has to end in .png"),
        (["-o", "no/such/folder/chair.ply"], "there is no folder no/such/folder"),
        (["--preview", "no/such/folder/chair.png"], "there is no folder no/such/folder"),
        (["-o", "chair.ply", "--count", "0"], "'0' is not a number of shapes"),
        (["-o", "chair.ply", "--count", "many"], "'many' is not a number of shapes"),
        (["-o", "chair.ply", "--n", "0"], "'0' is not a number of shapes"),
        (["-o", "chair.ply", "--n", "2", "--count", "2"], "argument --count: not allowed with argument --n"),
        (["-o", "chair.ply", "--preset", "fast"], "invalid choice: 'fast'"),
        (["--format", "fbx"], "invalid choice: 'fbx'"),
        (["-o", "a.glb", "--up", "z", "--size", "0"], "size should be a whole number from 1 to 1,024, not '0'"),
        (["-o", "a.glb", "--up", "z", "--fill", "solid"], "fill does not apply to glb; up is y in glb"),
        (["-o", "a.ply", "--levels", "3"], "--levels writes a ZIP: name it a.zip and say --format"),
        (["--preview", "a.png", "--size", "9"], "size is of a file: add -o FILE or --format"),
        (["--steps", "0"], "'0' is no number of denoising steps: give 1 to 1000"),
        (["--fine-steps", "many"], "'many' is no number of denoising steps: give 1 to 1000"),
    ],
)
def test_a_wrong_option_stops_before_anything_is_generated(
    server: Server, arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(server, *arguments) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1, "one sentence"
    assert server.requests == []


def test_a_prompt_taken_for_the_picture_is_explained(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--preview", "a chair", "-o", "chair.ply"])
    assert "put the prompt first" in capsys.readouterr().err


def test_the_help_names_every_format_and_what_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        parse(["--help"])
    text = capsys.readouterr().out
    for format_ in FORMATS:
        assert re.search(
            rf"^  {format_.name} +\{format_.suffix} +{re.escape(format_.description)}$", text, re.MULTILINE
        )
