"""Every error that docs/errors.md shows is provoked from a real service, and answered as shown.

Three services: an ordinary one; a narrow one, with limits so low that each can be met; one without models.
"""

from __future__ import annotations

import re
import shutil
import time
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

from api.errors import TABLE
from tests.support.examples import Example, Reader, assert_as_shown, examples
from tests.support.figures import running, wait_for
from tests.support.paths import DEMO, DOCS
from tests.support.service import Server, StartServer

TEXT = (DOCS / "errors.md").read_text(encoding="utf-8")
NARROW = {
    "XCUBE_API_KEY": "secret",
    "XCUBE_DEADLINE_SECONDS": "5",
    "XCUBE_MAX_RUNNING": "1",
    "XCUBE_MAX_QUEUE": "0",
    "XCUBE_MAX_VOXELS": "10",
    "XCUBE_JOBS_DIR": "/dev/null/jobs",
}
SLOW_BODY = "body_timeout"
ORDINARY = (
    "invalid_request", "forbidden", "not_found", "method_not_allowed", "not_acceptable", "job_not_finished",
    "idempotency_conflict", "job_canceled", "body_too_large", "unsupported_media_type",
    "unfit_shape",
)  # fmt: skip
# Out of reach from outside: bugs, a GPU's memory, processes that die, disks that fail, the log's own status, thousands
# of clients, and models that give nothing. Other tests provoke them.
NOT_SHOWN = {
    "client_gone", "draining", "empty_result", "internal", "job_crashed", "models_changed", "models_gone", "not_finite",
    "out_of_memory", "quota_exceeded", "result_gone", "storage_full", "too_many_connections", "unreadable_job",
    "unreadable_state", "worker_lost",
}  # fmt: skip


def sections() -> dict[str, tuple[int, list[Example]]]:
    """Status and examples of each section, by code."""
    parts = re.split(r"^## (\d{3}) `(\w+)`$", TEXT, flags=re.MULTILINE)[1:]
    return {
        code: (int(status), examples(f"errors.md, {code}", text))
        for status, code, text in zip(parts[0::3], parts[1::3], parts[2::3], strict=True)
    }


SECTIONS = sections()
Outputs = dict[str, str]


def ask(server: Server, folder: Path, code: str, steps: str | None = None) -> str:
    """What the last example of a section prints; those before it are run first. steps: in place of the page's."""
    reader = Reader(server.url, folder, {})
    try:
        for example in SECTIONS[code][1]:
            if steps is not None:
                example = replace(example, source=re.sub(r'(?<="ddim_steps": )\d+', steps, example.source))
            output = reader.run(example)
        return output
    finally:
        reader.close()


@pytest.fixture(scope="module")
def outputs(start_server: StartServer, tmp_path_factory: pytest.TempPathFactory) -> Outputs:
    """What each section's example prints, by code."""
    folder = tmp_path_factory.mktemp("errors")
    narrow = start_server(DEMO, XCUBE_MODEL="demo", **NARROW)
    found = {"loading": until_it_answers(narrow, folder)}
    with ThreadPoolExecutor(2) as pool:
        narrow.wait_until("ready")
        found |= provoke(narrow, folder, pool)
        assert narrow.stop() == 0

        bare = start_server(tmp_path_factory.mktemp("nothing"), XCUBE_MODEL="official")
        bare.wait_until("error")
        found["models_unavailable"] = ask(bare, folder, "models_unavailable")
        assert bare.stop() == 0

        ordinary = start_server(DEMO, XCUBE_MODEL="demo")
        ordinary.wait_until("ready")
        slow: Future[str] = pool.submit(ask, ordinary, folder, SLOW_BODY)
        reader = Reader(ordinary.url, folder, {})
        for code in ORDINARY:
            found[code] = [reader.run(example) for example in SECTIONS[code][1]][-1]
        reader.close()
        found[SLOW_BODY] = slow.result()
    return found


def until_it_answers(server: Server, folder: Path) -> str:
    """The first answer of a service that has just been started; its models take longer than its socket."""
    end = time.monotonic() + 90
    while time.monotonic() < end:
        try:
            return ask(server, folder, "loading")
        except AssertionError:  # curl could not connect
            time.sleep(0.1)
    raise AssertionError(server.log.read_text())


def provoke(narrow: Server, folder: Path, pool: ThreadPoolExecutor) -> Outputs:
    """What the narrow service says. A request that fits the deadline passes it because the Sampler is made to stop."""
    found = {code: ask(narrow, folder, code) for code in ("too_many_voxels", "unauthorized", "jobs_unavailable")}
    found["too_slow"] = ask(narrow, folder, "too_slow")
    fitting = re.search(r"at most (\d+) steps", found["too_slow"])
    assert fitting, found["too_slow"]
    late = pool.submit(ask, narrow, folder, "deadline_passed", str(max(1, int(fitting[1]) // 2)))
    wait_for(lambda: running(narrow) == 1)
    (sampler,) = narrow.samplers()
    sampler.suspend()
    try:
        found["queue_full"] = ask(narrow, folder, "queue_full")
        found["deadline_passed"] = late.result()
    finally:
        sampler.resume()
    return found


def test_the_page_has_every_code_of_the_api() -> None:
    codes = {rule.code: rule.status for rule in TABLE} | {"internal": 500}
    assert {code: status for code, (status, _) in SECTIONS.items()}.items() <= codes.items()
    assert set(codes) - set(SECTIONS) <= NOT_SHOWN
    assert set(SECTIONS) == {
        *ORDINARY, SLOW_BODY, "loading", "models_unavailable", "queue_full", "deadline_passed", "too_many_voxels",
        "too_slow", "unauthorized", "jobs_unavailable",
    }  # fmt: skip


@pytest.mark.slow
@pytest.mark.timeout(300)
@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("code", SECTIONS)
def test_an_error_is_answered_as_shown(outputs: Outputs, code: str) -> None:
    (*_, last) = SECTIONS[code][1]
    assert last.shown is not None
    assert_as_shown(outputs[code], *last.shown, f"errors.md, {code}")
    assert outputs[code].startswith(f"HTTP/1.1 {SECTIONS[code][0]} ")
