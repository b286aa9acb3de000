"""What the comparison of cures claims and says.

Bounds come from the published table itself, ten seeds a place for the first element and five elsewhere, with room.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "cures.truncate",
        expected=0.1,
        relation="at_most",
        en="Truncated BPTT learns no dependency longer than its chunks, in any cell (highest success rate).",
        es=(
            "BPTT truncado no aprende en ninguna célula una dependencia más larga que sus trozos (la mayor tasa "
            "de éxito)."
        ),
    ),
    spec(
        "cures.clip_vanishing",
        expected=0.1,
        relation="at_most",
        en="Clipping helps with long sequences (highest success rate at T=100 of RNN, GRU and LSTM).",
        es="El recorte ayuda con secuencias largas (la mayor tasa de éxito con T=100 de RNN, GRU y LSTM).",
        right_en=(
            "Where the gradient vanishes, clipping changes neither its horizon nor the outcome: there is nothing "
            "to clip."
        ),
        right_es=(
            "Donde el gradiente se desvanece, recortar no cambia ni su horizonte ni el resultado: no hay nada que "
            "recortar."
        ),
    ),
    spec(
        "cures.clip_growing",
        expected=0.3,
        relation="at_least",
        en="Clipping helps where the gradient grows (success rate gained by the residual RNN at T=100).",
        es="El recorte ayuda donde el gradiente crece (tasa de éxito que gana la RNN residual con T=100).",
    ),
    spec(
        "cures.state_clip",
        expected=0.8,
        relation="at_least",
        en=(
            "Clipping the carried gradient inside the backward does so too (success rate of the residual RNN at T=100)."
        ),
        es=(
            "También recortar dentro de la retropropagación el gradiente que se transporta (tasa de éxito de la "
            "RNN residual con T=100)."
        ),
    ),
    spec(
        "cures.orthogonal",
        expected=0.8,
        relation="at_least",
        en="An orthogonal recurrent matrix and zero biases are enough for the RNN (success rate at T=100).",
        es="Una matriz recurrente ortogonal y sesgos a cero bastan a la RNN (tasa de éxito con T=100).",
    ),
    spec(
        "cures.orthogonal_pixels",
        expected=0.05,
        relation="at_least",
        en="They help it on real data too, pixel by pixel (accuracy gained over clipping alone).",
        es="También la ayudan con datos reales, píxel a píxel (acierto ganado frente al recorte solo).",
    ),
    spec(
        "cures.identity_pixels",
        expected=0.1,
        relation="at_least",
        en=("So does the identity with relu, whose gradient reaches as far (accuracy lost against clipping alone)."),
        es=(
            "Igual que la identidad con relu, cuyo gradiente llega tan lejos (acierto perdido frente al recorte solo)."
        ),
        right_en=(
            "Not at this learning rate, for none was sought for it: it learns the first element always, and the "
            "digits worse than the plain RNN."
        ),
        right_es=(
            "No con esta tasa de aprendizaje, que no se buscó para ella: aprende siempre el primer elemento, y "
            "los dígitos peor que la RNN simple."
        ),
    ),
    spec(
        "cures.forget_one",
        expected=0.2,
        relation="at_most",
        en=("A forget bias of 1 opens the gates for long dependencies (higher success rate of GRU and LSTM at T=100)."),
        es=(
            "Un sesgo de olvido de 1 abre las puertas a dependencias largas (la mayor tasa de éxito de GRU y LSTM "
            "con T=100)."
        ),
        right_en=(
            "To T=50 for the GRU, for some seeds of the LSTM; its horizon of 28 to 38 steps is not enough for 100."
        ),
        right_es=(
            "Hasta T=50 en la GRU y en algunas semillas de la LSTM; su horizonte de 28 a 38 pasos no basta para 100."
        ),
    ),
    spec(
        "cures.chrono",
        expected=0.8,
        relation="at_least",
        en="Chrono biases do, given T (lower success rate of GRU and LSTM at T=100).",
        es="Los sesgos chrono sí, si conocen T (la menor tasa de éxito de GRU y LSTM con T=100).",
    ),
    spec(
        "cures.chrono_price",
        expected=0.05,
        relation="at_least",
        en="Chrono biases cost nothing (bits per character lost in spelling, the smaller of GRU and LSTM).",
        es=("Los sesgos chrono no cuestan nada (bits por carácter perdidos al deletrear, lo menor entre GRU y LSTM)."),
        right_en=(
            "Where the near past matters most they cost: gates that start out keeping everything have to learn to "
            "let go."
        ),
        right_es=(
            "Donde importa más el pasado cercano, cuestan: unas puertas que empiezan guardándolo todo tienen que "
            "aprender a soltar."
        ),
    ),
    spec(
        "cures.omega",
        expected=0.2,
        relation="at_least",
        en=(
            "Pascanu’s Ω lets RNN, GRU and LSTM learn what they cannot with clipping alone (lowest success rate "
            "at T=100)."
        ),
        es=(
            "La Ω de Pascanu deja aprender a RNN, GRU y LSTM lo que con el recorte solo no pueden (la menor tasa "
            "de éxito con T=100)."
        ),
    ),
    spec(
        "cures.reaches",
        expected=0.9,
        relation="at_least",
        en=(
            "Networks whose gradient reaches the signal before training without growing tenfold learn (success rate "
            "at T=100, all cells and cures)."
        ),
        es=(
            "Las redes cuyo gradiente llega a la señal antes de entrenar sin crecer diez veces aprenden (tasa de éxito "
            "con T=100, todas las células y remedios)."
        ),
    ),
    spec(
        "cures.falls_short",
        expected=0.2,
        relation="at_most",
        en="Those whose gradient falls short of it do not, unless Ω moves it (their success rate).",
        es="Las redes en que no llega no aprenden, salvo que Ω lo empuje (su tasa de éxito).",
    ),
    spec(
        "cures.spelling",
        expected=0.2,
        relation="at_most",
        en=(
            "A longer horizon makes a better language model (most bits per character that a cure saves RNN, GRU "
            "or LSTM)."
        ),
        es=(
            "Un horizonte más largo hace mejor modelo de lenguaje (lo más que un remedio ahorra a RNN, GRU o "
            "LSTM, en bits por carácter)."
        ),
        right_en=(
            "With a loss at every character and this budget hardly: the next letter depends on the last few, "
            "which every gradient reaches."
        ),
        right_es=(
            "Con una pérdida en cada carácter y este presupuesto, apenas: la letra siguiente depende de las "
            "últimas, y hasta ahí llega todo gradiente."
        ),
    ),
)

TEXTS: dict[str, Text] = {
    "name.cures": Text("what each cure does, cell by cell", "qué hace cada remedio, célula a célula"),
    "cures.outcome.alt": Text(
        (
            "A table in shades for each task, cures by cells: seeds that learn, accuracy or bits per character. "
            "{networks} networks, {seeds_min} to {seeds_max} seeds a place. {shown}, with the horizon: {told}."
        ),
        (
            "Una tabla sombreada por tarea, remedios por células: semillas que aprenden, acierto o bits por carácter. "
            "{networks} redes, de {seeds_min} a {seeds_max} semillas por casilla. {shown}, con el horizonte: {told}."
        ),
    ),
    "cures.outcome.caption": Text(
        (
            "Seeds that learn (of {seeds_max}), else the median of {seeds_min}. Every network but “nothing” and "
            "“clipped at every timestep” is clipped to norm 1 besides; Adam, one learning rate a task, nothing tuned "
            "for any cell or cure. First element: H=32, Adam 0.001, 300 updates. Digits: H=64, 0.002, 800 updates. "
            "Spelling: H=64, 0.005, 300 updates. Brighter is better; † counts networks whose loss stopped being a "
            "number."
        ),
        (
            "Semillas que aprenden (de {seeds_max}); donde no, la mediana de {seeds_min}. Salvo «nada» y «recorte en "
            "cada t», toda red lleva además recorte a norma 1; Adam, una tasa de aprendizaje por tarea, "
            "nada ajustado a célula ni remedio. Primer elemento: H=32, Adam 0,001, 300 pasos de entrenamiento. "
            "Dígitos: H=64, 0,002, 800. Deletreo: H=64, 0,005, 300. Más claro es mejor; † cuenta las redes cuya "
            "pérdida dejó de ser un número."
        ),
    ),
    "cures.horizon.alt": Text(
        (
            "A table in shades for each task, cures by cells: how many steps back the gradient of the last timestep "
            "keeps a thousandth of its size, before and after training. {shown}, after the outcome: {told}."
        ),
        (
            "Una tabla sombreada por tarea, remedios por células: cuántos pasos hacia atrás conserva una milésima de "
            "su tamaño el gradiente del último paso, antes y después de entrenar. {shown}, tras el resultado: {told}."
        ),
    ),
    "cures.horizon.caption": Text(
        (
            "Steps back over which the gradient of a loss at the end keeps a thousandth of its size: untrained → "
            "trained, median over samples, then over seeds; ∂L/∂c for the LSTM, else ∂L/∂h, with what the cure does to "
            "the backward. ↑: it grows tenfold or more on its way to the first timestep. Brighter is further."
        ),
        (
            "Pasos hacia atrás en que el gradiente de una pérdida al final conserva una milésima de su tamaño: sin "
            "entrenar → entrenada, mediana de las muestras y después de las semillas; ∂L/∂c en la LSTM, ∂L/∂h en las "
            "demás, con lo que el remedio hace al retropropagar. ↑: crece diez veces o más hasta el primer paso. Más "
            "claro es más lejos."
        ),
    ),
    "cures.cell": Text("cell", "célula"),
    "cures.cure": Text("cure", "remedio"),
    "cures.time": Text("time of a step", "tiempo de un paso"),
    "cures.knob": Text("hyperparameter", "hiperparámetro"),
    "cures.knob.none": Text("–", "–"),
    "cures.knob.clip": Text("norm 1", "norma 1"),
    "cures.knob.state_clip": Text("norm 1/N", "norma 1/N"),
    "cures.knob.orthogonal": Text("–", "–"),
    "cures.knob.identity": Text("–", "–"),
    "cures.knob.forget_one": Text("bias 1", "sesgo 1"),
    "cures.knob.chrono": Text("longest memory: T", "memoria más larga: T"),
    "cures.knob.truncate": Text("chunk 25, pixels 16", "trozo de 25, píxeles 16"),
    "cures.knob.omega": Text("weight 1, every 5th update", "peso 1, uno de cada 5 pasos"),
    "cures.knob.residual_scale": Text("scale 0.1", "escala 0,1"),
    "cures.horizon.short": Text("horizon", "horizonte"),
    "cures.cell.rnn": Text("RNN", "RNN"),
    "cures.cell.gru": Text("GRU", "GRU"),
    "cures.cell.lstm": Text("LSTM", "LSTM"),
    "cures.cell.residual": Text("residual", "residual"),
    "cures.none": Text("nothing", "nada"),
    "cures.clip": Text("clipping", "recorte"),
    "cures.state_clip": Text("clipped at every timestep", "recorte en cada t"),
    "cures.orthogonal": Text("orthogonal, zero biases", "ortogonal, sesgos a cero"),
    "cures.identity": Text("identity, relu (IRNN)", "identidad, relu (IRNN)"),
    "cures.forget_one": Text("forget bias 1", "sesgo de olvido 1"),
    "cures.chrono": Text("chrono biases", "sesgos chrono"),
    "cures.truncate": Text("truncated BPTT", "BPTT truncado"),
    "cures.omega": Text("Pascanu’s Ω", "Ω de Pascanu"),
    "cures.residual_scale": Text("residual scale 0.1", "escala residual 0,1"),
    "cures.first_50.short": Text("first element, T=50", "primer elemento, T=50"),
    "cures.first_100.short": Text("first element, T=100", "primer elemento, T=100"),
    "cures.pixels.short": Text("digits by pixel", "dígitos por píxel"),
    "cures.spelling.short": Text("spelling, bits", "deletreo, bits"),
    "cures.first_50.outcome": Text(
        "First element, T=50: seeds that learn", "Primer elemento, T=50: semillas que aprenden"
    ),
    "cures.first_100.outcome": Text(
        "First element, T=100: seeds that learn", "Primer elemento, T=100: semillas que aprenden"
    ),
    "cures.pixels.outcome": Text("Digits by pixel, T=64: accuracy", "Dígitos por píxel, T=64: acierto"),
    "cures.spelling.outcome": Text("Spelling, T=100: bits per character", "Deletreo, T=100: bits por carácter"),
    "cures.first_50.horizon": Text("First element, T=50: horizon", "Primer elemento, T=50: horizonte"),
    "cures.first_100.horizon": Text("First element, T=100: horizon", "Primer elemento, T=100: horizonte"),
    "cures.pixels.horizon": Text("Digits by pixel, T=64: horizon", "Dígitos por píxel, T=64: horizonte"),
    "cures.spelling.horizon": Text("Spelling, T=100: horizon", "Deletreo, T=100: horizonte"),
}
