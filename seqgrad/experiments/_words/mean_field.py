"""What the mean-field experiment claims and says.

Tolerances: at H=400 three seeds of each gain lay within 2 % of the law; five seeds of the starts gave .574 to .611
(RNN), .632 to .669 (GRU), .626 to .653 (LSTM) and .860 to .879 (LSTM with forget bias 1).
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "field.growth",
        expected=0.05,
        relation="at_most",
        en=(
            "The mean squared gradient of a random tanh RNN grows by χ = g² E[sech⁴] per step back (worst "
            "relative error)."
        ),
        es=(
            "El gradiente cuadrático medio de una RNN tanh al azar crece χ = g² E[sech⁴] por paso (peor error "
            "relativo)."
        ),
    ),
    spec(
        "field.crossing",
        expected=1.0,
        relation="relative",
        tolerance=0.05,
        en="Growth passes 1 at the gain where χ does (measured over predicted).",
        es="El crecimiento pasa por 1 con la misma ganancia que χ (medido entre predicho).",
    ),
    spec(
        "field.rnn",
        expected=0.577,
        relation="relative",
        tolerance=0.07,
        en="torch's default RNN loses the factor 1/√3 = 0.577 per step back.",
        es="La RNN por defecto de torch pierde un factor 1/√3 = 0,577 por paso hacia atrás.",
    ),
    spec(
        "field.gru",
        expected=0.644,
        relation="relative",
        tolerance=0.05,
        en="torch's default GRU loses the factor 1/2 + 1/(4√3) = 0.644 per step back.",
        es="La GRU por defecto de torch pierde un factor 1/2 + 1/(4√3) = 0,644 por paso hacia atrás.",
    ),
    spec(
        "field.lstm",
        expected=0.644,
        relation="relative",
        tolerance=0.05,
        en="torch's default LSTM loses the same factor of 0.644 per step in ∂L/∂c.",
        es="La LSTM por defecto de torch pierde el mismo factor de 0,644 por paso en ∂L/∂c.",
    ),
    spec(
        "field.lstm_forget_one",
        expected=0.875,
        relation="relative",
        tolerance=0.03,
        en="With a forget bias of 1 the LSTM loses 0.875 per step in ∂L/∂c.",
        es="Con un sesgo de olvido de 1, la LSTM pierde 0,875 por paso en ∂L/∂c.",
    ),
    spec(
        "field.untied",
        expected=1.15,
        relation="at_least",
        en="Theory may take fresh random weights at every step (LSTM, measured over predicted).",
        es="La teoría puede suponer pesos nuevos al azar en cada paso (LSTM, medido entre predicho).",
        right_en=(
            "For the tanh RNN it may. For gated cells it foretells √(f² + (io g)²) = 0.520 per step, too little: the "
            "same matrix at every step makes it f + io g = 0.644."
        ),
        right_es=(
            "En la RNN tanh puede. En celdas con puertas predice √(f² + (io g)²) = 0,520 por paso, demasiado poco: la "
            "misma matriz en cada paso da f + io g = 0,644."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "name.mean_field": Text("gradient growth by mean-field theory", "crecimiento del gradiente según el campo medio"),
    "field.axis.gain": Text("gain g of W$_{hh}$", "ganancia g de W$_{hh}$"),
    "field.axis.growth": Text("growth of ‖∂L/∂h‖² per step back", "crecimiento de ‖∂L/∂h‖² por paso"),
    "field.axis.factor": Text("factor of the norm per step back", "factor de la norma por paso"),
    "field.theory": Text("theory, χ", "teoría, χ"),
    "field.measured": Text("measured, a dot per seed", "medido, un punto por semilla"),
    "field.neither": Text("neither vanishes nor explodes", "ni se desvanece ni explota"),
    "field.tied": Text("theory, one W for all steps", "teoría, la misma W siempre"),
    "field.untied": Text("theory, a fresh W at every step", "teoría, W nueva en cada paso"),
    "field.start.rnn": Text("RNN", "RNN"),
    "field.start.gru": Text("GRU", "GRU"),
    "field.start.lstm": Text("LSTM (∂L/∂c)", "LSTM (∂L/∂c)"),
    "field.start.lstm_forget_one": Text("LSTM, forget\nbias 1", "LSTM, sesgo\nde olvido 1"),
    "mean_field.gains.caption": Text(
        (
            "Random tanh RNNs, H={width}, weights N(0, g²/H), every unit hears noise of standard deviation {drive:n}; "
            "growth over the last {lags} steps, {batch} sequences, {seeds} seeds, no training. It passes 1 at g = "
            "{crossing:n}, by theory at {crossing_theory:n}."
        ),
        (
            "RNN tanh al azar, H={width}, pesos N(0, g²/H), cada unidad oye ruido de desviación típica {drive:n}; "
            "crecimiento en los últimos {lags} pasos, {batch} secuencias, {seeds} semillas, sin entrenar. Pasa por "
            "1 con g = {crossing:n}, según la teoría con {crossing_theory:n}."
        ),
    ),
    "mean_field.gains.alt": Text(
        (
            "The measured dots lie on the curve of theory, which rises with the gain and passes 1 at "
            "{crossing_theory:n}; the largest relative distance of a median is {error:n}."
        ),
        (
            "Los puntos medidos caen sobre la curva teórica, que sube con la ganancia y pasa por 1 en "
            "{crossing_theory:n}; la mayor distancia relativa de una mediana es {error:n}."
        ),
    ),
    "mean_field.starts.caption": Text(
        (
            "torch's initialisations, H=128, signal at t=1, loss on the last state, from lag 50 to 99, {seeds} "
            "seeds, no training. Gated cells need the theory with one matrix for all steps."
        ),
        (
            "Inicializaciones de torch, H=128, señal en t=1, pérdida en el último estado, del retardo 50 al 99, "
            "{seeds} semillas, sin entrenar. Las celdas con puertas exigen la teoría con una sola matriz."
        ),
    ),
    "mean_field.starts.alt": Text(
        (
            "Median factors per step: RNN {rnn:n}, GRU {gru:n}, LSTM {lstm:n}, LSTM with forget bias 1 "
            "{lstm_forget_one:n}. Theory with one matrix gives {lstm_tied:n} for the LSTM, with fresh ones "
            "{lstm_untied:n}."
        ),
        (
            "Factores medianos por paso: RNN {rnn:n}, GRU {gru:n}, LSTM {lstm:n}, LSTM con sesgo de olvido 1 "
            "{lstm_forget_one:n}. La teoría con una sola matriz da {lstm_tied:n} para la LSTM; con matrices nuevas, "
            "{lstm_untied:n}."
        ),
    ),
}
