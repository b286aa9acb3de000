"""What the temporal order problem claims and says.

Seeds 0 to 4 gave these accuracies after 2000 steps: RNN 0.24-0.26, with Omega 0.83-1.00 (median 0.999), orthogonal
1.00, SGD unclipped 0.23-0.27, SGD clipped 1.00 three times and 0.24 twice (those had learnt it by step 1400 and lost it
again), GRU 1.00, LSTM 0.20-0.25, chrono LSTM 1.00. First over last gradient after training: RNN 2e-13 to 2e-8, with
Omega 1.2 to 22, that is 1.003 to 1.065 a step. Before training: GRU 5e-11 to 1e-9, orthogonal 0.08-0.11.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "order.default_vanishes",
        expected=1e-7,
        relation="at_most",
        en="With torch's default biases the gradient of an untrained GRU vanishes over 50 steps (first over last).",
        es=(
            "Con los sesgos por defecto de torch, el gradiente de una GRU sin entrenar se desvanece en 50 pasos "
            "(primero entre último)."
        ),
    ),
    spec(
        "order.orthogonal_keeps",
        expected=0.03,
        relation="at_least",
        en="An orthogonal W_hh with zero biases keeps that of a tanh RNN.",
        es="Una W_hh ortogonal con sesgos a cero conserva el de una RNN tanh.",
    ),
    spec(
        "order.rnn_chance",
        expected=0.25,
        relation="absolute",
        tolerance=0.05,
        en="A default tanh RNN stays at chance although its gradients are clipped (median accuracy).",
        es="Una RNN tanh por defecto se queda en el azar pese al recorte de gradientes (acierto mediano).",
    ),
    spec(
        "order.clipping_cures_nothing",
        expected=1e-5,
        relation="at_most",
        en="Clipping does not cure vanishing: after training its gradient has still vanished (first over last).",
        es=(
            "Recortar no cura el desvanecimiento: tras entrenar, su gradiente sigue desvanecido (primero entre último)."
        ),
    ),
    spec(
        "order.omega_learns",
        expected=0.75,
        relation="at_least",
        en="The same RNN with Pascanu's Omega in its loss learns it (median accuracy).",
        es="La misma RNN, con la Omega de Pascanu en la pérdida, lo aprende (acierto mediano).",
    ),
    spec(
        "order.omega_rises",
        expected=8,
        relation="at_least",
        en="Omega lifts the first step's gradient, relative to the last's, by powers of ten (how many).",
        es="Omega sube el gradiente del primer paso, relativo al del último, en potencias de diez (cuántas).",
    ),
    spec(
        "order.omega_step",
        expected=1.0,
        relation="absolute",
        tolerance=0.1,
        en="It asks every step back to keep the gradient's norm, and gets it (factor per step after training).",
        es="Pide que cada paso atrás conserve la norma del gradiente, y lo consigue (factor por paso tras entrenar).",
    ),
    spec(
        "order.orthogonal_learns",
        expected=0.8,
        relation="at_least",
        en="An orthogonal start does without a regulariser (success rate).",
        es="Con un comienzo ortogonal no hace falta regularizador (tasa de éxito).",
    ),
    spec(
        "order.sgd_unclipped",
        expected=0.2,
        relation="at_most",
        en="Under SGD at 0.1 without clipping that same RNN never learns it (share of seeds that ever get there).",
        es="Con SGD a 0,1 y sin recorte, esa misma RNN no lo aprende nunca (parte de las semillas que llega).",
    ),
    spec(
        "order.sgd_clipped",
        expected=0.6,
        relation="at_least",
        en="Clipped to norm 1 it does (share of seeds that get there; some fall back later, see the figure).",
        es="Con recorte a norma 1, sí (parte de las semillas que llega; alguna recae después, véase la figura).",
    ),
    spec(
        "order.gru_learns",
        expected=0.8,
        relation="at_least",
        en="A default GRU learns it, although its gradient has vanished before training (success rate).",
        es="Una GRU por defecto lo aprende, aunque su gradiente esté desvanecido antes de entrenar (tasa de éxito).",
    ),
    spec(
        "order.lstm_default",
        expected=0.2,
        relation="at_most",
        en="An LSTM learns it (success rate).",
        es="Una LSTM lo aprende (tasa de éxito).",
        right_en="Not with torch's default biases within these 2000 steps: it stays at chance, like the RNN.",
        right_es="No con los sesgos por defecto de torch en estos 2000 pasos: se queda en el azar, como la RNN.",
    ),
    spec(
        "order.lstm_chrono",
        expected=0.8,
        relation="at_least",
        en="With chrono biases the LSTM learns it, and soonest of all (success rate).",
        es="Con sesgos chrono la LSTM lo aprende, y antes que ninguna (tasa de éxito).",
    ),
)

TEXTS: dict[str, Text] = {
    "name.temporal_order": Text(
        "temporal order: clipping, Pascanu's Omega, gates", "orden temporal: recorte, la Omega de Pascanu, puertas"
    ),
    "network.rnn_omega": Text("RNN, Pascanu's Ω", "RNN, Ω de Pascanu"),
    "network.rnn_sgd_unclipped": Text("RNN, orthogonal, SGD, unclipped", "RNN, ortogonal, SGD sin recorte"),
    "network.rnn_sgd_clipped": Text("RNN, orthogonal, SGD, clipped", "RNN, ortogonal, SGD con recorte"),
    "temporal_order.floor": Text("chance", "azar"),
    "temporal_order.score": Text("accuracy on fresh data", "acierto con datos nuevos"),
    "temporal_order.outcome.caption": Text(
        (
            "Four orders, T={length}, {hidden} units, {steps} training steps of {batch} fresh samples, clipped to norm "
            "1 but where said; Adam (RNN 0.001, gated 0.005) or SGD (0.1); Ω has weight 20; {seeds} seed(s). A dot per "
            "seed, the median as a bar, and how many seeds reach 90 %."
        ),
        (
            "Cuatro órdenes, T={length}, {hidden} unidades, {steps} pasos de entrenamiento con {batch} muestras "
            "nuevas, recorte a norma 1 salvo donde se indica; Adam (RNN 0,001, con puertas 0,005) o SGD (0,1); Ω pesa "
            "20; {seeds} semilla(s). Un punto por semilla, la mediana como barra y cuántas semillas llegan al 90 %."
        ),
    ),
    "temporal_order.flow.caption": Text(
        (
            "Gradient of the loss at every timestep, dL/dc for the LSTM and dL/dh for the others, relative to the "
            "last; median over {seeds} seed(s), before and after {steps} training steps. Dotted: a thousandth."
        ),
        (
            "Gradiente de la pérdida en cada paso temporal, dL/dc en la LSTM y dL/dh en las demás, relativo al último; "
            "mediana de {seeds} semilla(s), antes y después de {steps} pasos de entrenamiento. Punteado: una milésima."
        ),
    ),
    "temporal_order.learning.caption": Text(
        "Training loss of every seed, mean of every 50 steps, without Ω. The same trainings as above.",
        "Pérdida de entrenamiento de cada semilla, media de cada 50 pasos, sin Ω. Los mismos entrenamientos de arriba.",
    ),
    "temporal_order.outcome.alt": Text(
        "Accuracy by network; chance is {floor:n}. Median and how many reach {goal:n}:",
        "Acierto según la red; el azar es {floor:n}. Mediana y cuántas llegan a {goal:n}:",
    ),
    "temporal_order.flow.alt": Text(
        "Gradient at every timestep before and after training, logarithmic. At the first timestep:",
        "Gradiente en cada paso temporal antes y después de entrenar, logarítmico. En el primer paso temporal:",
    ),
    "temporal_order.learning.alt": Text(
        "Training loss by step, logarithmic. Median step at which it falls below 0.2:",
        "Pérdida de entrenamiento por paso, logarítmica. Paso mediano en que baja de 0,2:",
    ),
}
