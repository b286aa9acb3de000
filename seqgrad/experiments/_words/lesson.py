"""The words of the lesson's report: its sections, checklist and verdicts."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "report.title": Text("The long-sequence problem, measured", "El problema de las secuencias largas, medido"),
    "report.lead": Text(
        (
            "An RNN learns by sending a gradient back through time. This lesson follows it there, timestep by "
            "timestep, in networks built, trained and measured while this page was made."
        ),
        (
            "Una RNN aprende enviando un gradiente hacia atrás en el tiempo. Esta lección lo sigue, paso a paso, en "
            "redes construidas, entrenadas y medidas mientras se hacía esta página."
        ),
    ),
    "report.verdicts": Text("What came of the claims", "Qué fue de las afirmaciones"),
    "report.line": Text("lesson, line {line}", "lección, línea {line}"),
    "report.beyond": Text("beyond the lesson", "más allá de la lección"),
    "report.expected": Text("expected", "esperado"),
    "report.measured": Text("measured", "medido"),
    "report.contents": Text("Contents", "Contenido"),
    "report.code": Text("In your own code", "En su propio código"),
    "report.quick": Text(
        "Made with --quick: fewer seeds and shorter training, so the numbers are rougher.",
        "Hecho con --quick: menos semillas y entrenamientos más cortos; los números son más toscos.",
    ),
    "report.lesson_says": Text("The lesson:", "La lección:"),
    "report.we_find": Text("Corrected:", "Corregido:"),
    "verdict.reproduced": Text("reproduced", "reproducido"),
    "verdict.corrected": Text("corrected", "corregido"),
    "verdict.not reproduced": Text("not reproduced", "no reproducido"),
    "section.gradient.title": Text("1. What travels back", "1. Lo que viaja hacia atrás"),
    "section.gradient.text": Text(
        (
            "The loss at the end says how the last state h_T should change. How an earlier state should change "
            "follows by the chain rule: multiply by one matrix, the Jacobian ∂h_k/∂h_(k−1), for every step back. For "
            "a tanh RNN that matrix is diag(1−h_k²)·W_hh. Ninety-nine steps back are ninety-nine factors, and "
            "whatever they do on average, they do to the power of ninety-nine.\n"
            "PyTorch does not show these gradients: `retain_grad()` on a layer's output gives only the direct part, "
            "exactly zero before the last step. seqgrad's kernels hand out the total at every step."
        ),
        (
            "La pérdida, al final, dice cómo debería cambiar el último estado h_T. Cómo debería cambiar uno anterior "
            "lo dice la regla de la cadena: se multiplica por una matriz, el jacobiano ∂h_k/∂h_(k−1), por cada paso "
            "hacia atrás. En una RNN tanh esa matriz es diag(1−h_k²)·W_hh. Noventa y nueve pasos son noventa y nueve "
            "factores, y lo que hagan de media lo hacen elevado a noventa y nueve.\n"
            "PyTorch no muestra estos gradientes: `retain_grad()` sobre la salida de una capa da solo la parte "
            "directa, exactamente cero antes del último paso. Los núcleos de seqgrad entregan el total en cada paso."
        ),
    ),
    "section.vanishing.title": Text("2. The gradient vanishes", "2. El gradiente se desvanece"),
    "section.vanishing.text": Text(
        (
            "The lesson's toy halves a number again and again. A real RNN with PyTorch's default weights does much "
            "the same: it keeps {per_step:n} per step, close to the 1/√3 = 0.577 that theory gives for this "
            "initialisation. The toy's factor is a slope; the network's is a matrix, and it vanishes although its "
            "largest singular value is {sigma_max:n}.\n"
            "Look at all three default networks below. GRU and LSTM are no exception yet; section 7 returns to that. "
            "And mind your own tools: the square of 0.5^100 in float32 is {fp32_square:n}, so a norm computed "
            "carelessly would report a plain zero."
        ),
        (
            "El juguete de la lección divide un número por dos una y otra vez. Una RNN real con los pesos por "
            "defecto de PyTorch hace casi lo mismo: conserva {per_step:n} por paso, cerca del 1/√3 = 0,577 que da la "
            "teoría para esta inicialización. El factor del juguete es una pendiente; el de la red es una matriz, y "
            "se desvanece aunque su mayor valor singular sea {sigma_max:n}.\n"
            "Abajo están las tres redes por defecto. GRU y LSTM todavía no son una excepción; la sección 7 vuelve a "
            "ello. Y cuidado con las herramientas: el cuadrado de 0,5^100 en float32 es {fp32_square:n}, así que una "
            "norma calculada sin cuidado daría un simple cero."
        ),
    ),
    "section.exploding.title": Text("3. The gradient explodes", "3. El gradiente explota"),
    "section.exploding.text": Text(
        (
            "Turn the factor above 1 and the same law runs the other way. With W_hh = 2Q, Q orthogonal, and states "
            "at rest it is exact: fifty steps back multiply by 2^50.\n"
            "In a tanh network the states themselves push back. Once they saturate, tanh is flat and its slope stops "
            "the gradient. So look at the spectrum and the states together, not at the size of the entries.\n"
            "What the detector said about this network: “{finding}”"
        ),
        (
            "Con un factor mayor que 1, la misma ley corre al revés. Con W_hh = 2Q, Q ortogonal, y estados en reposo "
            "es exacta: cincuenta pasos atrás multiplican por 2^50.\n"
            "En una red tanh los propios estados frenan. Cuando se saturan, tanh es plana y su pendiente detiene el "
            "gradiente. Por eso hay que mirar juntos el espectro y los estados, no el tamaño de las entradas de la "
            "matriz.\n"
            "Lo que dijo el detector de esta red (en inglés): «{finding}»"
        ),
    ),
    "section.cures.title": Text("4. What helps", "4. Lo que ayuda"),
    "section.cures.text": Text(
        (
            "Clipping scales a gradient that is too long back to a fixed length. Below, a relu network with a "
            "recurrent gain of 1.2. Without clipping one step throws the weights so far off that the next forward "
            "pass overflows: “{nan_finding}”\n"
            "With clipping the same network trains on: its loss falls from {relu_start:n} to {relu_end:n} and it "
            "gets {relu_accuracy:.0%} of fresh samples right. In a tanh network nothing overflows, but the first "
            "leap into saturation costs as much: {tanh_free:.0%} without clipping, {tanh_clipped:.0%} with it.\n"
            "Clipping by norm keeps the direction, clipping by value bends it, and neither brings back a gradient "
            "that has vanished or turned NaN. For vanishing, look at the start: an orthogonal W_hh, zero biases, a "
            "residual path."
        ),
        (
            "El recorte reduce un gradiente demasiado largo a una longitud fija. Abajo, una red relu con ganancia "
            "recurrente 1,2. Sin recorte, un solo paso lanza los pesos tan lejos que la siguiente pasada hacia "
            "delante se desborda: «{nan_finding}»\n"
            "Con recorte, la misma red sigue entrenando: su pérdida baja de {relu_start:n} a {relu_end:n} y acierta "
            "el {relu_accuracy:.0%} de las muestras nuevas. En una red tanh nada se desborda, pero el primer salto a "
            "la saturación cuesta lo mismo: {tanh_free:.0%} sin recorte, {tanh_clipped:.0%} con él.\n"
            "Recortar por norma conserva la dirección, por valor la tuerce, y ninguno de los dos devuelve un "
            "gradiente desvanecido o convertido en NaN. Contra el desvanecimiento, mire el comienzo: una W_hh "
            "ortogonal, sesgos a cero, un camino residual."
        ),
    ),
    "section.dependency.title": Text(
        "5. Can it remember the first element?",
        "5. ¿Puede recordar el primer elemento?",
    ),
    "section.dependency.text": Text(
        (
            "“The cat, which sat on the mat, was happy”: to choose between was and were, a reader has to remember "
            "the subject's number. The lesson distils this into a task: a signal at t=1, then silence, and at the "
            "end a question about the signal. Each network below was trained on it from scratch.\n"
            "All training here is clipped, so what fails, fails by vanishing. And the architecture alone does not "
            "decide: at length 100 default GRUs and LSTMs fail as plain RNNs do, while a good start lets all three "
            "succeed, even the plain one."
        ),
        (
            "«The cat, which sat on the mat, was happy»: para elegir entre was y were hay que recordar el número del "
            "sujeto. La lección lo destila en una tarea: una señal en t=1, luego silencio, y al final una pregunta "
            "sobre la señal. Cada red de abajo se entrenó en ella desde cero.\n"
            "Todo entrenamiento lleva aquí recorte, así que lo que falla, falla por desvanecimiento. Y la "
            "arquitectura sola no decide: con longitud 100 las GRU y LSTM por defecto fallan igual que las RNN "
            "simples, mientras que un buen comienzo permite acertar a las tres, incluso a la simple."
        ),
    ),
    "section.picture.title": Text("6. The picture, the right way round", "6. El dibujo, en su sentido correcto"),
    "section.picture.text": Text(
        (
            "The lesson draws bars that shrink from step 1 to step 50. Measured with the one matrix that leaves "
            "exactly a tenth after every ten steps, they stand in the opposite order: the last step hears the loss "
            "loudest.\n"
            "Information has the same trouble on its way forward. Thirty-two different signals at t=1 leave final "
            "states that differ by {rnn_spread:n} in a default RNN, and by {rnn_orthogonal_zero_bias_spread:n} in an "
            "orthogonal one. That is about states, not gradients, but it is the same product of matrices."
        ),
        (
            "La lección dibuja barras que menguan del paso 1 al 50. Medidas con la única matriz que deja justo una "
            "décima parte tras cada diez pasos, quedan en el orden contrario: el último paso es el que mejor oye la "
            "pérdida.\n"
            "La información tiene el mismo problema hacia delante. Treinta y dos señales distintas en t=1 dejan "
            "estados finales que difieren en {rnn_spread:n} en una RNN por defecto, y en "
            "{rnn_orthogonal_zero_bias_spread:n} en una ortogonal. Eso trata de estados, no de gradientes, pero es "
            "el mismo producto de matrices."
        ),
    ),
    "section.gates.title": Text("7. LSTM and GRU", "7. LSTM y GRU"),
    "section.gates.text": Text(
        (
            "The LSTM's cell state has a path of its own: c_t = f_t·c_(t−1) + i_t·g_t. One step back multiplies its "
            "gradient by the forget gate and by no matrix (apart from what flows through the gates). So the gate "
            "decides. At f = 0.5, its default, 99 steps leave {lstm_first:n}; a forget bias of 1 leaves "
            "{lstm_forget_one_first:n}; f = 0.99 leaves {lstm_forget_99_first:n}. Gates are a road that has to be "
            "opened: by a bias, or by training."
        ),
        (
            "El estado de celda de la LSTM tiene un camino propio: c_t = f_t·c_(t−1) + i_t·g_t. Un paso atrás "
            "multiplica su gradiente por la puerta de olvido y por ninguna matriz (salvo lo que pasa por las "
            "puertas). Así que decide la puerta. Con f = 0,5, su valor por defecto, tras 99 pasos queda "
            "{lstm_first:n}; con sesgo de olvido 1, {lstm_forget_one_first:n}; con f = 0,99, "
            "{lstm_forget_99_first:n}. Las puertas son un camino que hay que abrir: con un sesgo o entrenando."
        ),
    ),
    "section.text.title": Text("8. A real text", "8. Un texto real"),
    "section.text.text": Text(
        (
            "Does training open the road? An LSTM learns to spell CPython's documentation, character by character. "
            "After {steps} steps it needs {bits:n} bits per character on text it never saw; a table of letter pairs "
            "needs {bigram:n}.\n"
            "Meanwhile its gradient horizon, the distance over which the gradient stays above a thousandth, moves "
            "from {horizon_first} steps to {horizon_last} in the median window of {length} characters; in {far:.0%} "
            "of the windows it spans them all (untrained: {far_first:.0%}). The network learns what to keep, and "
            "with it how far back it can learn."
        ),
        (
            "¿Abre el camino el entrenamiento? Una LSTM aprende a deletrear la documentación de CPython, carácter a "
            "carácter. Tras {steps} pasos necesita {bits:n} bits por carácter en texto que nunca vio; una tabla de "
            "pares de letras necesita {bigram:n}.\n"
            "Entretanto su horizonte de gradiente, la distancia en la que el gradiente se mantiene sobre una "
            "milésima, pasa de {horizon_first} pasos a {horizon_last} en la ventana mediana de {length} caracteres; "
            "en el {far:.0%} de las ventanas las abarca todas (sin entrenar: {far_first:.0%}). La red aprende qué "
            "guardar y, con ello, desde cuán lejos puede aprender."
        ),
    ),
    "section.text.quote": Text("What it writes at the end:", "Lo que escribe al final:"),
    "section.checklist.title": Text("What you can now say", "Lo que ya puede decir"),
    "section.checklist.text": Text(
        "The lesson's five points, each ticked when all its claims hold.",
        "Los cinco puntos de la lección, marcados cuando se cumplen todas sus afirmaciones.",
    ),
    "item.1": Text("Why gradients vanish", "Por qué se desvanecen los gradientes"),
    "item.2": Text("What makes them explode", "Qué los hace explotar"),
    "item.3": Text(
        "What helps: clipping, initialisation, residual paths",
        "Qué ayuda: recorte, inicialización, caminos residuales",
    ),
    "item.4": Text(
        "Why plain RNNs fail on long dependencies",
        "Por qué las RNN simples fallan con dependencias largas",
    ),
    "item.5": Text("What LSTM and GRU are for, and when it works", "Para qué sirven LSTM y GRU, y cuándo funcionan"),
    "section.method.title": Text("How this page was made", "Cómo se hizo esta página"),
    "section.method.text": Text(
        (
            "All numbers come from one run of `seqgrad lesson`, with fixed seeds counted from 0, in float32 unless "
            "said, on one thread per network. Every dL/dh_t left the backward kernel itself. The tables behind the "
            "figures are in {results}."
        ),
        (
            "Todos los números salen de una ejecución de `seqgrad lesson`, con semillas fijas contadas desde 0, en "
            "float32 salvo indicación, con un hilo por red. Cada dL/dh_t salió del propio núcleo de "
            "retropropagación. Las tablas detrás de las figuras están en {results}."
        ),
    ),
    "report.environment": Text(
        "{torch}, Python {python}, seqgrad {version}; {seconds:.0f} s of work",
        "{torch}, Python {python}, seqgrad {version}; {seconds:.0f} s de trabajo",
    ),
}
