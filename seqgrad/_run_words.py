"""What notebooks, terminal and report say of a training, in English and Spanish."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from seqgrad._speech import Text, fill

# Headings of tables and the words in them come first.
WORDS = {
    "series": Text("series", "serie"),
    "steps": Text("T", "T"),
    "first": Text("at t=0", "en t=0"),
    "last": Text("at t=T-1", "en t=T-1"),
    "ratio": Text("ratio", "cociente"),
    "decay": Text("decay", "factor"),
    "horizon": Text("horizon", "horizonte"),
    "curve": Text("gradient by timestep, log, t to the right", "gradiente por paso de tiempo, log, t a la derecha"),
    "trend": Text("ratio over training, log", "cociente durante el entrenamiento, log"),
    "reverse": Text("reverse", "inversa"),
    "step": Text("step", "paso"),
    "severity": Text("severity", "gravedad"),
    "rule": Text("rule", "regla"),
    "place": Text("where", "dónde"),
    "value": Text("value", "valor"),
    "says": Text("what, and what to do", "qué pasa y qué hacer"),
    "none": Text("No findings.", "Sin hallazgos."),
    "no_steps": Text("No step recorded yet.", "Aún no hay ningún paso registrado."),
    "info": Text("info", "nota"),
    "warning": Text("warning", "aviso"),
    "error": Text("error", "error"),
    "sample": Text("sample", "muestra"),
    "of": Text("{0} of {1}", "{0} de {1}"),
    "last_seen": Text("last at step {0}", "por última vez en el paso {0}"),
    "spark": Text("{label}: {spread} over {n} steps{extra}", "{label}: {spread} en {n} pasos{extra}"),
    "spark.range": Text("{0:.3g} to {1:.3g}", "de {0:.3g} a {1:.3g}"),
    "zeros.one": Text("1 exact zero", "1 cero exacto"),
    # -- terminal --
    "show.curve": Text("gradient, t to the right", "gradiente, t a la derecha"),
    "show.trend": Text("ratio, over training", "cociente, al entrenar"),
    "show.waiting": Text("waiting for {path}", "en espera de {path}"),
    "show.step": Text("step {step}{loss}  ({n} recorded steps since step {first})",
                      "paso {step}{loss}  ({n} pasos registrados desde el paso {first})"),
    "show.loss": Text(", loss {loss}", ", pérdida {loss}"),
    "show.empty": Text("no step recorded yet", "aún no hay ningún paso registrado"),
    "show.none": Text("no findings", "sin hallazgos"),
    "show.torn": Text("the last line is torn and was left out: it is being written, or its writer was killed",
                      "la última línea está cortada y se omite: se está escribiendo o el proceso se interrumpió"),
    "show.older": Text("{n} earlier findings are left out", "se omiten {n} hallazgos anteriores"),
    "show.at": Text(" at step {step}", " en el paso {step}"),
    "show.begins": Text("{name}: a new run begins", "{name}: empieza un entrenamiento nuevo"),
    "zero": Text("exactly 0", "exactamente 0"),
    "bad": Text("NaN or Inf", "NaN o Inf"),
    # -- report --
    "title": Text("Gradients of a training", "Los gradientes de un entrenamiento"),
    "title.record": Text("Gradients of a saved record", "Los gradientes de un registro guardado"),
    "titles": Text("Gradients of {0} trainings", "Los gradientes de {0} entrenamientos"),
    "titles.record": Text("Gradients of {0} saved records", "Los gradientes de {0} registros guardados"),
    "titles.mixed": Text("Gradients of trainings and saved records", "Los gradientes de entrenamientos y registros"),
    "contents": Text("Contents", "Contenido"),
    "compared": Text("The last recorded gradient, compared", "El último gradiente registrado, comparado"),
    "compared.caption": Text("{names}, by steps back from where backprop starts.",
                             "{names}, por pasos hacia atrás desde el inicio de la retropropagación."),
    "span": Text("{0} recorded steps, from step {1} to step {2}.", "{0} pasos registrados, del paso {1} al paso {2}."),
    "span.one": Text("One recorded step, step {0}.", "Un paso registrado, el paso {0}."),
    "record": Text("A saved record: {passes} of {series}.", "Un registro guardado: {passes} de {series}."),
    "record.passes": Text("{0} backward passes", "{0} pasadas hacia atrás"),
    "record.pass": Text("one backward pass", "una pasada hacia atrás"),
    "record.series": Text("{0} series", "{0} series"),
    "record.one": Text("one series", "una serie"),
    "empty": Text("This run has no recorded step yet.", "Este entrenamiento aún no tiene ningún paso registrado."),
    "torn": Text("Its last line is torn and was left out: the run was being written, or was killed.",
                 "Su última línea está cortada y se dejó fuera: se estaba escribiendo o el proceso fue interrumpido."),
    "loss": Text("Loss", "Pérdida"),
    "findings": Text("Findings", "Hallazgos"),
    "older": Text("{0} older findings are left out.", "Se omiten {0} hallazgos anteriores."),
    "more": Text("{0} more", "{0} más"),
    "advice": Text("What to try, in this order", "Qué probar, en este orden"),
    "many": Text("Series", "Series"),
    "drawn": Text("Figures show the {0} series that stray farthest from a level gradient; the table has all {1}.",
                  "Las figuras muestran las {0} series que más se alejan de un gradiente parejo; la tabla las tiene "
                  "todas ({1})."),
    "heatmap.caption": Text("Norm of the gradient by training step and timestep, on a log scale.",
                            "Norma del gradiente por paso de entrenamiento y paso de tiempo, en escala logarítmica."),
    "flow.caption": Text("The same norm at a few training steps, first to last.",
                         "La misma norma en algunos pasos de entrenamiento, del primero al último."),
    "flow.caption.one": Text("Norm of the gradient over the batch by timestep, on a log scale.",
                             "Norma del gradiente en el lote por paso de tiempo, en escala logarítmica."),
    "heatmap.alt": Text("Map of the gradient norm of {0} over {1} recorded steps and up to {2} timesteps: {3}.",
                        "Mapa de la norma del gradiente de {0} en {1} pasos registrados y hasta {2} pasos de tiempo: "
                        "{3}."),
    "flow.alt": Text("Curves of the gradient norm of {0} by timestep at training steps {1} to {2}; at the last it goes "
                     "from {3} at t=0 to {4} at t={5}.",
                     "Curvas de la norma del gradiente de {0} por paso de tiempo en los pasos de entrenamiento {1} a "
                     "{2}; en el último va de {3} en t=0 a {4} en t={5}."),
    "flow.alt.one": Text("Curve of the gradient norm of {0} by timestep; it goes from {1} at t=0 to {2} at t={3}.",
                         "Curva de la norma del gradiente de {0} por paso de tiempo; va de {1} en t=0 a {2} en t={3}."),
    "compare.alt": Text("Curves of the gradient norm by timestep, one for each of {0}.",
                        "Curvas de la norma del gradiente por paso de tiempo, una por cada uno de estos: {0}."),
    "range": Text("from {0:.3g} to {1:.3g}", "de {0:.3g} a {1:.3g}"),
    "no range": Text("no positive finite value", "ningún valor positivo y finito"),
    "zeros": Text("{0} exact zeros", "{0} ceros exactos"),
    "bads": Text("{0} NaN or Inf", "{0} NaN o Inf"),
    "written": Text("This page was written by", "Página escrita por"),
    "since": Text("since step {0}", "desde el paso {0}"),
    # -- the environment of a run, by the keys of its header --
    "environment": Text("Environment", "Entorno"),
    "header.format": Text("file format", "formato del archivo"),
    "header.model": Text("model", "modelo"),
    "header.device": Text("device", "dispositivo"),
    "header.every": Text("observed every", "se observa cada"),
    "header.start": Text("first step", "primer paso"),
    "header.layers": Text("layers", "capas"),
    "header.rank": Text("rank", "rango"),
    "itself": Text("the model itself", "el propio modelo"),
}  # fmt: skip


def say(key: str, lang: str, *places: Any, **facts: Any) -> str:
    """The text ``key`` in ``lang``, with its fields."""
    return fill(WORDS[key], lang, facts, places=places)


def odd_ones(values: Sequence[float], lang: str) -> list[str]:
    """How many of ``values`` are exactly 0, and how many not finite, in words; empty if none are."""
    zeros, bad = sum(v == 0 for v in values), sum(not math.isfinite(v) for v in values)
    told = [say("zeros" if zeros > 1 else "zeros.one", lang, zeros)] if zeros else []
    return told + [say("bads", lang, bad)] * bool(bad)
