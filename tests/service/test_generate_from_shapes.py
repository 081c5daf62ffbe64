"""scripts/generate starts from a file or from the result of a job, and says so where it cannot."""

from __future__ import annotations

import io
import subprocess
from pathlib import Path

import numpy as np
import pytest

from cli.generate.options import parse
from tests.support.figures import wait_for
from tests.support.paths import ROOT
from tests.support.service import Server

pytestmark = pytest.mark.shared("server")
FIELDS = {"prompt": "a chair", "ddim_steps": 4, "seed": 1}


def generate(server: Server, folder: Path, *arguments: str) -> dict[str, np.ndarray]:
    """The arrays of the NPZ that the command writes."""
    target = folder / "made.npz"
    command = [ROOT / "scripts" / "generate", "a chair", "--steps", "4", "-o", target, "--url", server.url, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with np.load(io.BytesIO(target.read_bytes())) as arrays:
        return dict(arrays)


def test_a_file_is_refined_and_a_job_is_varied(server: Server, tmp_path: Path) -> None:
    given = tmp_path / "coarse.npz"
    given.write_bytes(server.post("/generate?format=npz", json=FIELDS).content)
    with np.load(given) as earlier:
        refined = generate(server, tmp_path, "--seed", "1", "--refine", str(given))
        assert np.array_equal(refined["coarse_ijk"], earlier["coarse_ijk"])
        place = server.post("/jobs", json=FIELDS).headers["location"]
        wait_for(lambda: server.get(place).json()["state"] == "completed")
        job = place.rpartition("/")[2]
        box = ("-0.5", "0", "-0.5", "0.5", "0.5", "0.5")
        varied = generate(server, tmp_path, "--seed", "2", "--vary", job, "--strength", "0.7", "--box", *box)
        for stage in ("coarse", "fine"):
            ours, theirs = varied[f"{stage}_ijk"], earlier[f"{stage}_ijk"]
            assert np.array_equal(ours[ours[:, 1] < 0], theirs[theirs[:, 1] < 0])
        own = generate(server, tmp_path, "--seed", "2", "--vary", str(given), "--strength", "0.7", "--box", *box)
        ours, theirs = own["coarse_ijk"], earlier["coarse_ijk"]
        assert np.array_equal(ours[ours[:, 1] < 0], theirs[theirs[:, 1] < 0])
        assert not np.array_equal(ours, theirs)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--strength", "0.5"], "--strength and --box are for --vary"),
        (["--refine", "a.docx"], "ends in none of .npz, .vox"),
        (["--refine", "nothing.vox"], "cannot be read"),
        (["--vary", "nothing.vox"], "cannot be read"),
        (["--vary", "a.docx"], "ends in none of .npz, .vox"),
        (["--refine", "nothing.vox", "--no-fine"], "leave out --no-fine"),
    ],
)
def test_what_makes_no_sense_is_told_before_anything_is_made(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        parse(["a chair", *arguments])
    assert told in capsys.readouterr().err
