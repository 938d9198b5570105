"""The same bits on every x86-64 processor."""

import json
import os
import platform
import subprocess
import sys
from pathlib import Path

import pytest

from glassguard import kernels
from glassguard.errors import InputError

HERE = Path(__file__).parent
WITHOUT_CHOICE = {name: value for name, value in os.environ.items() if name not in kernels.PINNED}

pinned_only = pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="kernels are pinned on x86-64 only"
)


def python(*arguments: str, **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, *arguments],
        env=WITHOUT_CHOICE | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pinned_only
@pytest.mark.parametrize(
    "processor",
    [
        {},
        {"GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX512VL,-AVX512BW"},
        {"ONEDNN_MAX_CPU_ISA": "AVX512_CORE", "MKL_CBWR": "AVX2"},
    ],
    ids=["this one", "older", "another choice in the environment"],
)
def test_everything_that_is_computed_is_known_to_the_bit(processor: dict[str, str]) -> None:
    expected = json.loads((HERE / "golden.json").read_text())
    assert json.loads(python(str(HERE / "golden.py"), **processor)) == expected


@pinned_only
def test_libraries_take_the_pinned_kernels() -> None:
    found = python(
        "-W",
        "error::ImportWarning",
        "-c",
        "from glassguard import kernels\n"
        "kernels.choose('pinned')\n"
        "import cv2, numpy, scipy.linalg, torch\n"
        "from numpy._core._multiarray_umath import __cpu_features__ as features\n"
        "from threadpoolctl import threadpool_info\n"
        "print(torch.backends.cpu.get_cpu_capability())\n"
        "print(features['X86_V4'], features['AVX512_ICL'])\n"
        "print({one['architecture'] for one in threadpool_info() if 'architecture' in one})\n"
        "print('*AVX512-SKX ' in cv2.getCPUFeaturesLine() + ' ')\n",
    )
    assert found.split("\n")[:4] == ["AVX2", "False False", "{'Haswell'}", "False"]


def test_native_kernels_leave_the_choice_to_the_libraries() -> None:
    code = (
        "import os\n"
        "from glassguard import kernels\n"
        "kernels.choose('pinned')\n"
        "kernels.choose('native')\n"
        "print(kernels.in_force(), sorted(kernels.PINNED.keys() & os.environ.keys()))\n"
    )
    assert python("-c", code).split("\n")[0] == "native []"
    kept = python("-c", code, ONEDNN_MAX_CPU_ISA="SSE41").split("\n")[0]
    assert kept == "native []"


@pinned_only
def test_the_choice_comes_before_the_libraries() -> None:
    assert kernels.in_force() == "pinned"
    kernels.choose("pinned")
    with pytest.raises(RuntimeError, match=r"torch.* imported already; choose kernels=native"):
        kernels.choose("native")


def test_a_processor_without_avx2_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(kernels, "_is_x86", lambda: True)
    monkeypatch.setattr(kernels, "_features", lambda: ("sse4_2", "avx"))
    monkeypatch.setattr(kernels, "READ_ON_IMPORT", ())
    monkeypatch.delenv("MKL_CBWR", raising=False)
    with pytest.raises(InputError, match="kernels=pinned needs a processor with AVX2"):
        kernels.choose("pinned")


def test_other_processors_keep_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in kernels.PINNED:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(kernels.platform, "machine", lambda: "aarch64")
    monkeypatch.setattr(kernels, "READ_ON_IMPORT", ())
    kernels.choose("pinned")
    assert kernels.in_force() == "native"
