"""The CUDA image without fvdb-core: built without a daemon, and called without a GPU."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from cli.audit import packages
from tests.support import container_engine as engines
from tests.support.image import Image, built, call, container

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(engines.missing() != "", reason=engines.missing()),
]


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Image]:
    with built(tmp_path_factory.mktemp("image"), "cuda") as image:
        yield image


def test_its_packages_are_a_layer_of_their_own(image: Image) -> None:
    layers = [float(size) for size in re.findall(r"^ +([\d.]+) MB  \S", image.printed, re.MULTILINE)]
    assert 4000 < max(layers) < 5000, "PyTorch with CUDA, and no static libraries or debug information"
    others = sum(layers) - max(layers)
    assert others < 700, "base image, C compiler, and the Bento, which changes more often"


def test_it_has_everything_of_the_lock_but_fvdb(image: Image) -> None:
    components = json.loads(image.bill.read_text())["components"]
    python = {each["name"].lower().replace("_", "-") for each in components if "pkg:pypi/" in each["purl"]}
    assert set(packages("cuda")) - python == {"fvdb-core"}


def test_no_library_of_nvidia_lacks_another_one_but_the_driver(image: Image) -> None:
    """It would be found out on a GPU only. Some are for MPI and InfiniBand, which the image does not have."""
    shown = image.python(
        "import ctypes, json, pathlib, torch\n"
        "root = pathlib.Path(torch.__file__).parents[1] / 'nvidia'\n"
        "def load(file):\n"
        "    try:\n"
        "        ctypes.CDLL(str(file))\n"
        "    except OSError as error:\n"
        "        return str(error)\n"
        "    return ''\n"
        "print(json.dumps({file.name: load(file) for file in sorted(root.glob('*/lib/*.so*'))}))"
    )
    loaded: dict[str, str] = json.loads(shown.splitlines()[-1])
    assert len(loaded) > 20
    missing = {error.partition(":")[0] for error in loaded.values() if error}
    assert {name for name in missing if re.match("lib(cu|nv|nccl)", name)} <= {"libcuda.so.1"}, loaded
    assert (loaded["libcublasLt.so.13"], loaded["libcudnn.so.9"]) == ("", "")


def test_triton_compiles_a_kernel_and_the_code_that_starts_it(image: Image) -> None:
    """On the CPU it can make the code for a GPU; gcc and Python's C headers make a module as at a kernel's start."""
    shown = image.python(
        "import sys\n"
        "sys.path.insert(0, 'src')\n"
        "import triton\n"
        "from triton.backends.compiler import GPUTarget\n"
        "from triton.compiler import ASTSource\n"
        "from triton.runtime.build import compile_module_from_src\n"
        "from models.kernels.activation import _geglu\n"
        "types = {'x': '*fp32', 'out': '*fp32', 'H': 'constexpr', 'BLOCK': 'constexpr'}\n"
        "source = ASTSource(fn=_geglu, signature=types, constexprs={'H': 64, 'BLOCK': 64})\n"
        "kernel = triton.compile(source, target=GPUTarget('cuda', 90, 32))\n"
        "module = compile_module_from_src('#include <Python.h>\\n'\n"
        "    'static struct PyModuleDef definition = {PyModuleDef_HEAD_INIT, \"probe\", NULL, -1, NULL};'\n"
        "    'PyMODINIT_FUNC PyInit_probe(void) {return PyModule_Create(&definition);}', 'probe')\n"
        "print(len(kernel.asm['cubin']), module.__name__)",
        *("--volume", "xcube-kernels:/var/cache/xcube"),
    )
    size, name = shown.splitlines()[-1].split()
    assert int(size) > 1000
    assert name == "probe"


def test_it_serves_on_a_cpu_where_there_is_no_gpu(image: Image) -> None:
    with container(image, "xcube-cuda-test") as pid:
        status, body = call(pid, "/generate", {"prompt": "a chair", "ddim_steps": 2, "seed": 3})
        assert status == 200, body
        shape = json.loads(body)
        assert len(shape["fine_xyz"]) > len(shape["coarse_xyz"]) > 0
        metrics = call(pid, "/metrics")[1]
        (information,) = re.findall(r"^xcube_build_info\{(.*)\} 1", metrics, re.MULTILINE)
        labels = dict(re.findall(r'(\w+)="([^"]*)"', information))
        assert (labels["backend"], labels["fvdb"], labels["cuda"]) == ("torch", "none", "13.0")
        assert labels["torch"].startswith(packages("cuda")["torch"])
