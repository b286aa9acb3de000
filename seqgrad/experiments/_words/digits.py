"""What the digits experiment claims and says.

Bounds come from five seeds (0 to 4): single seeds by row 0.92-0.98 but for the residual RNN (0.85-0.89), by pixel
0.62-0.79 and permuted 0.73-0.84 but for the residual RNN (0.20-0.31), which scaled by 0.1 reaches 0.75-0.76 by row and
0.36-0.50 by pixel; untrained horizons by pixel 11-14, trained 63.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "digits.rows",
        expected=0.92,
        relation="at_least",
        en="Read row by row, in 8 timesteps, the digits are easy for RNN, GRU and LSTM (the lowest median accuracy).",
        es=("Leídos fila a fila, en 8 pasos, los dígitos son fáciles para RNN, GRU y LSTM (el menor acierto mediano)."),
    ),
    spec(
        "digits.pixels",
        expected=0.08,
        relation="at_least",
        en="The same images cost accuracy when they come pixel by pixel, in 64 timesteps (median over the three).",
        es="Las mismas imágenes cuestan acierto píxel a píxel, en 64 pasos (mediana de las tres).",
    ),
    spec(
        "digits.horizon",
        expected=3,
        relation="at_least",
        en="Training moves the gradient horizon of RNN, GRU and LSTM far back (trained over untrained, the smallest).",
        es=(
            "Al entrenar, el horizonte de gradiente de RNN, GRU y LSTM retrocede mucho (entrenada entre sin entrenar, "
            "el menor)."
        ),
    ),
    spec(
        "digits.permuted",
        expected=0.0,
        relation="absolute",
        tolerance=0.08,
        en="Permuted pixels are harder than pixels in order (accuracy lost, median over RNN, GRU and LSTM).",
        es="Los píxeles permutados son más difíciles que en orden (acierto perdido, mediana de RNN, GRU y LSTM).",
        right_en=(
            "So it is told of 784 pixels. With 64 pixels and this budget the order makes no difference that five "
            "seeds would show, and the RNN likes it better permuted."
        ),
        right_es=(
            "Eso se cuenta de 784 píxeles. Con 64 y este presupuesto, el orden no supone una diferencia que cinco "
            "semillas muestren, y la RNN los prefiere permutados."
        ),
    ),
    spec(
        "digits.residual",
        expected=0.4,
        relation="at_most",
        en="A gradient that reaches the first timestep is enough to learn (accuracy of the residual RNN, by pixel).",
        es="Basta con que el gradiente llegue al primer paso para aprender (acierto de la RNN residual, por píxel).",
        right_en=(
            "The residual RNN's gradient reaches it untrained, a thousand times larger than at the end: its state adds "
            "up all that it reads and forgets nothing, and it learns least of all. Scaled by 0.1 it does better."
        ),
        right_es=(
            "El de la RNN residual llega sin entrenar, mil veces mayor que al final: su estado suma todo lo que lee y "
            "no olvida nada, y es la que menos aprende. Con escala 0,1 le va mejor."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "name.digits": Text("handwritten digits as sequences", "dígitos manuscritos como secuencias"),
    "digits.row": Text("by row, T=8", "por fila, T=8"),
    "digits.pixel": Text("by pixel, T=64", "por píxel, T=64"),
    "digits.permuted": Text("permuted, T=64", "permutados, T=64"),
    "digits.outcome.alt": Text(
        (
            "Accuracy on test images by order of reading, a dot per seed. Medians, with the horizon before and after "
            "training in brackets: {table}."
        ),
        (
            "Acierto con imágenes de prueba según el orden de lectura, un punto por semilla. Medianas y, entre "
            "paréntesis, el horizonte antes y después de entrenar: {table}."
        ),
    ),
    "digits.outcome.caption": Text(
        (
            "H={hidden}, Adam at {rate:n}, clipped to norm 1, {updates} updates of 32 of 1347 images, 450 to test; "
            "{seeds} seeds, the bar is their median. Initialised as torch does."
        ),
        (
            "H={hidden}, Adam a {rate:n}, recorte a norma 1, {updates} pasos de entrenamiento con 32 de 1347 imágenes, "
            "450 de prueba; {seeds} semillas, la barra es su mediana. Inicializadas como hace torch."
        ),
    ),
    "digits.reach.alt": Text(
        (
            "Gradient of the median test image against the steps back, dashed untrained, solid trained, a panel per "
            "order of reading. Accuracy, with the horizon before and after training in brackets: {table}."
        ),
        (
            "Gradiente de la imagen mediana de prueba según los pasos hacia atrás: discontinua sin entrenar, continua "
            "entrenada; un panel por orden de lectura. Acierto y, entre paréntesis, el horizonte antes y después de "
            "entrenar: {table}."
        ),
    ),
    "digits.reach.caption": Text(
        (
            "The loss of 64 test images; of the LSTM ∂L/∂c, of the others ∂L/∂h. Median over images, then over {seeds} "
            "seeds."
        ),
        (
            "La pérdida de 64 imágenes de prueba; en la LSTM ∂L/∂c, en las demás ∂L/∂h. Mediana de las imágenes y "
            "después de {seeds} semillas."
        ),
    ),
}
