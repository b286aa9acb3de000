"""The words of the exercise that finds the horizon."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Find the horizon", "Encontrar el horizonte"),
    "task": Text(
        (
            "Write horizon(rnn, x, eps). rnn is a recurrent layer of seqgrad and x its input [T, N, 3]. Call "
            "backward on the sum of the last state and return how many steps back from the last one the norm of "
            "dL/dh_t (over the batch) stays, without a gap, at least eps times what it is at the last step: 0 if "
            "already the next step is below, T-1 if none is."
        ),
        (
            "Escriba horizon(rnn, x, eps). rnn es una capa recurrente de seqgrad y x su entrada [T, N, 3]. Haga "
            "backward de la suma del último estado y devuelva cuántos pasos hacia atrás desde el último la norma de "
            "dL/dh_t (de todo el lote) se mantiene, sin huecos, en al menos eps veces la del último paso: 0 si ya el "
            "siguiente queda por debajo, T-1 si no lo hace ninguno."
        ),
    ),
    "right": Text(
        "Right: that is as far back as this network can learn anything from.",
        "Correcto: hasta ahí, y no más atrás, puede esta red aprender algo.",
    ),
    "index": Text(
        (
            "{got} is a timestep counted from the start of the sequence. The horizon is counted back from the last "
            "step, where the loss enters: here {expected} of {steps} steps."
        ),
        (
            "{got} es un paso contado desde el principio de la secuencia. El horizonte se cuenta hacia atrás desde "
            "el último, donde entra la pérdida: aquí {expected} de {steps} pasos."
        ),
    ),
    "off_by_one": Text(
        ("Off by one: {got} instead of {expected}. Steps back are counted, not states: the last step itself is lag 0."),
        (
            "Por uno: {got} en lugar de {expected}. Se cuentan pasos hacia atrás, no estados: el último está a "
            "distancia 0."
        ),
    ),
    "absolute": Text(
        (
            "The norms were compared with eps itself. eps is relative: the bar is eps times the norm at the last "
            "step, which here is {last}."
        ),
        (
            "Las normas se compararon con eps mismo. eps es relativo: el listón es eps por la norma del último paso, "
            "que aquí es {last}."
        ),
    ),
    "gap": Text(
        (
            "{got} steps back the norm is above the bar again, but it was below it in between. What counts is how "
            "long it stays there without a gap: {expected} steps."
        ),
        (
            "A {got} pasos la norma vuelve a estar sobre el listón, pero entre medias estuvo por debajo. Cuenta lo "
            "que se mantiene sin huecos: {expected} pasos."
        ),
    ),
    "other": Text(
        "For one of the networks the answer was {got}; it should be {expected} (T = {steps}, eps = {eps}).",
        "Para una de las redes la respuesta fue {got}; debería ser {expected} (T = {steps}, eps = {eps}).",
    ),
}
