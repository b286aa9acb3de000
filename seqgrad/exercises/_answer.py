"""Load an answer and let the judge call it. ``python -m seqgrad.exercises._answer`` does so in a process of its own."""

from __future__ import annotations

import json
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from seqgrad.exercises._exercise import Exercise, Outcome, Wrong


def judge_file(exercise: Exercise, path: Path) -> Outcome:
    """Whatever the answer does, short of ending or blocking the process, becomes an outcome."""
    try:
        source = path.read_text(encoding="utf-8")
        module = types.ModuleType("answer")
        module.__file__ = str(path)
        exec(compile(source, str(path), "exec"), vars(module))
    except SyntaxError as error:
        return Outcome("syntax", {"line": error.lineno or 0, "error": error.msg})
    except UnicodeDecodeError:
        return Outcome("not_text")
    except BaseException as error:  # noqa: BLE001 - the answer's own, KeyboardInterrupt and SystemExit included
        return Outcome("load", _told(error, path))
    function = getattr(module, exercise.function, None)
    if not callable(function):
        found = sorted(name for name, value in vars(module).items() if isinstance(value, types.FunctionType))
        return Outcome("missing", {"function": exercise.function, "found": ", ".join(found) or "–"})
    try:
        return Outcome("right", exercise.judge(function))
    except Wrong as wrong:
        return Outcome(wrong.hint, wrong.facts)
    except BaseException as error:  # noqa: BLE001 - as above
        return Outcome("exception", _told(error, path))


def _told(error: BaseException, path: Path) -> dict[str, Any]:
    """The error in one line, and the last line of the answer that took part in it."""
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(path)]
    text = traceback.format_exception_only(error)[-1].strip()
    return {"error": text if len(text) < 600 else f"{text[:600]} ...", "line": lines[-1] if lines else 0}


def main(name: str, path: str, result: str) -> None:
    """Judge the file ``path`` and write the outcome to the file ``result``."""
    from seqgrad.exercises import find

    outcome = judge_file(find(name), Path(path))
    Path(result).write_text(json.dumps({"hint": outcome.hint, "facts": outcome.facts}), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
