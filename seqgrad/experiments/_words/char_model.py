"""What the character model claims and says."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "char.beats_bigrams",
        line=None,
        item=5,
        expected=0.05,
        relation="at_least",
        en="On real text the LSTM beats a table of letter pairs (bits per character saved on held-out text).",
        es=(
            "Con texto real, la LSTM supera a una tabla de pares de letras (bits por carácter ahorrados en texto "
            "no visto)."
        ),
    ),
    spec(
        "char.horizon_moves",
        line=None,
        item=5,
        expected=1.1,
        relation="at_least",
        en="As it learns, its gradient horizon moves further back (last over first).",
        es="Al aprender, su horizonte de gradiente retrocede más (último entre primero).",
    ),
)

TEXTS: dict[str, Text] = {
    "char.train": Text("training windows", "ventanas de entrenamiento"),
    "char.held_out": Text("held-out text", "texto no visto"),
    "char.bigram": Text("table of letter pairs", "tabla de pares de letras"),
    "char.step": Text("step", "paso"),
    "char.faint": Text("a thousandth: the horizon", "una milésima: el horizonte"),
    "char_model.learning.alt": Text(
        (
            "Bits per character by training step. On held-out text they fall from {bits_first:n} to {bits:n}; the "
            "table of letter pairs stands at {bigram:n}."
        ),
        (
            "Bits por carácter según el paso de entrenamiento. En texto no visto bajan de {bits_first:n} a {bits:n}; "
            "la tabla de pares de letras queda en {bigram:n}."
        ),
    ),
    "char_model.horizon.alt": Text(
        (
            "Gradient of the cell state at every timestep in the median window, one line per stage of training. "
            "Untrained it stays above a thousandth for {horizon_first} steps back; after {steps} training steps for "
            "{horizon_last}."
        ),
        (
            "Gradiente del estado de celda en cada paso temporal en la ventana mediana, una línea por etapa del "
            "entrenamiento. Sin entrenar se mantiene sobre una milésima {horizon_first} pasos atrás; tras {steps} "
            "pasos de entrenamiento, {horizon_last}."
        ),
    ),
    "char_model.learning.caption": Text(
        (
            "LSTM, H={hidden}, windows of {length} characters, Adam at {rate:n}. Text: {origin}, {characters} "
            "characters, the last tenth held out. One seed."
        ),
        (
            "LSTM, H={hidden}, ventanas de {length} caracteres, Adam a {rate:n}. Texto (en inglés): {origin}, "
            "{characters} caracteres; la última décima parte queda aparte. Una semilla."
        ),
    ),
    "char_model.horizon.caption": Text(
        (
            "The probe's loss reads the last character alone; the curve is the median of 64 held-out windows. With a "
            "loss at every step each timestep would be fed directly, and how far the gradient travels could not be "
            "seen."
        ),
        (
            "La pérdida de la sonda mira solo el último carácter; la curva es la mediana de 64 ventanas no vistas. "
            "Con una pérdida en cada paso, todos recibirían gradiente directo y no se vería hasta dónde viaja."
        ),
    ),
    "name.char_model": Text("a character model on a real text", "un modelo de caracteres con texto real"),
}
