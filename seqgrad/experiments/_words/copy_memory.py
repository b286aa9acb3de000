"""What the copying problem claims and says.

Seeds 0 to 4 gave these losses at 4000 steps: RNN 0.520-0.521, orthogonal 0.520 four times and 0.461, LSTM 0.416-0.450,
forget bias 1 0.347-0.430, chrono LSTM 0.163-0.272 (median 0.174), chrono GRU 0.122-0.174. First over last gradient
before training: LSTM 7e-9 to 4e-8, chrono LSTM 0.19-0.25, orthogonal RNN 0.12-0.22.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "copy.default_vanishes",
        expected=1e-6,
        relation="at_most",
        en="With torch's default biases the gradient of an untrained LSTM vanishes over 40 steps (first over last).",
        es=(
            "Con los sesgos por defecto de torch, el gradiente de una LSTM sin entrenar se desvanece en 40 pasos "
            "(primero entre último)."
        ),
    ),
    spec(
        "copy.chrono_keeps",
        expected=0.03,
        relation="at_least",
        en="With chrono biases, which tell each unit how long to keep, it arrives.",
        es="Con sesgos chrono, que dicen a cada unidad cuánto conservar, sí llega.",
    ),
    spec(
        "copy.orthogonal_keeps",
        expected=0.03,
        relation="at_least",
        en="An orthogonal W_hh with zero biases lets it arrive in a tanh RNN.",
        es="Una W_hh ortogonal con sesgos a cero deja que llegue en una RNN tanh.",
    ),
    spec(
        "copy.rnn_floor",
        expected=1.0,
        relation="relative",
        tolerance=0.01,
        en="A tanh RNN stays on the floor of a network without memory (median loss over 10 ln 8 / (T + 20)).",
        es="Una RNN tanh se queda en el suelo de una red sin memoria (pérdida mediana entre 10 ln 8 / (T + 20)).",
    ),
    spec(
        "copy.orthogonal_floor",
        expected=1.0,
        relation="relative",
        tolerance=0.01,
        en="An orthogonal RNN keeps the gradient, so it learns to copy (median loss over the floor).",
        es="Una RNN ortogonal conserva el gradiente, así que aprende a copiar (pérdida mediana entre el suelo).",
        right_en=(
            "Most seeds do not in these 4000 steps. A gradient that arrives is needed, not enough: the network also "
            "has to keep ten symbols apart while it goes on computing, and no gate protects them. On those seeds "
            "training even undoes the good start: afterwards the gradient vanishes."
        ),
        right_es=(
            "La mayoría de las semillas no, en estos 4000 pasos. Que el gradiente llegue hace falta, pero no basta: la "
            "red también debe mantener separados diez símbolos mientras sigue calculando, y ninguna puerta los "
            "protege. En esas semillas el entrenamiento incluso deshace el buen comienzo: después el gradiente se "
            "desvanece."
        ),
    ),
    spec(
        "copy.lstm_default",
        expected=0.0,
        relation="absolute",
        tolerance=0.2,
        en="An LSTM with torch's default biases learns to copy (success rate).",
        es="Una LSTM con los sesgos por defecto de torch aprende a copiar (tasa de éxito).",
        right_en="Not within 4000 steps: it leaves the floor, but stays above half of it.",
        right_es="No en 4000 pasos: se aleja del suelo, pero no baja de su mitad.",
    ),
    spec(
        "copy.forget_one",
        expected=0.45,
        relation="at_most",
        en="A forget bias of 1 carries the LSTM below the floor of 0.52 (median loss).",
        es="Un sesgo de olvido de 1 lleva a la LSTM por debajo del suelo de 0,52 (pérdida mediana).",
    ),
    spec(
        "copy.lstm_chrono",
        expected=0.25,
        relation="at_most",
        en="Chrono biases carry it much further in the same 4000 steps (median loss).",
        es="Los sesgos chrono la llevan mucho más lejos en los mismos 4000 pasos (pérdida mediana).",
    ),
    spec(
        "copy.gru_chrono",
        expected=0.2,
        relation="at_most",
        en="And they do the same for the GRU (median loss).",
        es="Y hacen lo mismo por la GRU (pérdida mediana).",
    ),
)

TEXTS: dict[str, Text] = {
    "name.copy_memory": Text(
        "the copying problem: orthogonal, forget bias, chrono", "el problema de la copia: ortogonal, olvido, chrono"
    ),
    "copy_memory.floor": Text("no memory: 10 ln 8 / (T + 20)", "sin memoria: 10 ln 8 / (T + 20)"),
    "copy_memory.score": Text(
        "cross-entropy on fresh data, nats per step", "entropía cruzada con datos nuevos, nats por paso"
    ),
    "copy_memory.outcome.caption": Text(
        (
            "Ten symbols of eight kinds, T={length}, {hidden} units, {steps} steps of Adam (RNN 0.001, gated 0.005), "
            "clipped to norm 1, {batch} fresh samples a step, {seeds} seed(s). A dot per seed, the median as a bar, "
            "and how many seeds come down to half of the floor."
        ),
        (
            "Diez símbolos de ocho clases, T={length}, {hidden} unidades, {steps} pasos de Adam (RNN 0,001, con "
            "puertas 0,005), recorte a norma 1, {batch} muestras nuevas por paso, {seeds} semilla(s). Un punto por "
            "semilla, la mediana como barra y cuántas semillas bajan a la mitad del suelo."
        ),
    ),
    "copy_memory.flow.caption": Text(
        (
            "Gradient of the last symbol's loss at every timestep, dL/dc for the LSTM and dL/dh for the others, "
            "relative to the last; median over {seeds} seed(s), before and after {steps} training steps. Dotted: a "
            "thousandth."
        ),
        (
            "Gradiente de la pérdida del último símbolo en cada paso temporal, dL/dc en la LSTM y dL/dh en las demás, "
            "relativo al último; mediana de {seeds} semilla(s), antes y después de {steps} pasos de entrenamiento. "
            "Punteado: una milésima."
        ),
    ),
    "copy_memory.learning.caption": Text(
        "Training loss of every seed, mean of every 50 steps. The same trainings as above.",
        "Pérdida de entrenamiento de cada semilla, media de cada 50 pasos. Los mismos entrenamientos de arriba.",
    ),
    "copy_memory.outcome.alt": Text(
        "Loss by network; a network without memory stays at {floor:n}. Median and successes:",
        "Pérdida según la red; una red sin memoria se queda en {floor:n}. Mediana y éxitos:",
    ),
    "copy_memory.flow.alt": Text(
        "Gradient at every timestep before and after training, logarithmic. At the first timestep:",
        "Gradiente en cada paso temporal antes y después de entrenar, logarítmico. En el primer paso temporal:",
    ),
    "copy_memory.learning.alt": Text(
        "Training loss by step. Median step at which it falls below {goal:n}:",
        "Pérdida de entrenamiento por paso. Paso mediano en que baja de {goal:n}:",
    ),
}
