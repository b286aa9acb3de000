"""Labels that several experiments share: axes, set-ups, networks."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "lang": Text("en", "es"),
    "axis.t": Text("timestep t", "paso temporal t"),
    "axis.lag": Text("steps back from the end", "pasos hacia atrás desde el final"),
    "axis.relative": Text("gradient, relative to the last step", "gradiente, relativo al último paso"),
    "axis.relative_c": Text("‖∂L/∂c$_t$‖, relative to the last step", "‖∂L/∂c$_t$‖, relativo al último paso"),
    "axis.loss": Text("training loss", "pérdida de entrenamiento"),
    "axis.step": Text("training step", "paso de entrenamiento"),
    "axis.length": Text("length of the sequence", "longitud de la secuencia"),
    "axis.accuracy": Text("accuracy on fresh data", "acierto con datos nuevos"),
    "axis.bits": Text("bits per character", "bits por carácter"),
    "setup.rnn": Text("RNN, default", "RNN, por defecto"),
    "setup.rnn_orthogonal": Text("RNN, orthogonal W$_{hh}$", "RNN, W$_{hh}$ ortogonal"),
    "setup.rnn_orthogonal_zero_bias": Text("RNN, orthogonal, zero biases", "RNN, ortogonal, sesgos a cero"),
    "setup.residual": Text("residual RNN", "RNN residual"),
    "setup.gru": Text("GRU, default", "GRU, por defecto"),
    "setup.lstm": Text("LSTM (∂L/∂c), default", "LSTM (∂L/∂c), por defecto"),
    "setup.lstm_forget_one": Text("LSTM (∂L/∂c), forget bias 1", "LSTM (∂L/∂c), sesgo de olvido 1"),
    "setup.lstm_forget_99": Text("LSTM (∂L/∂c), forget gate 0.99", "LSTM (∂L/∂c), puerta de olvido 0,99"),
    "network.rnn": Text("RNN", "RNN"),
    "network.gru": Text("GRU", "GRU"),
    "network.lstm": Text("LSTM", "LSTM"),
    "network.rnn_orthogonal": Text("RNN, orthogonal, zero biases", "RNN, ortogonal, sesgos a cero"),
    "network.gru_chrono": Text("GRU, chrono biases", "GRU, sesgos chrono"),
    "network.lstm_chrono": Text("LSTM, chrono biases", "LSTM, sesgos chrono"),
}
