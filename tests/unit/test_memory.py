"""Freed memory is kept for the next batch."""

import subprocess
import sys

import pytest

from glassguard.memory import keep_freed

PROGRAM = """
import resource
from glassguard.memory import keep_freed
assert {kept} is False or keep_freed()

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

bytearray(64 << 20)
before = faults()
for _ in range(8):
    bytearray(64 << 20)
print(faults() - before)
"""
PAGES = (64 << 20) // 4096


def _faults_of_eight_blocks(*, kept: bool) -> int:
    program = [sys.executable, "-c", PROGRAM.format(kept=kept)]
    return int(subprocess.run(program, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="glibc's allocator is Linux's")
def test_a_freed_block_is_used_again_without_new_pages() -> None:
    if not keep_freed():
        pytest.skip("another C library than glibc")
    assert _faults_of_eight_blocks(kept=True) < PAGES
    # Eight blocks anew; huge pages need fewer faults, but more than none.
    assert _faults_of_eight_blocks(kept=False) > _faults_of_eight_blocks(kept=True)


def test_another_system_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "platform", "darwin")
    assert keep_freed() is False
