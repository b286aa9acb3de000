"""What the decay experiment claims and says."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "decay.four_factors",
        line=34,
        item=1,
        expected=0.0625,
        relation="absolute",
        en="0.5 multiplied four times is 0.0625.",
        es="0,5 multiplicado cuatro veces es 0,0625.",
    ),
    spec(
        "decay.hundred_factors",
        line=38,
        item=1,
        expected=7.888609052210118e-31,
        relation="relative",
        tolerance=1e-12,
        en="0.5 to the power of 100 is about 10^-30.",
        es="0,5 elevado a 100 es aproximadamente 10^-30.",
    ),
    spec(
        "decay.real_factor",
        line=28,
        item=1,
        expected=0.577,
        relation="relative",
        tolerance=0.1,
        en="Going back, many factors below 1 are multiplied: a default RNN loses a fixed share at every step.",
        es=(
            "Hacia atrás se multiplican muchos factores menores que 1: una RNN por defecto pierde una parte fija "
            "en cada paso."
        ),
    ),
    spec(
        "decay.sigma_max",
        line=30,
        item=1,
        expected=1.13,
        relation="absolute",
        tolerance=0.07,
        en="The factor below 1 comes from the slope of tanh.",
        es="El factor menor que 1 viene de la pendiente de tanh.",
        right_en=(
            "Each factor is a matrix, slope times W_hh. In a default RNN that matrix has a largest singular "
            "value above 1 and slopes close to 1, and the gradient still vanishes: the average direction "
            "shrinks by about 1/√3 per step."
        ),
        right_es=(
            "Cada factor es una matriz, pendiente por W_hh. En una RNN por defecto su mayor valor singular "
            "supera 1 y las pendientes rondan 1, y aun así el gradiente se desvanece: la dirección media se "
            "encoge cerca de 1/√3 por paso."
        ),
    ),
    spec(
        "decay.simulation",
        line=58,
        item=1,
        expected=0.5**50,
        relation="relative",
        tolerance=1e-12,
        en="simulate_vanishing(50) gives 51 values and ends near 10^-15.",
        es="simulate_vanishing(50) da 51 valores y termina cerca de 10^-15.",
    ),
)

TEXTS: dict[str, Text] = {
    "decay.toy.label": Text("the toy:", "el juguete:"),
    "decay.measured.label": Text("a real RNN, one line per seed", "una RNN real, una línea por semilla"),
    "decay.toy.alt": Text(
        (
            "Two falling lines on a logarithmic axis against steps back. The toy, {factor:n} to the power of k, ends "
            "at {last:n} after {steps} steps. {seeds} measured RNNs fall almost as straight, by {per_step:n} per "
            "step, to {measured_last:n}."
        ),
        (
            "Dos líneas que caen en un eje logarítmico frente a los pasos hacia atrás. El juguete, {factor:n} "
            "elevado a k, acaba en {last:n} tras {steps} pasos. {seeds} RNN medidas caen casi igual de rectas, por "
            "{per_step:n} en cada paso, hasta {measured_last:n}."
        ),
    ),
    "decay.toy.caption": Text(
        (
            "The lesson's simulation beside {seeds} real RNNs (H=128, torch's default initialisation, signal at t=1, "
            "loss on the last state). x counts steps back."
        ),
        (
            "La simulación de la lección junto a {seeds} RNN reales (H=128, inicialización por defecto de torch, "
            "señal en t=1, pérdida en el último estado). x cuenta pasos hacia atrás."
        ),
    ),
    "name.decay": Text("the toy decay beside real RNNs", "el juguete junto a RNN reales"),
}
