"""What the explosion experiment claims and says."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "explosion.four_factors",
        line=80,
        item=2,
        expected=16,
        relation="absolute",
        en="2 multiplied four times is 16.",
        es="2 multiplicado cuatro veces es 16.",
    ),
    spec(
        "explosion.fifty_factors",
        line=84,
        item=2,
        expected=1125899906842624.0,
        relation="relative",
        tolerance=1e-12,
        en="2 to the power of 50 is about 10^15.",
        es="2 elevado a 50 es aproximadamente 10^15.",
    ),
    spec(
        "explosion.linear",
        line=78,
        item=2,
        expected=1125899906842624.0,
        relation="relative",
        tolerance=1e-06,
        en=(
            "With a large W_hh the gradient grows exponentially: W_hh = 2Q, Q orthogonal, gives exactly 2^50 over "
            "50 steps."
        ),
        es=(
            "Con una W_hh grande el gradiente crece exponencialmente: W_hh = 2Q, con Q ortogonal, da exactamente "
            "2^50 en 50 pasos."
        ),
    ),
    spec(
        "explosion.saturated",
        line=78,
        item=2,
        expected=1.0,
        relation="at_most",
        en="Large values in W_hh make the gradient explode.",
        es="Los valores grandes en W_hh hacen explotar el gradiente.",
        right_en=(
            "What counts is the spectrum of W_hh together with the slopes. The same W_hh = 2Q in a tanh "
            "network whose states are saturated does not explode at all: flat tanh multiplies by almost 0."
        ),
        right_es=(
            "Cuenta el espectro de W_hh junto con las pendientes. La misma W_hh = 2Q en una red tanh con "
            "estados saturados no explota en absoluto: una tanh plana multiplica casi por 0."
        ),
    ),
    spec(
        "explosion.nan",
        line=88,
        item=2,
        expected=1,
        relation="absolute",
        en="Without clipping, an exploding network ends in NaN (share of seeds).",
        es="Sin recorte, una red que explota acaba en NaN (proporción de semillas).",
    ),
    spec(
        "explosion.found_at",
        line=94,
        item=2,
        expected=44,
        relation="absolute",
        en=("The detector fires when a norm passes 100: here at timestep 44 of 51, seven doublings before the end."),
        es=(
            "El detector salta cuando una norma pasa de 100: aquí en el paso 44 de 51, siete duplicaciones antes "
            "del final."
        ),
    ),
    spec(
        "explosion.clipped_finishes",
        line=108,
        item=3,
        expected=1,
        relation="absolute",
        en="Clipped, the same relu network finishes and its loss falls at least five-fold (share of seeds).",
        es=("Con recorte, la misma red relu termina y su pérdida baja al menos cinco veces (proporción de semillas)."),
    ),
    spec(
        "explosion.clipped_learns",
        line=108,
        item=3,
        expected=0.1,
        relation="at_least",
        en=(
            "Clipping keeps training stable: the tanh network learns with it and not without (difference in accuracy)."
        ),
        es=("El recorte estabiliza el entrenamiento: la red tanh aprende con él y no sin él (diferencia de acierto)."),
    ),
)

TEXTS: dict[str, Text] = {
    "explosion.growth.silent": Text("W$_{hh}$ = 2Q, silent states", "W$_{hh}$ = 2Q, estados en reposo"),
    "explosion.growth.loud": Text("the same W$_{hh}$, saturated states", "la misma W$_{hh}$, estados saturados"),
    "explosion.growth.limit": Text("the detector's threshold, 100", "umbral del detector, 100"),
    "explosion.training.nan": Text("NaN from step", "NaN desde el paso"),
    "explosion.growth.alt": Text(
        (
            "Gradient at every timestep, logarithmic. With silent states it grows backwards from 1 to "
            "{linear_first:n} at step 1 and passes 100 at step {finding_t}. With saturated states the same matrix "
            "lets it fall to {saturated_first:n}."
        ),
        (
            "Gradiente en cada paso temporal, logarítmico. Con estados en reposo crece hacia atrás desde 1 hasta "
            "{linear_first:n} en el paso 1 y supera 100 en el paso {finding_t}. Con estados saturados la misma "
            "matriz lo deja caer hasta {saturated_first:n}."
        ),
    ),
    "explosion.training.alt": Text(
        (
            "Training loss by step, logarithmic. Without clipping the loss turns NaN at step {broken_at:n}. Clipped, "
            "it falls from {relu_start:n} to {relu_end:n} over 300 steps."
        ),
        (
            "Pérdida de entrenamiento por paso, logarítmica. Sin recorte se vuelve NaN en el paso {broken_at:n}. Con "
            "recorte baja de {relu_start:n} a {relu_end:n} en 300 pasos."
        ),
    ),
    "explosion.growth.caption": Text(
        "H=32, 51 timesteps, float64. The ring is where the detector fires.",
        "H=32, 51 pasos temporales, float64. El anillo marca dónde salta el detector.",
    ),
    "explosion.training.caption": Text(
        (
            "A relu RNN, W_hh = 1.2 times the identity, T=50, plain SGD at 0.01, {seeds} seed(s) each. Same data, "
            "same seeds; the only difference is one line of code."
        ),
        (
            "Una RNN relu, W_hh = 1,2 veces la identidad, T=50, SGD simple a 0,01, {seeds} semilla(s) por caso. Los "
            "mismos datos y semillas; la única diferencia es una línea de código."
        ),
    ),
    "name.explosion": Text("exploding gradients", "gradientes que explotan"),
}
