"""What the gradient-flow experiment claims and says."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "flow.product",
        line=18,
        item=1,
        expected=1e-10,
        relation="at_most",
        en="The gradient at step t is the last step's gradient times the product of the Jacobians between them.",
        es="El gradiente en el paso t es el del último paso por el producto de los jacobianos intermedios.",
    ),
    spec(
        "flow.every_step",
        line=18,
        item=1,
        expected=0.1,
        relation="at_least",
        en="The product is the whole gradient at step t.",
        es="El producto es todo el gradiente en el paso t.",
        right_en=(
            "Only if the loss reads the last state alone. With a loss at every step each state also gets a "
            "direct term: the same network then shows no vanishing at step 1, although nothing more arrives "
            "from the far end."
        ),
        right_es=(
            "Solo si la pérdida mira únicamente el último estado. Con una pérdida en cada paso, cada estado "
            "recibe además un término directo: la misma red no muestra desvanecimiento en el paso 1, aunque "
            "del final no llega nada más."
        ),
    ),
    spec(
        "flow.vanishes",
        line=42,
        item=1,
        expected=1e-23,
        relation="factor",
        tolerance=10000.0,
        en="After 100 steps practically nothing is left of the gradient.",
        es="Tras 100 pasos no queda prácticamente nada del gradiente.",
    ),
    spec(
        "flow.mirrored",
        line=42,
        item=1,
        expected=100,
        relation="absolute",
        en="The gradient is large at step 1 and about zero at step 100.",
        es="El gradiente es grande en el paso 1 y casi cero en el paso 100.",
        right_en=(
            "The drawing is mirrored: with the loss at the end the largest gradient is at the last step, "
            "and it fades towards step 1."
        ),
        right_es=(
            "El dibujo está en espejo: con la pérdida al final, el mayor gradiente está en el último paso y "
            "se apaga hacia el 1."
        ),
    ),
    spec(
        "flow.early_steps",
        line=50,
        item=1,
        expected=1e-06,
        relation="at_most",
        en="The early layers do not learn.",
        es="Las capas tempranas no aprenden.",
        right_en=(
            "It is the early timesteps. An RNN has one W_hh for all of them, and it does learn, but only "
            "from the recent steps: everything older than 50 steps adds less than a millionth to its "
            "gradient."
        ),
        right_es=(
            "Son los pasos tempranos. Una RNN tiene una sola W_hh para todos, y sí aprende, pero solo de "
            "los pasos recientes: todo lo anterior a los últimos 50 pasos aporta menos de una millonésima a "
            "su gradiente."
        ),
    ),
    spec(
        "flow.share",
        line=50,
        item=1,
        expected=60,
        relation="at_least",
        en=(
            "The far past teaches nothing: so many of the 100 timesteps have a share in the weights' gradient that is "
            "below float32's resolution."
        ),
        es=(
            "El pasado lejano no enseña nada: tantos de los 100 pasos tienen en el gradiente de los pesos una parte "
            "inferior a la resolución de float32."
        ),
    ),
    spec(
        "flow.factor_ten",
        line=206,
        item=1,
        expected=0.1,
        relation="relative",
        tolerance=0.001,
        en=(
            "The gradient loses a factor of 10 every ten steps: so it does, exactly, with W_hh = 0.794 Q, counted "
            "back from the end."
        ),
        es=(
            "El gradiente pierde un factor 10 cada diez pasos: así es, exacto, con W_hh = 0,794 Q, contando desde "
            "el final."
        ),
    ),
    spec(
        "flow.forget_law",
        line=249,
        item=5,
        expected=1e-06,
        relation="at_most",
        en=(
            "The cell state is a highway: one step back multiplies its gradient by the forget gate, nothing else "
            "(distance to f^k)."
        ),
        es=(
            "El estado de celda es una autopista: un paso atrás multiplica su gradiente por la puerta de olvido y "
            "por nada más (distancia a f^k)."
        ),
    ),
    spec(
        "flow.lstm_default",
        line=250,
        item=5,
        expected=1e-15,
        relation="at_most",
        en="An LSTM's cell state can preserve information indefinitely.",
        es="El estado de celda de una LSTM puede conservar información indefinidamente.",
        right_en=(
            "Only while the forget gate stays near 1. A default LSTM starts with f near 0.5 and its cell "
            "gradient vanishes like a plain RNN's. At lag 99 this is left:"
        ),
        right_es=(
            "Solo mientras la puerta de olvido siga cerca de 1. Una LSTM por defecto empieza con f cerca de "
            "0,5 y el gradiente de su celda se desvanece como en una RNN simple. A 99 pasos queda esto:"
        ),
    ),
    spec(
        "flow.gru_default",
        line=240,
        item=5,
        expected=1e-15,
        relation="at_most",
        en="A GRU solves the problem by its gates.",
        es="Una GRU resuelve el problema con sus puertas.",
        right_en=(
            "Its gates can, once they have learnt to. Before training they are half open, and at lag 99 this is left:"
        ),
        right_es=(
            "Sus puertas pueden hacerlo, una vez que lo aprenden. Antes de entrenar están a medio abrir, y "
            "a 99 pasos queda esto:"
        ),
    ),
    spec(
        "flow.forget_one",
        line=249,
        item=5,
        expected=1e-09,
        relation="at_least",
        en="A forget bias of 1 helps: more than ten decades at lag 99.",
        es="Un sesgo de olvido de 1 ayuda: más de diez décadas a 99 pasos.",
    ),
    spec(
        "flow.forget_99",
        line=250,
        item=5,
        expected=0.1,
        relation="at_least",
        en="With the forget gate at 0.99 the gradient crosses 99 steps whole.",
        es="Con la puerta de olvido en 0,99 el gradiente cruza entero los 99 pasos.",
    ),
    spec(
        "flow.chrono",
        line=249,
        item=5,
        expected=0.01,
        relation="at_least",
        en="With chrono biases, which spread the gates over all time scales, a good part crosses 99 steps.",
        es=(
            "Con sesgos chrono, que reparten las puertas por todas las escalas de tiempo, una buena parte cruza "
            "99 pasos."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "gradient_flow.default.alt": Text(
        (
            "Gradient at every timestep, logarithmic, relative to step {steps}. All three default networks fall from "
            "1 at the right to almost nothing at step 1: RNN {rnn_first:n}, GRU {gru_first:n}, LSTM {lstm_first:n}."
        ),
        (
            "Gradiente en cada paso temporal, logarítmico, relativo al paso {steps}. Las tres redes por defecto caen "
            "desde 1, a la derecha, hasta casi nada en el paso 1: RNN {rnn_first:n}, GRU {gru_first:n}, LSTM "
            "{lstm_first:n}."
        ),
    ),
    "gradient_flow.gates.alt": Text(
        (
            "Gradient of the cell state at every timestep of four LSTMs. At step 1, relative to step {steps}: default "
            "{lstm_first:n}, with forget bias 1 {lstm_forget_one_first:n}, with forget gate 0.99 "
            "{lstm_forget_99_first:n}, with chrono biases {lstm_chrono_first:n}."
        ),
        (
            "Gradiente del estado de celda en cada paso temporal de cuatro LSTM. En el paso 1, relativo al paso "
            "{steps}: por defecto {lstm_first:n}, con sesgo de olvido 1 {lstm_forget_one_first:n}, con puerta de "
            "olvido 0,99 {lstm_forget_99_first:n}, con sesgos chrono {lstm_chrono_first:n}."
        ),
    ),
    "gradient_flow.share.alt": Text(
        (
            "Share of every timestep in the gradient of the weights, logarithmic, rising towards the last step. {lost} "
            "of {steps} timesteps lie below float32's resolution, {epsilon:n}."
        ),
        (
            "Parte de cada paso temporal en el gradiente de los pesos, logarítmica, creciente hacia el último paso. "
            "{lost} de {steps} pasos quedan por debajo de la resolución de float32, {epsilon:n}."
        ),
    ),
    "gradient_flow.share.caption": Text(
        (
            "The same default RNN, median of {seeds} seeds: what each timestep adds to the gradient of W_hh. In the "
            "tinted part lie {lost} of {steps} timesteps; float32 loses them in the sum."
        ),
        (
            "La misma RNN por defecto, mediana de {seeds} semillas: lo que cada paso temporal aporta al gradiente de "
            "W_hh. En la zona sombreada quedan {lost} de {steps} pasos; float32 los pierde en la suma."
        ),
    ),
    "flow.share": Text("share in the gradient of W$_{hh}$", "parte en el gradiente de W$_{hh}$"),
    "flow.epsilon": Text("float32's resolution", "resolución de float32"),
    "gradient_flow.bars.alt": Text(
        (
            "Six bars, one every ten timesteps, each ten times taller than the one before it: the largest stands at "
            "the last timestep, {steps}, on the right."
        ),
        (
            "Seis barras, una cada diez pasos temporales, cada una diez veces más alta que la anterior: la mayor "
            "está en el último paso, {steps}, a la derecha."
        ),
    ),
    "gradient_flow.default.caption": Text(
        (
            "H={hidden} (LSTM: half), T={steps}, 32 samples, median of {seeds} seeds, before any training. Read it "
            "from right to left: that is the way backprop goes."
        ),
        (
            "H={hidden} (LSTM: la mitad), T={steps}, 32 muestras, mediana de {seeds} semillas, antes de entrenar. "
            "Léase de derecha a izquierda: así va la retropropagación."
        ),
    ),
    "gradient_flow.gates.caption": Text(
        "Gated networks: what counts is how open the forget gate stands.",
        "Redes con puertas: lo que cuenta es cuánto se abre la puerta de olvido.",
    ),
    "gradient_flow.bars.caption": Text(
        "W_hh = 0.794 Q, zero biases: one tenth every ten steps, measured, in the right order.",
        "W_hh = 0,794 Q, sesgos a cero: una décima cada diez pasos, medido, en el orden correcto.",
    ),
    "name.gradient_flow": Text("the gradient at every timestep", "el gradiente en cada paso temporal"),
}
