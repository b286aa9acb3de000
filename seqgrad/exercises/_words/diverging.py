"""The words of the exercise that mends a diverging run."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Fix a diverging run", "Arreglar un entrenamiento que diverge"),
    "task": Text(
        (
            "The training below ends in NaN. Mend train(model, batches) so that it takes all 150 batches, ends with "
            "finite weights, brings the loss on fresh data down to a fifth, and returns the list of its 150 losses. "
            "model(x) gives logits for two classes."
        ),
        (
            "El entrenamiento de abajo acaba en NaN. Arregle train(model, batches) para que tome los 150 lotes, "
            "termine con pesos finitos, reduzca la pérdida en datos nuevos a la quinta parte y devuelva la lista de "
            "sus 150 pérdidas. model(x) da los logits de dos clases."
        ),
    ),
    "right": Text(
        "Right: the loss on fresh data went from {first} to {last}.",
        "Correcto: la pérdida en datos nuevos pasó de {first} a {last}.",
    ),
    "unclipped": Text(
        (
            "It still ends in NaN. At update {loud_at} the optimizer was handed a gradient of norm {loud}: one such "
            "step throws the weights to where nothing is finite. Limit the norm after backward and before "
            "optimizer.step()."
        ),
        (
            "Sigue acabando en NaN. En la actualización {loud_at} el optimizador recibió un gradiente de norma "
            "{loud}: un solo paso así lanza los pesos adonde nada es finito. Limite la norma después de backward y "
            "antes de optimizer.step()."
        ),
    ),
    "nan": Text(
        (
            "It still ends in weights or losses that are not finite, although no gradient was large. Look at the "
            "learning rate."
        ),
        (
            "Sigue acabando en pesos o pérdidas no finitos, aunque ningún gradiente fue grande. Mire la tasa de "
            "aprendizaje."
        ),
    ),
    "stopped_early": Text(
        "Only {taken} of {steps} batches were taken. A run that stops before it breaks is not mended.",
        ("Solo se tomaron {taken} de {steps} lotes. Un entrenamiento que para antes de romperse no está arreglado."),
    ),
    "no_update": Text(
        (
            "The weights are what they were: nothing was learnt. Leaving out each bad step leaves out all of them "
            "here; make the steps smaller instead."
        ),
        (
            "Los pesos son los mismos que antes: no se aprendió nada. Saltarse cada paso malo es aquí saltárselos "
            "todos; mejor hacerlos más cortos."
        ),
    ),
    "skipped": Text(
        (
            "Only {updates} of {steps} updates were made, and the loss went from {first} to {last} ({goal} is the "
            "goal). Large gradients point somewhere, too: shorten them instead of throwing them away."
        ),
        (
            "Solo se hicieron {updates} de {steps} actualizaciones y la pérdida pasó de {first} a {last} (la meta es "
            "{goal}). También los gradientes grandes señalan una dirección: acórtelos en vez de tirarlos."
        ),
    ),
    "too_slow": Text(
        (
            "Nothing diverges any more, but the loss only went from {first} to {last} ({goal} is the goal): the "
            "steps are too small now."
        ),
        (
            "Ya no diverge, pero la pérdida solo pasó de {first} a {last} (la meta es {goal}): ahora los pasos son "
            "demasiado pequeños."
        ),
    ),
}
