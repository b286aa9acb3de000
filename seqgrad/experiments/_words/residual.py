"""What the residual experiment claims and says. Tolerances: ten seeds of the gradients, five of each training."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "residual.formula",
        line=142,
        item=3,
        expected=1e-12,
        relation="at_most",
        en="ResidualRNN computes h_t = h_(t−1) + tanh(...), the lesson's line, and its gradients (relative distance).",
        es=(
            "ResidualRNN calcula h_t = h_(t−1) + tanh(...), la línea de la lección, y sus gradientes (distancia "
            "relativa)."
        ),
    ),
    spec(
        "residual.grows",
        line=141,
        item=3,
        expected=100,
        relation="at_least",
        en="A residual connection mitigates the problem.",
        es="Una conexión residual mitiga el problema.",
        right_en=(
            "It ends vanishing, and starts growth: over 99 steps the gradient is multiplied by this. Scale the branch "
            "down (residual_scale) or clip."
        ),
        right_es=(
            "Acaba con el desvanecimiento y empieza el crecimiento: en 99 pasos el gradiente se multiplica por esto. "
            "Reduzca la rama (residual_scale) o recorte."
        ),
    ),
    spec(
        "residual.orthogonal",
        line=141,
        item=3,
        expected=1e4,
        relation="factor",
        tolerance=10,
        en="With an orthogonal W_hh it grows no less: about ten thousand-fold over 99 steps.",
        es="Con una W_hh ortogonal no crece menos: unas diez mil veces en 99 pasos.",
    ),
    spec(
        "residual.state",
        line=142,
        item=3,
        expected=190,
        relation="factor",
        tolerance=2,
        en="The state grows as well: after 100 steps two samples of 32 lie as far apart in one unit.",
        es="También crece el estado: tras 100 pasos dos de 32 muestras distan esto en una unidad.",
    ),
    spec(
        "residual.scale",
        line=142,
        item=3,
        expected=1.2,
        relation="factor",
        tolerance=1.5,
        en="residual_scale = 0.01 ends the growth: over 99 steps the gradient is multiplied by about 1.",
        es="residual_scale = 0,01 acaba con el crecimiento: en 99 pasos el gradiente se multiplica por cerca de 1.",
    ),
    spec(
        "residual.learns",
        line=141,
        item=3,
        expected=0.85,
        relation="at_least",
        en="Trained with clipping, it learns length 100 at every scale (lowest median accuracy; guessing scores 0.5).",
        es="Con recorte aprende longitud 100 con todas las escalas (menor mediana de exactitud; el azar da 0,5).",
    ),
)

TEXTS: dict[str, Text] = {
    "residual.growth": Text("gradient at step 1, relative to the last", "gradiente en el paso 1, relativo al último"),
    "residual.one": Text("neither growth nor decay", "ni crece ni se apaga"),
    "residual.flow.alt": Text(
        (
            "Gradient at every timestep, logarithmic, relative to step {steps}. The plain RNN falls to "
            "{rnn_first:n} at step 1; the residual one grows to {residual_first:n}, with an orthogonal W_hh to "
            "{residual_orthogonal_first:n}; with a small residual_scale it stays at {residual_small_first:n}."
        ),
        (
            "Gradiente en cada paso temporal, logarítmico, relativo al paso {steps}. La RNN simple cae a "
            "{rnn_first:n} en el paso 1; la residual crece hasta {residual_first:n}, con W_hh ortogonal hasta "
            "{residual_orthogonal_first:n}; con residual_scale pequeño se queda en {residual_small_first:n}."
        ),
    ),
    "residual.flow.caption": Text(
        (
            "H={hidden}, T={steps}, 32 samples, signal at t=1, loss on the last state, median of {seeds} seeds, "
            "no training."
        ),
        (
            "H={hidden}, T={steps}, 32 muestras, señal en t=1, pérdida en el último estado, mediana de {seeds} "
            "semillas, sin entrenar."
        ),
    ),
    "residual.scale.alt": Text(
        (
            "Gradient at step 1 relative to the last, against residual_scale, both logarithmic, a dot per seed. "
            "Medians: {table:n}."
        ),
        "Gradiente en el paso 1 relativo al último, frente a residual_scale, ambos logarítmicos, un punto por semilla. "
        "Medianas: {table:n}.",
    ),
    "residual.scale.caption": Text(
        (
            "Each dot is a seed, the line their median. Success rates on the lesson's task at length {learns} "
            "({training} steps of Adam at 0.001, H=32, clip 1) by scale: {success:.0%}."
        ),
        (
            "Cada punto es una semilla; la línea, su mediana. Tasas de éxito en la tarea de la lección con longitud "
            "{learns} ({training} pasos de Adam a 0,001, H=32, recorte 1) por escala: {success:.0%}."
        ),
    ),
    "name.residual": Text("the residual connection", "la conexión residual"),
}
