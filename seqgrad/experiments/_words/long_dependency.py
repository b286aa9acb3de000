"""What the long-dependency experiment claims and says."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "dependency.distance",
        line=167,
        item=4,
        expected=6,
        relation="absolute",
        en="In the example the verb's gender depends on a subject seven words away.",
        es="En el ejemplo, el género del verbo depende de un sujeto a siete palabras.",
        right_en=(
            "Read word by word, “was” comes six words after “cat”. And was/were agree in number; English "
            "verbs have no gender."
        ),
        right_es=(
            "Palabra a palabra, «was» llega seis después de «cat». Y was/were concuerdan en número; el "
            "verbo inglés no tiene género."
        ),
    ),
    spec(
        "dependency.rnn_10",
        line=195,
        item=4,
        expected=0.9,
        relation="at_least",
        en="A vanilla RNN reaches 95 % at length 10 (mean accuracy).",
        es="Una RNN simple llega al 95 % con longitud 10 (acierto medio).",
    ),
    spec(
        "dependency.all_or_nothing",
        line=196,
        item=4,
        expected=0.35,
        relation="at_most",
        en="Accuracy falls off gradually with length.",
        es="El acierto cae poco a poco con la longitud.",
        right_en=(
            "Seed by seed it is nearly all or nothing. At length 20, this share of seeds lies between 60 % "
            "and 90 %; the others have learnt or are at chance. Read success rates, not averages."
        ),
        right_es=(
            "Semilla a semilla es casi todo o nada. Con longitud 20, esta parte de las semillas queda entre "
            "el 60 % y el 90 %; las demás han aprendido o están en el azar. Conviene leer tasas de éxito, "
            "no medias."
        ),
    ),
    spec(
        "dependency.rnn_50",
        line=196,
        item=4,
        expected=0.5,
        relation="absolute",
        tolerance=0.08,
        en="A vanilla RNN reaches 60 % at length 50.",
        es="Una RNN simple llega al 60 % con longitud 50.",
        right_en="In 300 training steps it reaches chance: at this length the cliff is already behind.",
        right_es=("En 300 pasos de entrenamiento se queda en el azar: con esta longitud el precipicio ya quedó atrás."),
    ),
    spec(
        "dependency.rnn_100",
        line=197,
        item=4,
        expected=0.5,
        relation="absolute",
        tolerance=0.06,
        en=(
            "A vanilla RNN is at chance at length 100, although its gradients are clipped: clipping does not cure "
            "vanishing."
        ),
        es=("Una RNN simple queda en el azar con longitud 100 pese al recorte: recortar no cura el desvanecimiento."),
    ),
    spec(
        "dependency.rnn_orthogonal",
        line=132,
        item=3,
        expected=0.8,
        relation="at_least",
        en="Careful initialisation alone lets a vanilla RNN learn length 100 (success rate).",
        es="Solo con una inicialización cuidadosa, una RNN simple aprende longitud 100 (tasa de éxito).",
    ),
    spec(
        "dependency.lstm_default",
        line=240,
        item=5,
        expected=0.2,
        relation="at_most",
        en="An LSTM learns what a vanilla RNN cannot (success rate at length 100).",
        es="Una LSTM aprende lo que una RNN simple no puede (tasa de éxito con longitud 100).",
        right_en=(
            "Not by its architecture alone: with torch's default biases and 300 training steps it does not "
            "learn length 100."
        ),
        right_es=(
            "No solo por su arquitectura: con los sesgos por defecto de torch y 300 pasos no aprende la longitud 100."
        ),
    ),
    spec(
        "dependency.gru_default",
        line=240,
        item=5,
        expected=0.2,
        relation="at_most",
        en="A GRU learns what a vanilla RNN cannot (success rate at length 100).",
        es="Una GRU aprende lo que una RNN simple no puede (tasa de éxito con longitud 100).",
        right_en="Nor does the default GRU, in these 300 steps.",
        right_es="Tampoco la GRU por defecto, en esos 300 pasos.",
    ),
    spec(
        "dependency.lstm_chrono",
        line=249,
        item=5,
        expected=0.8,
        relation="at_least",
        en="With its gates told how long to keep (chrono biases), the LSTM learns length 100 (success rate).",
        es="Si los sesgos le dicen cuánto guardar (chrono), la LSTM aprende longitud 100 (tasa de éxito).",
    ),
    spec(
        "dependency.gru_chrono",
        line=248,
        item=5,
        expected=0.8,
        relation="at_least",
        en="So does the GRU with chrono biases (success rate).",
        es="También la GRU con sesgos chrono (tasa de éxito).",
    ),
)

TEXTS: dict[str, Text] = {
    "dependency.chance": Text("chance", "azar"),
    "long_dependency.accuracy.alt": Text(
        (
            "Accuracy against sequence length, a dot per seed, for RNN, GRU and LSTM. Success rates over {seeds} "
            "seeds: {table_plain}."
        ),
        (
            "Acierto frente a la longitud de la secuencia, un punto por semilla, para RNN, GRU y LSTM. Tasas de "
            "éxito con {seeds} semillas: {table_plain}."
        ),
    ),
    "long_dependency.cures.alt": Text(
        (
            "Accuracy against sequence length for the same networks with a better start, a dot per seed. Success "
            "rates over {seeds} seeds: {table_cured}."
        ),
        (
            "Acierto frente a la longitud de la secuencia para las mismas redes con un mejor comienzo, un punto por "
            "semilla. Tasas de éxito con {seeds} semillas: {table_cured}."
        ),
    ),
    "long_dependency.accuracy.caption": Text(
        (
            "H={hidden}, Adam at {rate:n}, clipped to norm {clip:n}, {steps} training steps of 32 fresh samples, "
            "tested on 1000 more; built anew for each of {seeds} seeds. Above each group: seeds that reach 90 %."
        ),
        (
            "H={hidden}, Adam a {rate:n}, recorte a norma {clip:n}, {steps} pasos de entrenamiento con 32 muestras "
            "nuevas, prueba con otras 1000; la red se construye de nuevo para cada una de las {seeds} semillas. "
            "Sobre cada grupo: semillas que llegan al 90 %."
        ),
    ),
    "long_dependency.cures.caption": Text(
        "The same task, data and budget. Only the initial weights and biases differ.",
        "La misma tarea, datos y presupuesto. Solo cambian los pesos y sesgos iniciales.",
    ),
    "name.long_dependency": Text("remember the first element", "recordar el primer elemento"),
}
