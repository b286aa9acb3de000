"""What the adding problem claims and says.

Seeds 0 to 4 gave these errors at 4000 steps: RNN 0.165-0.192, IRNN 0.003-0.014, GRU 7e-5 to 2e-4, LSTM 8e-5 to 5e-4,
forget bias 1 5e-5 to 1e-4. Steps until learnt: LSTM 850-1200, forget bias 1 750-950, GRU 300-400. First over last
gradient before training: RNN 6e-13 to 2e-12, IRNN 0.61-0.74; horizons LSTM 12-15, forget bias 1 37-49. After it: GRU
0.20-0.44.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "adding.rnn_vanishes",
        expected=1e-9,
        relation="at_most",
        en="An untrained tanh RNN's gradient vanishes over 50 steps (norm at the first step over the last).",
        es="El gradiente de una RNN tanh sin entrenar se desvanece en 50 pasos (norma en el primero entre el último).",
    ),
    spec(
        "adding.irnn_keeps",
        expected=0.3,
        relation="at_least",
        en="The identity in a relu RNN keeps it: that of an untrained IRNN is of the same size at both ends.",
        es="La identidad en una RNN relu lo conserva: el de una IRNN sin entrenar mide casi igual en ambos extremos.",
    ),
    spec(
        "adding.forget_horizon",
        expected=2,
        relation="at_least",
        en="A forget bias of 1 lets an untrained LSTM's gradient reach further back (ratio of the horizons).",
        es=(
            "Con un sesgo de olvido de 1, el gradiente de una LSTM sin entrenar llega más atrás (cociente de los "
            "horizontes)."
        ),
    ),
    spec(
        "adding.rnn_fails",
        expected=0.15,
        relation="at_least",
        en="A tanh RNN does not learn to add over 50 steps (median error; always answering 1 costs 0.167).",
        es="Una RNN tanh no aprende a sumar en 50 pasos (error mediano; responder siempre 1 cuesta 0,167).",
    ),
    spec(
        "adding.irnn_learns",
        expected=0.02,
        relation="at_most",
        en="An IRNN learns it: initialisation alone is enough (median error).",
        es="Una IRNN sí lo aprende: basta con la inicialización (error mediano).",
    ),
    spec(
        "adding.gru_learns",
        expected=0.002,
        relation="at_most",
        en="So does a GRU (median error).",
        es="También una GRU (error mediano).",
    ),
    spec(
        "adding.lstm_learns",
        expected=0.002,
        relation="at_most",
        en="And an LSTM (median error).",
        es="Y una LSTM (error mediano).",
    ),
    spec(
        "adding.gru_opens",
        expected=0.05,
        relation="at_least",
        en="Where the gradient has vanished before training, training cannot bring it back (GRU, after training).",
        es="Si el gradiente se desvanece antes de entrenar, el entrenamiento no lo recupera (GRU, tras entrenar).",
        right_en=(
            "It can, if something nearer is worth learning first. Many second numbers lie close to the end; to keep "
            "those, the gates open, and the gradient from the first half comes through. The GRU starts at 10⁻¹⁰ and "
            "ends at about a third."
        ),
        right_es=(
            "Sí puede, si antes hay algo más cercano que aprender. Muchos segundos números caen cerca del final; para "
            "conservarlos se abren las puertas, y con ellas llega el gradiente de la primera mitad. La GRU empieza en "
            "10⁻¹⁰ y acaba en torno a un tercio."
        ),
    ),
    spec(
        "adding.forget_sooner",
        expected=1.0,
        relation="at_most",
        en="With a forget bias of 1 the LSTM learns no later than without (ratio of the median training steps).",
        es="Con sesgo de olvido 1, la LSTM no aprende más tarde que sin él (cociente de los pasos medianos).",
    ),
)

TEXTS: dict[str, Text] = {
    "name.adding": Text(
        "the adding problem: IRNN, gates, forget bias", "el problema de la suma: IRNN, puertas, olvido"
    ),
    "adding.floor": Text("always answering 1: 1/6", "responder siempre 1: 1/6"),
    "adding.score": Text("mean squared error on fresh data", "error cuadrático medio con datos nuevos"),
    "adding.outcome.caption": Text(
        (
            "T={length}, {hidden} units, {steps} steps of Adam (RNN 0.002, IRNN 0.001, gated 0.005), clipped to norm "
            "1, {batch} fresh samples a step, {seeds} seed(s). A dot per seed, the median as a bar, and how many seeds "
            "err by at most {goal:n}."
        ),
        (
            "T={length}, {hidden} unidades, {steps} pasos de Adam (RNN 0,002, IRNN 0,001, con puertas 0,005), recorte "
            "a norma 1, {batch} muestras nuevas por paso, {seeds} semilla(s). Un punto por semilla, la mediana como "
            "barra y cuántas semillas yerran como mucho {goal:n}."
        ),
    ),
    "adding.flow.caption": Text(
        (
            "Gradient of the loss at every timestep, dL/dc for the LSTM and dL/dh for the others, relative to the "
            "last; median over {seeds} seed(s), before and after {steps} training steps. Dotted: a thousandth."
        ),
        (
            "Gradiente de la pérdida en cada paso temporal, dL/dc en la LSTM y dL/dh en las demás, relativo al último; "
            "mediana de {seeds} semilla(s), antes y después de {steps} pasos de entrenamiento. Punteado: una milésima."
        ),
    ),
    "adding.learning.caption": Text(
        "Training loss of every seed, mean of every 50 steps. The same trainings as above.",
        "Pérdida de entrenamiento de cada semilla, media de cada 50 pasos. Los mismos entrenamientos de arriba.",
    ),
    "adding.outcome.alt": Text(
        "Error by network, logarithmic; {floor:n} is what always answering 1 costs. Median and successes:",
        "Error según la red, logarítmico; {floor:n} es lo que cuesta responder siempre 1. Mediana y éxitos:",
    ),
    "adding.flow.alt": Text(
        "Gradient at every timestep before and after training, logarithmic. At the first timestep:",
        "Gradiente en cada paso temporal antes y después de entrenar, logarítmico. En el primer paso temporal:",
    ),
    "adding.learning.alt": Text(
        "Training loss by step, logarithmic. Median step at which it falls below {goal:n}:",
        "Pérdida de entrenamiento por paso, logarítmica. Paso mediano en que baja de {goal:n}:",
    ),
}
