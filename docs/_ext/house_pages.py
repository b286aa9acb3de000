"""Pages that nobody writes twice: experiments from their registry, exercises from their texts.

They are made before Sphinx reads its sources, in the language of the site. Experiments run with their quick settings,
once for both languages: results are kept in ``build/docs`` until the experiments change.
"""

from __future__ import annotations

import html
import os
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from sphinx.util import logging

from seqgrad.exercises import EXERCISES
from seqgrad.exercises.texts import say as say_exercise
from seqgrad.experiments import EXPERIMENTS, Result, _store, _words, run
from seqgrad.experiments.claims import number
from seqgrad.experiments.texts import say

ROOT = Path(__file__).parents[2]
KEPT = ROOT / "build" / "docs" / "results"
WORKERS = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else 2
WORDS: dict[str, dict[str, Any]] = {
    "en": {
        "experiments": "Experiments", "exercises": "Exercises", "claims": "Claims", "settings": "quick settings",
        "published": "Full settings: the result that the package ships.",
        "lead": "Each experiment is a pure function with seeds. Unless a page says otherwise, its figures and verdicts "
        "were measured while this site was built, with quick settings: fewer seeds and shorter training than "
        "`seqgrad run NAME` takes.",
        "groups": {"lesson": "Of the lesson", "field": "Of the field", "data": "On real data"},
        "measured": "measured", "expected": "expected", "function": "function",
        "exercise_lead": "Eight functions to write. `seqgrad check exercise-3 answer.py --start` writes a file to "
        "begin with; `seqgrad check exercise-3 answer.py` runs your function on networks it builds and says whether "
        "it is right, or gives a hint. They stand in the order of the lesson.",
    },
    "es": {
        "experiments": "Experimentos", "exercises": "Ejercicios", "claims": "Afirmaciones",
        "settings": "ajustes rápidos", "published": "Ajustes completos: el resultado que trae el paquete.",
        "lead": "Cada experimento es una función pura con semillas. Si la página no dice otra cosa, sus figuras y "
        "veredictos se midieron al construir este sitio, con ajustes rápidos: menos semillas y entrenamientos más "
        "cortos que los de `seqgrad run NOMBRE`.",
        "groups": {"lesson": "De la lección", "field": "Del campo", "data": "Con datos reales"},
        "measured": "medido", "expected": "se esperaba", "function": "función",
        "exercise_lead": "Ocho funciones por escribir. `seqgrad check exercise-3 answer.py --start --lang es` escribe "
        "un archivo para empezar; `seqgrad check exercise-3 answer.py --lang es` ejecuta su función con redes que "
        "construye y dice si es correcta, o da una pista. Siguen el orden de la lección.",
    },
}  # fmt: skip


def _settings(name: str) -> dict[str, Any]:
    return {**EXPERIMENTS[name].options, **EXPERIMENTS[name].quick}


def _published(name: str) -> Result | None:
    """Where the package ships the whole result (``cures``, 900 networks), the page shows that."""
    load = getattr(EXPERIMENTS[name].result, "load", None)
    return load() if load else None


def _measure(name: str) -> None:
    _store.save(run(name, quick=True), KEPT / f"{name}.json", _settings(name))


def results() -> dict[str, Result]:
    """Every experiment's quick result, from the store or measured now."""
    KEPT.mkdir(parents=True, exist_ok=True)
    found = _stored()
    missing = sorted(set(EXPERIMENTS) - set(found), key=lambda name: -EXPERIMENTS[name].weight)
    if missing:
        with ProcessPoolExecutor(WORKERS, mp_context=get_context("spawn")) as pool:
            list(pool.map(_measure, missing))
        found = _stored()
    for name, result in found.items():
        logging.getLogger(__name__).info("experiment %s: %.1f s", name, result.seconds)
    return found


def _stored() -> dict[str, Result]:
    loaded = {
        name: _published(name) or _store.load(entry.result, KEPT / f"{name}.json", _settings(name))
        for name, entry in EXPERIMENTS.items()
    }
    return {name: result for name, result in loaded.items() if result is not None}


def _title(name: str, lang: str) -> str:
    text = say(f"name.{name}", lang)
    return text[0].upper() + text[1:]


def _figure(result: Result, kind: str, lang: str, folder: Path) -> str:
    names = []
    for dark in (False, True):
        path = folder / f"{result.name}_{kind}_{'dark' if dark else 'light'}.svg"
        drawn = result.plot(kind, lang=lang, dark=dark).figure_
        drawn.savefig(path, facecolor=drawn.get_facecolor())
        names.append(path.name)
    caption = ""
    if f"{result.name}.{kind}.caption" in _words.texts():
        caption = html.escape(say(f"{result.name}.{kind}.caption", lang, **result.facts()), quote=False)
    alt = html.escape(result.alt(kind, lang)).replace("\n", " ")
    images = "\n".join(
        f"```{{image}} {name}\n:class: only-{scheme}\n:alt: {alt}\n```"
        for name, scheme in zip(names, ("light", "dark"), strict=True)
    )
    return f"{images}\n\n*{caption}*\n" if caption else f"{images}\n"


def _claims(result: Result, lang: str) -> str:
    """A list item for each claim: its verdict, what was said, the correction if there is one, the numbers."""
    items = []
    for claim in result.claims:
        verdict = f'<span class="verdict {claim.verdict.split()[0]}">{say(f"verdict.{claim.verdict}", lang)}</span>'
        said, told = (html.escape(text or "", quote=False) for text in (claim.text(lang), claim.correction(lang)))
        numbers = (
            f"{WORDS[lang]['measured']} {number(claim.measured, lang)}, {WORDS[lang]['expected']} "
            f"{html.escape(claim.spec.expectation(lang), quote=False)}; `{claim.id}`"
        )
        items.append(f"- {verdict} · {f'<i>{said}</i> {told}' if told else said} ({numbers})")
    return "\n".join(items)


def _experiment(result: Result, lang: str, folder: Path) -> str:
    quick = ", ".join(f"{key}={value!r}" for key, value in EXPERIMENTS[result.name].quick.items())
    shipped = getattr(EXPERIMENTS[result.name].result, "load", None)
    doc = (EXPERIMENTS[result.name].function.__doc__ or "").split("\n\n")[0] if lang == "en" else ""
    command = f"seqgrad run {result.name}" + ("" if lang == "en" else f" --lang {lang}")
    parts = [
        f"# {_title(result.name, lang)}", " ".join(doc.split()), f"```console\n$ {command}\n```",
        *(_figure(result, kind, lang, folder) for kind in result.kinds),
        f"## {WORDS[lang]['claims']}", _claims(result, lang),
        f"`{result.name}({quick})`, {WORDS[lang]['settings']}." if shipped is None else WORDS[lang]["published"],
    ]  # fmt: skip
    return "\n\n".join(part for part in parts if part) + "\n"


def write_experiments(source: Path, lang: str) -> None:
    """``experiments/``: an index, and a page with figures and claims for each."""
    import matplotlib as mpl

    mpl.rcParams["svg.hashsalt"] = "seqgrad"  # the same bytes each time
    mpl.set_loglevel("WARNING")
    folder = source / "experiments"
    folder.mkdir(exist_ok=True)
    found = results()
    for name, result in found.items():
        (folder / f"{name}.md").write_text(_experiment(result, lang, folder), encoding="utf-8")
    parts = [f"# {WORDS[lang]['experiments']}", WORDS[lang]["lead"]]
    for group, title in WORDS[lang]["groups"].items():
        names = [name for name in found if EXPERIMENTS[name].group == group]
        if names:
            parts += [f"## {title}", "```{{toctree}}\n:maxdepth: 1\n\n{}\n```".format("\n".join(names))]
    (folder / "index.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def write_exercises(source: Path, lang: str) -> None:
    """``exercises.md``: every statement."""
    words = WORDS[lang]
    parts = [f"# {words['exercises']}", words["exercise_lead"]]
    for name, one in EXERCISES.items():
        task = say_exercise(one, "task", lang).replace("[", r"\[").replace("_", r"\_")
        parts += [
            f"## {say_exercise(one, 'title', lang)}".replace("_", r"\_"),
            f"`{name}`, {words['function']} `{one.function}`",
            task,
        ]
    (source / "exercises.md").write_text("\n\n".join(parts) + "\n", encoding="utf-8")


def _write(app: Sphinx) -> None:
    lang = app.config.language
    write_experiments(Path(app.srcdir), lang)
    write_exercises(Path(app.srcdir), lang)


def setup(app: Sphinx) -> dict[str, Any]:
    """Make the pages once the configuration is known."""
    app.connect("builder-inited", _write)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
