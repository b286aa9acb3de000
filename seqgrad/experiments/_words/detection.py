"""What the detection experiment claims and says. Tolerances: six seeds each; the norms' ratio was 1e13 to 1.4e14."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "detection.large",
        line=99,
        item=2,
        expected=1,
        relation="absolute",
        en="A parameter whose gradient has a norm above 100 is named, and a sound one is not (share of seeds).",
        es="Se nombra el parámetro cuyo gradiente tiene norma mayor que 100, y ninguno sano (proporción de semillas).",
    ),
    spec(
        "detection.nan",
        line=101,
        item=2,
        expected=1,
        relation="absolute",
        en="So is a gradient that holds NaN or Inf (share of seeds).",
        es="También el gradiente que contiene NaN o Inf (proporción de semillas).",
    ),
    spec(
        "detection.fires",
        line=99,
        item=2,
        expected=1,
        relation="absolute",
        en="In exploding networks it fires wherever the gradient of the recurrent weights passes 100 (share of them).",
        es="En redes que explotan salta siempre que el gradiente de los pesos recurrentes pasa de 100 (proporción).",
    ),
    spec(
        "detection.same",
        line=95,
        item=2,
        expected=1,
        relation="absolute",
        en="seqgrad.check_grads judges as the lesson's loop does, in one call (share of all gradients).",
        es=(
            "seqgrad.check_grads juzga como el bucle de la lección, en una llamada (proporción de todos los "
            "gradientes)."
        ),
    ),
    spec(
        "detection.blind",
        line=97,
        item=1,
        expected=1e12,
        relation="at_least",
        en="The norm of each parameter's gradient shows what is wrong.",
        es="La norma del gradiente de cada parámetro muestra lo que va mal.",
        right_en=(
            "It shows explosion, not vanishing: the gradient of W_hh looks healthy because the recent steps fill it. "
            "How many times larger it is than the gradient that reaches the first input, 50 steps back:"
        ),
        right_es=(
            "Muestra la explosión, no el desvanecimiento: el gradiente de W_hh parece sano porque lo llenan los pasos "
            "recientes. Cuántas veces supera al gradiente que llega a la primera entrada, 50 pasos atrás:"
        ),
    ),
    spec(
        "detection.silent",
        line=97,
        item=1,
        expected=0,
        relation="absolute",
        en="A loop over the parameters says nothing about that network (share of seeds in which it fires).",
        es="Un bucle sobre los parámetros no dice nada de esa red (proporción de semillas en que salta).",
    ),
    spec(
        "detection.timesteps",
        line=97,
        item=1,
        expected=1,
        relation="absolute",
        en="A rule that looks at the timesteps, seqgrad.rules.Vanishing, does find it (share of seeds).",
        es=(
            "Una regla que mira los pasos temporales, seqgrad.rules.Vanishing, sí lo encuentra (proporción de "
            "semillas)."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "detection.weight": Text("‖∂L/∂W$_{hh}$‖: all a loop over parameters sees", "‖∂L/∂W$_{hh}$‖: lo que ve el bucle"),
    "detection.first_input": Text(
        "‖∂L/∂x$_1$‖: what reaches the first input", "‖∂L/∂x$_1$‖: lo que llega a la entrada 1"
    ),
    "detection.fires": Text("the detector fires", "el detector salta"),
    "detection.norm": Text("norm of the gradient", "norma del gradiente"),
    "detection.gain": Text("recurrent gain: W$_{hh}$ = gain · Q", "ganancia recurrente: W$_{hh}$ = ganancia · Q"),
    "detection.blind.alt": Text(
        (
            "Two norms against the recurrent gain, logarithmic. The gradient of the weights stays near 1 for all "
            "small gains and rises only above gain 1; the detector fires from {fires_from:n} on. The gradient at "
            "the first input falls to {lowest:n} meanwhile."
        ),
        (
            "Dos normas frente a la ganancia recurrente, logarítmicas. El gradiente de los pesos se queda cerca "
            "de 1 con ganancias pequeñas y solo sube por encima de 1; el detector salta desde {fires_from:n}. El "
            "gradiente en la primera entrada baja entretanto hasta {lowest:n}."
        ),
    ),
    "detection.blind.caption": Text(
        (
            "tanh RNNs, W_hh = gain times an orthogonal Q, H={hidden}, T={steps}, signal at t=1, loss on the "
            "last state, medians of {seeds} seeds. On the left the detector is silent, and the network cannot "
            "learn."
        ),
        (
            "RNN tanh, W_hh = ganancia por una Q ortogonal, H={hidden}, T={steps}, señal en t=1, pérdida en el último "
            "estado, medianas de {seeds} semillas. A la izquierda el detector calla, y la red no puede aprender."
        ),
    ),
    "name.detection": Text("the detector, and what it cannot see", "el detector y lo que no puede ver"),
}
