"""Makes a training set from a folder of meshes: voxels with normals at two resolutions, captions, a report, a picture.

With --sweethome3d the meshes are the free ones of Debian's package sweethome3d-furniture, with kinds, captions and whom
to credit from its catalogue.

Stopped at any moment, the same command goes on where it was. The report names what cannot be used, with the reason.
"""

from __future__ import annotations

import argparse
import hashlib
import re
import sys
from pathlib import Path

from formats.meshes import SUFFIXES
from formats.meshes.mesh import AXES
from formats.meshes.preparing import RESOLUTIONS
from models.card import check_name
from models.cores import usable_cores
from models.errors import ConfigError
from training.meshes import benchmark
from training.meshes.building import Settings, build
from training.meshes.captions import TABLES
from training.meshes.reporting import write_picture, write_report
from training.real.building import NAME, furniture, write_folder
from training.real.catalogue import PACKAGE, PLACE

MOST_LINES = 40
"""Of the report on the terminal; the file holds all."""


def main(arguments: list[str] | None = None) -> int:
    """The command line. Returns 0, or 1 after a sentence on stderr."""
    parser = _parser()
    options = parser.parse_args(arguments)
    if sum(given is not None for given in (options.folder, options.sweethome3d, options.bench)) != 1:
        parser.error("give a folder of meshes, --sweethome3d or --bench")
    name = options.name or (_slug(options.folder.resolve().name) if options.folder else NAME)
    out: Path = options.out or Path("runs/data") / name
    folder: Path = options.folder or out.with_name(f"{out.name}-meshes")
    settings = Settings(
        options.resolution, options.up, options.captions, options.keep_hidden, options.heldout, options.workers
    )
    try:
        if options.bench is not None:
            print(benchmark.report(benchmark.measure(options.bench, settings), settings))
            return 0
        check_name(name, "--name")
        if options.sweethome3d is not None:
            found = furniture(options.sweethome3d)
            print(
                f"{len(found.pieces)} pieces to use; {found.barred} are under other licences, {found.left_out} show "
                "people, flat things or several things",
                flush=True,
            )
            write_folder(found, folder)
        made, report = build(folder, out, settings, name)
        text = write_report(made, report).splitlines()
        picture = write_picture(made)
    except ConfigError as error:
        print(error, file=sys.stderr)
        return 1
    except OSError as error:
        print(
            f"{out} cannot be written ({error.strerror or error}): make room there or use --out, then run the command "
            "again; it goes on where it was.",
            file=sys.stderr,
        )
        return 1
    print("\n".join(text[:MOST_LINES]))
    if len(text) > MOST_LINES:
        print(f"… and {len(text) - MOST_LINES} more lines in {out / 'report.txt'}")
    print(f"The set is in {out}, a picture of it in {picture}.")
    print(f"Train on it: scripts/train --data {out}")
    return 0


def _slug(text: str) -> str:
    """A name as sets of models have it, of any text; of one without Latin letters, a number that is its own."""
    name = re.sub("[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
    return name or f"shapes-{hashlib.blake2b(text.encode(), digest_size=3).hexdigest()}"


def _share(text: str) -> float:
    value = float(text)
    if not 0 <= value < 1:
        raise argparse.ArgumentTypeError("must be at least 0 and below 1")
    return value


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="scripts/dataset", description=__doc__)
    parser.add_argument(
        "folder", type=Path, metavar="FOLDER", nargs="?", help=f"meshes: {', '.join(s[1:] for s in SUFFIXES)}"
    )
    parser.add_argument(
        "--sweethome3d", type=Path, nargs="?", const=PLACE, metavar="PLACE",
        help=f"the furniture of the package {PACKAGE} instead of a folder (its files are in {PLACE})",
    )  # fmt: skip
    parser.add_argument(
        "--bench", type=int, metavar="N",
        help=f"make N meshes of {benchmark.FACES:,} faces, tell how fast they become a set, and keep nothing",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, metavar="SET", help="where the set goes (default: runs/data/NAME)")
    parser.add_argument("--name", help="the set's name (default: the folder's)")
    parser.add_argument(
        "--captions", default="auto", metavar="HOW",
        help=f"a CSV or JSON file with files and captions, or names, folders, or auto: {' or '.join(TABLES)} in the "
        "folder if there is one, then the files' names, then the folders' (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--resolution",
        type=int,
        choices=RESOLUTIONS,
        default=128,
        help="fine voxels a side (default: 128, as the demo)",
    )
    parser.add_argument("--up", choices=AXES, help="the axis that is up (default: z in stl, 3mf and vox, else y)")
    parser.add_argument("--keep-hidden", action="store_true", help="keep surfaces that cannot be seen from outside")
    parser.add_argument("--heldout", type=_share, default=0.15, help="share kept for measuring, by hash (0.15)")
    parser.add_argument(
        "--workers", type=int, default=usable_cores(), help="processes that make voxels (default: %(default)s)"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
