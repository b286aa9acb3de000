"""What the vowels experiment claims and says.

Bounds come from five seeds (0 to 4): single accuracies 0.88-0.95, horizons untrained 10-16 and trained 18-28 but for
the residual RNN (28 throughout). The two forms are one formula: rounding alone may part them.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "vowels.same",
        expected=1e-12,
        relation="at_most",
        en=(
            "A PackedSequence and a padded batch with lengths= give the same gradients (largest relative difference, "
            "float64, every cell)."
        ),
        es=(
            "Un PackedSequence y un lote rellenado con lengths= dan los mismos gradientes (mayor diferencia relativa, "
            "float64, todas las células)."
        ),
    ),
    spec(
        "vowels.learnt",
        expected=0.87,
        relation="at_least",
        en="Every cell tells nine speakers apart by utterances of 7 to 29 timesteps (the lowest median accuracy).",
        es="Toda célula distingue a nueve hablantes con emisiones de 7 a 29 pasos (el menor acierto mediano).",
    ),
    spec(
        "vowels.horizon",
        expected=1.3,
        relation="at_least",
        en="Training moves the gradient horizon of RNN, GRU and LSTM back (trained over untrained, the smallest).",
        es=(
            "Al entrenar, el horizonte de gradiente de RNN, GRU y LSTM retrocede (entrenada entre sin entrenar, el "
            "menor)."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "name.vowels": Text("speakers by their vowels, ragged batches", "hablantes por sus vocales, lotes desiguales"),
    "vowels.vowels": Text("JapaneseVowels, T=7–29", "JapaneseVowels, T=7–29"),
    "vowels.outcome.alt": Text(
        (
            "Accuracy on test utterances, a dot per seed. Medians, with the horizon before and after training in "
            "brackets: {table}."
        ),
        (
            "Acierto con emisiones de prueba, un punto por semilla. Medianas y, entre paréntesis, el horizonte antes y "
            "después de entrenar: {table}."
        ),
    ),
    "vowels.outcome.caption": Text(
        (
            "H={hidden}, Adam at {rate:n}, clipped to norm 1, {updates} updates of 32 of 270 utterances in packed "
            "batches, 370 to test; {seeds} seeds, the bar is their median. Initialised as torch does."
        ),
        (
            "H={hidden}, Adam a {rate:n}, recorte a norma 1, {updates} pasos de entrenamiento con 32 de 270 emisiones "
            "en lotes empaquetados, 370 de prueba; {seeds} semillas, la barra es su mediana. Inicializadas como hace "
            "torch."
        ),
    ),
    "vowels.reach.alt": Text(
        (
            "Gradient of the median test utterance against the steps back from its own end, dashed untrained, solid "
            "trained. Accuracy, with the horizon before and after training in brackets: {table}."
        ),
        (
            "Gradiente de la emisión mediana de prueba según los pasos hacia atrás desde su propio final: discontinua "
            "sin entrenar, continua entrenada. Acierto y, entre paréntesis, el horizonte antes y después de entrenar: "
            "{table}."
        ),
    ),
    "vowels.reach.caption": Text(
        (
            "Counted back from each utterance's own end; at each distance the median of the utterances that long, so "
            "the far end rests on few. Of the LSTM ∂L/∂c, of the others ∂L/∂h. Median over {seeds} seeds."
        ),
        (
            "Contado hacia atrás desde el final de cada emisión; a cada distancia, la mediana de las que llegan, así "
            "que el extremo lejano se apoya en pocas. En la LSTM ∂L/∂c, en las demás ∂L/∂h. Mediana de {seeds} "
            "semillas."
        ),
    ),
}
