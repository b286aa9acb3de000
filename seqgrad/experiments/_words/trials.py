"""Words that the field's training experiments share."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "network.irnn": Text("IRNN", "IRNN"),
    "network.lstm_forget_one": Text("LSTM, forget bias 1", "LSTM, sesgo de olvido 1"),
    "trials.goal": Text("counts as learnt", "cuenta como aprendido"),
    "trials.before": Text("before training", "antes de entrenar"),
    "trials.after": Text("after training", "tras entrenar"),
    "trials.never": Text("never", "nunca"),
    "trials.outcome.clause": Text(
        "{network}: {score:n}, {won} of {seeds} seeds", "{network}: {score:n}, {won} de {seeds} semillas"
    ),
    "trials.flow.clause": Text(
        "{network}: {ratio_before:n} before, {ratio_after:n} after training",
        "{network}: {ratio_before:n} antes, {ratio_after:n} tras entrenar",
    ),
    "trials.learning.clause": Text("{network}: {at}", "{network}: {at}"),
}
