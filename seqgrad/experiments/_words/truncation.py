"""What the truncation experiment claims and says.

Tolerances: five seeds at T=50. With the whole gradient both networks learnt in all of them (0.97-0.99); cut at 5 or 25
the chrono LSTM was at chance (0.49-0.53), the orthogonal RNN between 0.61 and 0.86: one lucky seed is let pass.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "truncation.zero",
        line=146,
        item=3,
        expected=0,
        relation="absolute",
        en="Beyond the cut the gradient is exactly 0 (largest norm found there).",
        es="Más allá del corte el gradiente es exactamente 0 (mayor norma hallada allí).",
    ),
    spec(
        "truncation.whole",
        line=146,
        item=3,
        expected=0,
        relation="absolute",
        en="A cut at the sequence's length or later changes nothing, to the last bit (largest difference).",
        es="Un corte en la longitud de la secuencia o más allá no cambia nada, ni un bit (mayor diferencia).",
    ),
    spec(
        "truncation.loop",
        line=150,
        item=3,
        expected=1e-12,
        relation="at_most",
        en="truncate=k is the lesson's loop of chunks with detach, in one call (relative distance of the gradients).",
        es="truncate=k es el bucle de trozos con detach de la lección, en una llamada (distancia relativa).",
    ),
    spec(
        "truncation.sample",
        line=150,
        item=3,
        expected=3,
        relation="absolute",
        en="The loop of chunks trains a network.",
        es="El bucle de trozos entrena una red.",
        right_en=(
            "Its idea, detach between chunks, is exactly right; as a sample it is not yet whole. It needs a loss "
            "for every chunk, zero_grad and step, and an LSTM's state is a pair, which has no detach. Of these "
            "three, so many were met when it was run as it stands:"
        ),
        right_es=(
            "La idea, detach entre trozos, es exactamente la correcta; como ejemplo aún no está completo. Le "
            "faltan una pérdida por trozo, zero_grad y step, y el estado de una LSTM es un par, que no tiene "
            "detach. De estos tres tropiezos, al ejecutarlo tal cual aparecieron:"
        ),
    ),
    spec(
        "truncation.learns_whole",
        line=146,
        item=3,
        expected=0.8,
        relation="at_least",
        en="With the whole gradient, good starts learn the lesson's task at length 50 (lowest success rate).",
        es="Con el gradiente entero, los buenos comienzos aprenden la tarea con longitud 50 (menor tasa de éxito).",
    ),
    spec(
        "truncation.learns_cut",
        line=146,
        item=3,
        expected=0.2,
        relation="at_most",
        en="Limiting the length of backprop is a mitigation.",
        es="Limitar la longitud de la retropropagación es una mitigación.",
        right_en=(
            "Of memory and time, yes; not of forgetting. With the label at the end and chunks shorter than the "
            "sequence no gradient crosses the silence, and the same networks no longer learn the task. Best "
            "success rate:"
        ),
        right_es=(
            "De memoria y tiempo, sí; no del olvido. Con la etiqueta al final y trozos más cortos que la "
            "secuencia, ningún gradiente cruza el silencio, y las mismas redes ya no aprenden la tarea. Mejor "
            "tasa de éxito:"
        ),
    ),
    spec(
        "truncation.reservoir",
        line=146,
        item=4,
        expected=0.75,
        relation="absolute",
        tolerance=0.13,
        en=(
            "What is cut is the gradient, not the state: an orthogonal RNN still carries the signal forward, and "
            "its output layer alone guesses better than chance (median accuracy at the shortest cut)."
        ),
        es=(
            "Se corta el gradiente, no el estado: una RNN ortogonal sigue llevando la señal hacia delante, y su "
            "capa de salida sola acierta más que el azar (acierto mediano con el corte más corto)."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "truncation.axis": Text(
        "chunk size k (the last: the whole sequence)", "tamaño k del trozo (el último: toda la secuencia)"
    ),
    "truncation.zero": Text("exactly 0", "exactamente 0"),
    "truncation.cut.alt": Text(
        (
            "Gradient at every timestep, logarithmic, for chunk sizes {sizes}. Each curve is the same up to its "
            "cut and exactly zero before it; with k = {short} it starts at step {cut}."
        ),
        (
            "Gradiente en cada paso temporal, logarítmico, con trozos de {sizes}. Cada curva es la misma hasta "
            "su corte y exactamente cero antes; con k = {short} empieza en el paso {cut}."
        ),
    ),
    "truncation.cut.caption": Text(
        (
            "A tanh RNN that keeps its gradient (orthogonal W_hh, zero biases), H={hidden}, T={length}, signal at t=1, "
            "loss on the last state, truncate=k. Rings: exactly zero."
        ),
        (
            "Una RNN tanh que conserva su gradiente (W_hh ortogonal, sesgos a cero), H={hidden}, T={length}, "
            "señal en t=1, pérdida en el último estado, truncate=k. Anillos: exactamente cero."
        ),
    ),
    "truncation.learning.alt": Text(
        (
            "Accuracy of two networks by chunk size, a dot per seed, on a label at the end of {length} steps. "
            "Success rates: {table}."
        ),
        (
            "Acierto de dos redes según el tamaño del trozo, un punto por semilla, con la etiqueta al final de "
            "{length} pasos. Tasas de éxito: {table}."
        ),
    ),
    "truncation.learning.caption": Text(
        (
            "The lesson's task at T={length}, H={hidden}, Adam at 0.001, clip 1, {steps} steps of 32 samples, "
            "{seeds} seeds, tested on 1000 fresh samples. Above each group: seeds that reach 90 %."
        ),
        (
            "La tarea de la lección con T={length}, H={hidden}, Adam a 0,001, recorte 1, {steps} pasos de 32 "
            "muestras, {seeds} semillas, prueba con 1000 muestras nuevas. Sobre cada grupo: semillas que llegan "
            "al 90 %."
        ),
    ),
    "name.truncation": Text("truncated BPTT", "BPTT truncado"),
}
