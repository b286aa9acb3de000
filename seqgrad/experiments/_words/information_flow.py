"""What the information-flow experiment claims and says. Tolerances: six seeds each."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "info.rich",
        line=224,
        item=4,
        expected=0.85,
        relation="at_least",
        en="At t=1 the information is rich: a linear readout of the state tells the first sign (accuracy).",
        es="En t=1 la información es rica: una lectura lineal del estado dice el primer signo (acierto).",
    ),
    spec(
        "info.some",
        line=229,
        item=4,
        expected=5e-3,
        relation="factor",
        tolerance=3,
        en="At t=10 some is left: the states of different samples still differ by this much.",
        es="En t=10 queda algo: los estados de muestras distintas aún difieren en esto.",
    ),
    spec(
        "info.nothing",
        line=234,
        item=4,
        expected=5e-8,
        relation="factor",
        tolerance=3,
        en="At t=50 almost nothing: they differ by no more than float32's rounding.",
        es="En t=50 casi nada: no difieren en más que el redondeo de float32.",
    ),
    spec(
        "info.probe",
        line=234,
        item=4,
        expected=0.5,
        relation="absolute",
        tolerance=0.08,
        en="And nothing that can be read: the same readout is at chance (accuracy at t=50).",
        es="Y nada legible: la misma lectura queda en el azar (acierto en t=50).",
    ),
    spec(
        "info.sensitivity",
        line=226,
        item=4,
        expected=1e-9,
        relation="at_most",
        en=(
            "The drawing shows the way forward, ∂h_t/∂x_1; the gradient runs backwards, ∂L/∂h_t. Both are "
            "products of the same Jacobians and both shrink, from opposite ends, so they need panels of their "
            "own (sensitivity at t=50 over that at t=1)."
        ),
        es=(
            "El dibujo muestra el camino hacia delante, ∂h_t/∂x_1; el gradiente va hacia atrás, ∂L/∂h_t. Ambos "
            "son productos de los mismos jacobianos y ambos menguan, desde extremos opuestos, así que necesitan "
            "paneles propios (sensibilidad en t=50 entre la de t=1)."
        ),
    ),
    spec(
        "info.orthogonal",
        line=234,
        item=4,
        expected=0.8,
        relation="at_least",
        en="An orthogonal RNN still holds the first sign at t=50 (accuracy of the readout).",
        es="Una RNN ortogonal aún guarda el primer signo en t=50 (acierto de la lectura).",
    ),
    spec(
        "info.chrono",
        line=246,
        item=5,
        expected=0.8,
        relation="at_least",
        en="So does an LSTM whose gates were told to keep (chrono biases), before any training.",
        es="También una LSTM a cuyas puertas se dijo que guarden (sesgos chrono), antes de entrenar.",
    ),
)

TEXTS: dict[str, Text] = {
    "info.sensitivity": Text("‖∂h$_t$/∂x$_1$‖", "‖∂h$_t$/∂x$_1$‖"),
    "info.probe": Text("first sign told right", "primer signo acertado"),
    "info.spread": Text("spread of h$_t$", "dispersión de h$_t$"),
    "info.there": Text("forward: what h$_t$ still knows of x$_1$", "hacia delante: lo que h$_t$ aún sabe de x$_1$"),
    "info.back": Text("backward: what t hears of the loss at the end", "hacia atrás: lo que t oye de la pérdida final"),
    "information_flow.forward.alt": Text(
        (
            "Three panels against the timestep: how far the state moves when the first input does, how often a "
            "linear readout tells the first sign, and how far apart different samples keep the state. A default "
            "RNN loses all three: its readout falls to chance by t = {rnn_lost}, its spread to {rnn_spread_50:n} "
            "at t = 50. An orthogonal RNN keeps them (spread {rnn_orthogonal_zero_bias_spread_50:n})."
        ),
        (
            "Tres paneles frente al paso temporal: cuánto se mueve el estado con la primera entrada, cuántas "
            "veces una lectura lineal dice el primer signo, y cuánto distan los estados de muestras distintas. "
            "Una RNN por defecto pierde los tres: su lectura cae al azar hacia t = {rnn_lost}, su dispersión a "
            "{rnn_spread_50:n} en t = 50. Una RNN ortogonal los conserva (dispersión "
            "{rnn_orthogonal_zero_bias_spread_50:n})."
        ),
    ),
    "information_flow.forward.caption": Text(
        (
            "H={hidden}, signal at t=1, silence after it, no training, float32, medians of {seeds} seeds. The "
            "readout is fitted on 512 samples and judged on {probed} others. The flat end of the spread is "
            "float32's rounding."
        ),
        (
            "H={hidden}, señal en t=1 y después silencio, sin entrenar, float32, medianas de {seeds} semillas. "
            "La lectura se ajusta con 512 muestras y se juzga con otras {probed}. El final plano de la "
            "dispersión es redondeo de float32."
        ),
    ),
    "information_flow.both.alt": Text(
        (
            "Two panels against the timestep. Above, the sensitivity of the state to the first input, which "
            "falls from left to right; below, the gradient of a loss on the last state, which falls from right "
            "to left. For each network the slopes are alike."
        ),
        (
            "Dos paneles frente al paso temporal. Arriba, la sensibilidad del estado a la primera entrada, que "
            "cae de izquierda a derecha; abajo, el gradiente de una pérdida en el último estado, que cae de "
            "derecha a izquierda. En cada red las pendientes se parecen."
        ),
    ),
    "information_flow.both.caption": Text(
        (
            "The same networks, both ways. What does not arrive at t on the way forward cannot be told; what "
            "does not come back to t cannot be learnt."
        ),
        (
            "Las mismas redes, en ambos sentidos. Lo que hacia delante no llega a t no se puede decir; lo que "
            "hacia atrás no vuelve a t no se puede aprender."
        ),
    ),
    "name.information_flow": Text(
        "what the state still knows of the first input", "lo que el estado aún sabe de la primera entrada"
    ),
}
