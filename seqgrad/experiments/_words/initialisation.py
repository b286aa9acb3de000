"""What the initialisation experiment claims and says. Tolerances: ten seeds each."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "init.orthogonal",
        line=132,
        item=3,
        expected=1e-05,
        relation="at_most",
        en="Orthogonal initialisation puts every singular value at 1, gate by gate in GRU and LSTM (largest distance).",
        es=(
            "La inicialización ortogonal deja en 1 todos los valores singulares, puerta a puerta en GRU y LSTM "
            "(mayor distancia)."
        ),
    ),
    spec(
        "init.orthogonal_keeps",
        line=132,
        item=3,
        expected=0.43,
        relation="factor",
        tolerance=1.5,
        en="An orthogonal W_hh keeps the gradient alive over 99 steps (biases zero).",
        es="Una W_hh ortogonal mantiene vivo el gradiente durante 99 pasos (sesgos a cero).",
    ),
    spec(
        "init.bias_cost",
        line=132,
        item=3,
        expected=10,
        relation="at_least",
        en="An orthogonal W_hh is enough.",
        es="Basta con una W_hh ortogonal.",
        right_en=(
            "The biases matter too: torch's default biases push tanh off its steepest point and alone cost this "
            "factor at lag 99. Set them to zero as well."
        ),
        right_es=(
            "También importan los sesgos: los de torch por defecto apartan la tanh de su punto más empinado y "
            "por sí solos cuestan este factor a 99 pasos. Póngalos también a cero."
        ),
    ),
    spec(
        "init.xavier",
        line=135,
        item=3,
        expected=1,
        relation="relative",
        tolerance=0.1,
        en="Xavier gives W_xh the variance 2 / (inputs + units), gate by gate (measured over the rule).",
        es="Xavier da a W_xh la varianza 2 / (entradas + unidades), puerta a puerta (medida entre regla).",
    ),
    spec(
        "init.xavier_alone",
        line=135,
        item=3,
        expected=1e-15,
        relation="at_most",
        en=(
            "Xavier for W_xh sets the size of what comes in, not how long it lasts: alone, with the default "
            "W_hh, it leaves this of the gradient at lag 99. Time is the business of W_hh and the biases."
        ),
        es=(
            "Xavier para W_xh fija el tamaño de lo que entra, no cuánto dura: sola, con la W_hh por defecto, "
            "deja esto del gradiente a 99 pasos. El tiempo es cosa de W_hh y de los sesgos."
        ),
    ),
    spec(
        "init.radius",
        line=130,
        item=3,
        expected=0.61,
        relation="absolute",
        tolerance=0.06,
        en="torch's default W_hh has a spectral radius of about 1/√3.",
        es="La W_hh por defecto de torch tiene un radio espectral de cerca de 1/√3.",
    ),
    spec(
        "init.lag_49",
        line=130,
        item=1,
        expected=2e-12,
        relation="factor",
        tolerance=30,
        en="With it a gradient is down to about 10^-12 after 49 steps.",
        es="Con ella, un gradiente queda en cerca de 10^-12 tras 49 pasos.",
    ),
    spec(
        "init.small",
        line=130,
        item=1,
        expected=8e-21,
        relation="factor",
        tolerance=10000.0,
        en="Fewer units do not help: H=32 leaves about 10^-20 at lag 99.",
        es="Menos unidades no ayudan: H=32 deja cerca de 10^-20 a 99 pasos.",
    ),
    spec(
        "init.identity",
        line=130,
        item=3,
        expected=0.71,
        relation="relative",
        tolerance=0.12,
        en=(
            "A relu RNN that starts at the identity keeps its gradient whole wherever a unit is awake: half of "
            "them, so 1/√2 of the norm, at any lag."
        ),
        es=(
            "Una RNN relu que empieza en la identidad conserva entero el gradiente donde la unidad está despierta: la "
            "mitad, luego 1/√2 de la norma, a cualquier distancia."
        ),
    ),
    spec(
        "init.gates",
        line=132,
        item=5,
        expected=1e-10,
        relation="at_most",
        en=(
            "Orthogonal matrices do not open a gated network: half-open gates still halve what passes, and at "
            "lag 99 a GRU has this left."
        ),
        es=(
            "Las matrices ortogonales no abren una red con puertas: las puertas a medio abrir siguen dejando la "
            "mitad, y a 99 pasos a una GRU le queda esto."
        ),
    ),
    spec(
        "init.chrono",
        line=130,
        item=5,
        expected=1,
        relation="relative",
        tolerance=0.15,
        en="Chrono biases give an LSTM's units memories spread evenly from 2 to T steps (mean over (2 + T) / 2).",
        es=(
            "Los sesgos chrono dan a las unidades de una LSTM memorias repartidas de 2 a T pasos (media entre (2 "
            "+ T) / 2)."
        ),
    ),
    spec(
        "init.spread",
        line=130,
        item=1,
        expected=4.5e-8,
        relation="factor",
        tolerance=3,
        en="After 100 steps a default RNN's states differ by float32's rounding alone, whatever came in at t=1.",
        es=(
            "Tras 100 pasos los estados de una RNN por defecto difieren solo en el redondeo de float32, entre lo "
            "que entre en t=1."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "table.setup": Text("start", "comienzo"),
    "table.radius": Text("spectral radius", "radio espectral"),
    "table.sigma_max": Text("largest singular value", "mayor valor singular"),
    "table.sigma_min": Text("smallest", "menor"),
    "table.lag_9": Text("gradient 9 steps back", "gradiente 9 pasos atrás"),
    "table.lag_49": Text("49", "49"),
    "table.lag_99": Text("99", "99"),
    "table.spread": Text("spread of the last state", "dispersión del último estado"),
    "initialisation.table": Text(
        (
            "Every start in numbers: the spectrum of W_hh (of the gate that is farthest out), the gradient "
            "relative to the last step (an LSTM's is that of the cell state), and how far 32 samples keep the "
            "last state apart. H={hidden}, LSTM {half}; medians of {seeds} seeds."
        ),
        (
            "Cada comienzo en números: el espectro de W_hh (de la puerta más extrema), el gradiente relativo al "
            "último paso (en una LSTM, el del estado de celda) y cuánto separan 32 muestras el último estado. "
            "H={hidden}, LSTM {half}; medianas de {seeds} semillas."
        ),
    ),
    "initialisation.rnn.alt": Text(
        (
            "Gradient at every timestep of four RNNs before training, logarithmic. At step 1, relative to step "
            "{steps}: default {init_rnn:n}, orthogonal {init_rnn_orthogonal:n}, orthogonal with zero biases "
            "{init_rnn_orthogonal_zero_bias:n}, relu from the identity {init_rnn_identity:n}."
        ),
        (
            "Gradiente en cada paso temporal de cuatro RNN sin entrenar, logarítmico. En el paso 1, relativo al "
            "paso {steps}: por defecto {init_rnn:n}, ortogonal {init_rnn_orthogonal:n}, ortogonal con sesgos a "
            "cero {init_rnn_orthogonal_zero_bias:n}, relu desde la identidad {init_rnn_identity:n}."
        ),
    ),
    "initialisation.rnn.caption": Text(
        (
            "H={hidden}, T={steps}, 32 samples, signal at t=1, loss on the last state, median of {seeds} seeds, "
            "no training."
        ),
        (
            "H={hidden}, T={steps}, 32 muestras, señal en t=1, pérdida en el último estado, mediana de {seeds} "
            "semillas, sin entrenar."
        ),
    ),
    "initialisation.gated.alt": Text(
        (
            "Gradient at every timestep of gated networks before training, logarithmic. At step 1, relative to step "
            "{steps}: GRU {init_gru:n}, with each gate's matrix orthogonal {init_gru_orthogonal:n} (LSTM "
            "{init_lstm_orthogonal:n}), with chrono biases instead {init_gru_chrono:n}."
        ),
        (
            "Gradiente en cada paso temporal de redes con puertas sin entrenar, logarítmico. En el paso 1, relativo al "
            "paso {steps}: GRU {init_gru:n}, con la matriz de cada puerta ortogonal {init_gru_orthogonal:n} (LSTM "
            "{init_lstm_orthogonal:n}), en cambio con sesgos chrono {init_gru_chrono:n}."
        ),
    ),
    "initialisation.gated.caption": Text(
        "In gated networks orthogonal matrices gain a few decades, the biases of the gates all of them.",
        "En redes con puertas las matrices ortogonales ganan unas décadas; los sesgos de las puertas, todas.",
    ),
    "name.initialisation": Text("what each start gives the gradient", "lo que cada comienzo da al gradiente"),
}
