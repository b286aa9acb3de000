"""Labels of the experiments that set cells side by side on real data."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "cell.rnn": Text("RNN", "RNN"),
    "cell.gru": Text("GRU", "GRU"),
    "cell.lstm": Text("LSTM", "LSTM"),
    "cell.residual": Text("residual RNN", "RNN residual"),
    "cell.residual_scaled": Text("residual RNN, scale 0.1", "RNN residual, escala 0,1"),
    "comparison.accuracy": Text("accuracy on the test set", "acierto en el conjunto de prueba"),
    "comparison.bits": Text("bits per character, held-out text", "bits por carácter, texto no visto"),
    "comparison.before": Text("untrained", "sin entrenar"),
    "comparison.after": Text("trained", "entrenada"),
    "comparison.faint": Text("a thousandth: the horizon", "una milésima: el horizonte"),
}
