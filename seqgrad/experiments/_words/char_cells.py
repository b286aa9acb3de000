"""What the character models of all cells claim and say.

Bounds come from five seeds (0 to 4): RNN 2.14-2.20 bits, GRU 1.96-2.00, LSTM 2.08-2.12, residual RNN 8-58, scaled by
0.1 3.52-3.57, the table of letter pairs 3.34; horizons untrained 10-14, trained RNN 17-20, GRU 99, LSTM 20-28.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "chars.bigrams",
        expected=0.9,
        relation="at_least",
        en="RNN, GRU and LSTM need fewer bits per character than a table of letter pairs (the least that one saves).",
        es=(
            "RNN, GRU y LSTM necesitan menos bits por carácter que una tabla de pares de letras (lo menos que ahorra "
            "una)."
        ),
    ),
    spec(
        "chars.horizon",
        expected=1.2,
        relation="at_least",
        en="Training moves the gradient horizon of all three back (trained over untrained, the smallest).",
        es="Al entrenar, el horizonte de gradiente de las tres retrocede (entrenada entre sin entrenar, el menor).",
    ),
    spec(
        "chars.gru",
        expected=0.05,
        relation="at_least",
        en="The LSTM, which has the most gates, spells best (its bits per character beyond the GRU's).",
        es="La LSTM, que tiene más puertas, deletrea mejor (sus bits por carácter por encima de los de la GRU).",
        right_en=(
            "With torch's biases and this budget the GRU needs fewer bits in every seed, and its horizon opens to the "
            "first character of the window while the LSTM's opens to about a quarter of it."
        ),
        right_es=(
            "Con los sesgos de torch y este presupuesto, la GRU necesita menos bits con cada semilla, y su horizonte "
            "se abre hasta el primer carácter de la ventana; el de la LSTM, hasta más o menos un cuarto."
        ),
    ),
    spec(
        "chars.residual",
        expected=0.1,
        relation="at_least",
        en="A gradient that never vanishes is enough (bits of the better residual RNN beyond the letter pairs').",
        es=(
            "Basta con que el gradiente no se desvanezca (bits de la mejor RNN residual por encima de la tabla de "
            "pares de letras)."
        ),
        right_en=(
            "The residual RNN's reaches every character of the window, and it spells worse than the table, with "
            "residual_scale=0.1 too: it adds to its state at every step and has no gate to forget with."
        ),
        right_es=(
            "El de la RNN residual llega a todos los caracteres de la ventana, y deletrea peor que la tabla, también "
            "con residual_scale=0.1: en cada paso suma a su estado y no tiene puerta con que olvidar."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "name.char_cells": Text("a character model of every cell", "un modelo de caracteres con cada célula"),
    "char_cells.text": Text("windows of 100 characters", "ventanas de 100 caracteres"),
    "char_cells.reference": Text("table of letter pairs", "tabla de pares de letras"),
    "char_cells.outcome.alt": Text(
        (
            "Bits per character on held-out text, a dot per seed. Medians, with the horizon before and after training "
            "in brackets: {table}. The table of letter pairs needs {bigram:n}."
        ),
        (
            "Bits por carácter en texto no visto, un punto por semilla. Medianas y, entre paréntesis, el horizonte "
            "antes y después de entrenar: {table}. La tabla de pares de letras necesita {bigram:n}."
        ),
    ),
    "char_cells.outcome.caption": Text(
        (
            "H={hidden}, windows of {length} characters, Adam at {rate:n}, clipped to norm 1, {updates} updates; "
            "{seeds} seeds, the bar is their median. Text: {origin}, the last tenth held out and read in such windows. "
            "Read on without a break, the medians are: {long}."
        ),
        (
            "H={hidden}, ventanas de {length} caracteres, Adam a {rate:n}, recorte a norma 1, {updates} pasos de "
            "entrenamiento; {seeds} semillas, la barra es su mediana. Texto (en inglés): {origin}; la última décima "
            "parte queda aparte y se lee en ventanas iguales. Si se lee seguido, las medianas son: {long}."
        ),
    ),
    "char_cells.reach.alt": Text(
        (
            "Gradient of a window's last character against the steps back in the median window, dashed untrained, "
            "solid trained. Bits per character, with the horizon before and after training in brackets: {table}."
        ),
        (
            "Gradiente del último carácter de una ventana según los pasos hacia atrás, en la ventana mediana: "
            "discontinua sin entrenar, continua entrenada. Bits por carácter y, entre paréntesis, el horizonte antes y "
            "después de entrenar: {table}."
        ),
    ),
    "char_cells.reach.caption": Text(
        (
            "The probe's loss reads the last character alone, in 64 held-out windows; of the LSTM ∂L/∂c, of the others "
            "∂L/∂h. Median over windows, then over {seeds} seeds."
        ),
        (
            "La pérdida de la sonda mira solo el último carácter de 64 ventanas no vistas; en la LSTM ∂L/∂c, en las "
            "demás ∂L/∂h. Mediana de las ventanas y después de {seeds} semillas."
        ),
    ),
}
