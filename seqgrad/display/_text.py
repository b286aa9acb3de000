"""What the displays say, in English and Spanish."""

from __future__ import annotations

from collections.abc import Mapping

TEXT: dict[str, dict[str, str]] = {
    "en": {
        "t": "timestep t",
        "lag": "lag k: steps back from where backprop starts",
        "step": "training step",
        "grad_h": r"$\|\partial L/\partial h_t\|$ over the batch",
        "grad_carry": r"$\|\partial L/\partial h_t\|$ carried from the future",
        "grad_c": r"$\|\partial L/\partial c_t\|$ over the batch",
        "mixed": "gradient norm over the batch",
        "sample.grad_h": r"$\|\partial L/\partial h_t\|$ of each sample",
        "sample.grad_carry": r"$\|\partial L/\partial h_t\|$ carried, each sample",
        "sample.grad_c": r"$\|\partial L/\partial c_t\|$ of each sample",
        "relative": "relative to the start of backprop",
        "zero": "exactly 0",
        "bad": "NaN or Inf",
        "absent": "no such timestep",
        "some zero": "a sample is exactly 0",
        "some bad": "a sample is NaN or Inf",
        "reverse": "reverse, backprop runs to the right",
        "upwards": "reverse: backprop upwards",
        "median": "median",
        "half": "middle 50 %",
        "most": "middle 90 %",
        "all": "smallest and largest",
        "sample": "one sample",
        "gate": "activation",
        "shut": "saturated",
        "hits": "samples clipped, %",
        "mean": "mean",
        "before": "before",
        "after": "after",
        "change": "after / before",
        "horizon": "horizon",
        "length": "length of the sequence",
        "accuracy": "accuracy on fresh data",
        "chance": "chance",
    },
    "es": {
        "t": "paso de tiempo t",
        "lag": "retardo k: pasos hacia atrás desde el inicio de la retropropagación",
        "step": "paso de entrenamiento",
        "grad_h": r"$\|\partial L/\partial h_t\|$ en el lote",
        "grad_carry": r"$\|\partial L/\partial h_t\|$ que llega del futuro",
        "grad_c": r"$\|\partial L/\partial c_t\|$ en el lote",
        "mixed": "norma del gradiente en el lote",
        "sample.grad_h": r"$\|\partial L/\partial h_t\|$ de cada muestra",
        "sample.grad_carry": r"$\|\partial L/\partial h_t\|$ del futuro, cada muestra",
        "sample.grad_c": r"$\|\partial L/\partial c_t\|$ de cada muestra",
        "relative": "respecto al inicio de la retropropagación",
        "zero": "exactamente 0",
        "bad": "NaN o Inf",
        "absent": "paso inexistente",
        "some zero": "alguna muestra es 0",
        "some bad": "alguna muestra es NaN o Inf",
        "reverse": "inversa, la retropropagación va hacia la derecha",
        "upwards": "inversa: retropropaga hacia arriba",
        "median": "mediana",
        "half": "50 % central",
        "most": "90 % central",
        "all": "menor y mayor",
        "sample": "una muestra",
        "gate": "activación",
        "shut": "saturadas",
        "hits": "muestras recortadas, %",
        "mean": "media",
        "before": "antes",
        "after": "después",
        "change": "después / antes",
        "horizon": "horizonte",
        "length": "longitud de la secuencia",
        "accuracy": "acierto con datos nuevos",
        "chance": "azar",
    },
}


def words(lang: str) -> Mapping[str, str]:
    """The texts of one language.

    Raises:
        ValueError: there is no such language.
    """
    if lang not in TEXT:
        raise ValueError(f"lang must be one of {', '.join(map(repr, TEXT))}, got {lang!r}")
    return TEXT[lang]
