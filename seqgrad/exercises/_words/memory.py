"""The words of the exercise that gives an LSTM a memory."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Give an LSTM a memory", "Dar memoria a una LSTM"),
    "task": Text(
        (
            "Write remember(lstm, steps). lstm is a fresh seqgrad.LSTM. Change its parameters in place so that dL/dc "
            "of a loss on the last state arrives at the first of 100 steps with at least 0.05 and at most 1000 times "
            "its norm at the last, and so that its gates can still learn to close."
        ),
        (
            "Escriba remember(lstm, steps). lstm es una seqgrad.LSTM recién creada. Cambie sus parámetros en el "
            "sitio para que dL/dc de una pérdida sobre el último estado llegue al primero de 100 pasos con una norma "
            "entre 0,05 y 1000 veces la del último, y de modo que sus puertas todavía puedan aprender a cerrarse."
        ),
    ),
    "right": Text(
        "Right: {ratio} of dL/dc arrives {steps} steps back. torch's default leaves about 1e-19.",
        (
            "Correcto: {ratio} de dL/dc llega {steps} pasos atrás. Con los valores por defecto de torch queda cerca "
            "de 1e-19."
        ),
    ),
    "forgets": Text(
        (
            "{ratio} of dL/dc arrives {steps} steps back. The forget gate stands near {gate} and multiplies by that "
            "at every step; its bias decides."
        ),
        (
            "{ratio} de dL/dc llega {steps} pasos atrás. La puerta de olvido está cerca de {gate} y multiplica por "
            "eso en cada paso; su sesgo decide."
        ),
    ),
    "too_short": Text(
        (
            "Better than the default, but too short: {ratio} of dL/dc arrives {steps} steps back. The forget gate "
            "stands near {gate}, and {gate} to the power of {steps} is little; which gate remembers for 100 steps?"
        ),
        (
            "Mejor que por defecto, pero corta: {ratio} de dL/dc llega {steps} pasos atrás. La puerta de olvido está "
            "cerca de {gate}, y {gate} elevado a {steps} es poco; ¿qué puerta recuerda durante 100 pasos?"
        ),
    ),
    "forgets_more": Text(
        "The forget gate stands near {gate}: it forgets more than before. Its bias has to be positive.",
        "La puerta de olvido está cerca de {gate}: olvida más que antes. Su sesgo tiene que ser positivo.",
    ),
    "wrong_gate": Text(
        (
            "Another gate was opened (input {i}, output {o}); the forget gate still stands near {f}. The rows are "
            "ordered i, f, g, o, each of them hidden_size high."
        ),
        (
            "Se abrió otra puerta (entrada {i}, salida {o}); la de olvido sigue cerca de {f}. Las filas van en el "
            "orden i, f, g, o, cada una de altura hidden_size."
        ),
    ),
    "stuck": Text(
        (
            "It remembers, but the forget gates stand at 1 to four digits: their slope f(1-f) is almost 0, so the "
            "network cannot learn to forget. A smaller bias does; f = 0.99 remembers for 100 steps."
        ),
        (
            "Recuerda, pero las puertas de olvido están en 1 con cuatro cifras: su pendiente f(1-f) es casi 0 y la "
            "red no puede aprender a olvidar. Basta un sesgo menor; f = 0,99 recuerda durante 100 pasos."
        ),
    ),
    "explodes": Text(
        (
            "dL/dc grows {ratio}-fold over {steps} steps: besides the open gate the weights of the other paths are "
            "too large."
        ),
        (
            "dL/dc se multiplica por {ratio} en {steps} pasos: además de la puerta abierta, los pesos de los otros "
            "caminos son demasiado grandes."
        ),
    ),
    "dead": Text(
        "Nothing arrives, or what arrives is not a number: the gates let nothing in or out.",
        "No llega nada, o lo que llega no es un número: las puertas no dejan entrar ni salir nada.",
    ),
}
