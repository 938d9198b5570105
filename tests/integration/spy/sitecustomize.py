"""Writes down every file that a stage opens; found by Python itself where PYTHONPATH leads here.

``GLASSGUARD_SPY`` is a folder: each call of ``glassguard`` leaves a file of lines there, its
command first, then ``r`` or ``w`` and a path for every file that was opened.
"""

import os
import sys
import time
from pathlib import Path

_FOLDER = os.environ.get("GLASSGUARD_SPY")

if _FOLDER and [Path(one).name for one in sys.orig_argv[1:2]] == ["glassguard"]:
    import safetensors

    # The descriptor stays open: what is written to it opens nothing.
    _LOG = os.open(
        f"{_FOLDER}/{time.time_ns()}-{os.getpid()}", os.O_WRONLY | os.O_CREAT | os.O_APPEND
    )
    os.write(_LOG, (" ".join(sys.orig_argv[2:]) + "\n").encode())

    # What Python and its packages open for themselves is not told.
    _OWN = (sys.prefix, sys.base_prefix, "/proc", "/sys")

    def _note(kind: str, path: object) -> None:
        if isinstance(path, str | bytes | os.PathLike):
            place = os.path.realpath(os.fsdecode(path))
            if not place.startswith(_OWN):
                os.write(_LOG, f"{kind} {place}\n".encode())

    def _hook(event: str, arguments: tuple) -> None:
        if event == "open":
            written = arguments[2] & (os.O_WRONLY | os.O_RDWR)
            _note("w" if written else "r", arguments[0])

    # Opens files in Rust, which no hook of Python's sees.
    _safe_open = safetensors.safe_open

    def _noted(filename: object, *arguments: object, **options: object) -> object:
        _note("r", filename)
        return _safe_open(filename, *arguments, **options)

    safetensors.safe_open = _noted
    sys.addaudithook(_hook)
