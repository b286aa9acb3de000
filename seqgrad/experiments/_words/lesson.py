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
            "What the detector said about this network: “{finding}” And when one was trained without clipping: "
            "“{nan_finding}” With clipping, the only difference, it trains on: its loss falls from {relu_start:n} to "
            "{relu_end:n}."
        ),
        (
            "Con un factor mayor que 1, la misma ley corre al revés. Con W_hh = 2Q, Q ortogonal, y estados en "
            "reposo es exacta: cincuenta pasos atrás multiplican por 2^50.\n"
            "En una red tanh los propios estados frenan. Cuando se saturan, tanh es plana y su pendiente detiene "
            "el gradiente. Por eso hay que mirar juntos el espectro y los estados, no el tamaño de las entradas "
            "de la matriz.\n"
            "Lo que dijo el detector de esta red (en inglés): «{finding}» Y al entrenar una sin recorte: "
            "«{nan_finding}» Con recorte, la única diferencia, sigue entrenando: su pérdida baja de "
            "{relu_start:n} a {relu_end:n}."
        ),
    ),
    "section.detection.title": Text("3.1. Would you notice?", "3.1. ¿Lo notaría?"),
    "section.detection.text": Text(
        (
            "The lesson's detector walks through the parameters after the backward pass and speaks up when a "
            "norm exceeds 100 or is no number. It does just that, and `sg.check_grads(model)` is the same in one "
            "call.\n"
            "But a parameter's gradient is a sum over all timesteps. In a default RNN ‖∂L/∂W_hh‖ is {weight:n}, "
            "a picture of health, while {first_input:n} of the gradient reaches the first input. Vanishing can "
            "only be seen where it happens: timestep by timestep."
        ),
        (
            "El detector de la lección recorre los parámetros tras la retropropagación y avisa si una norma pasa "
            "de 100 o no es un número. Hace justo eso, y `sg.check_grads(model)` es lo mismo en una llamada.\n"
            "Pero el gradiente de un parámetro es una suma sobre todos los pasos. En una RNN por defecto "
            "‖∂L/∂W_hh‖ vale {weight:n}, la viva imagen de la salud, mientras que a la primera entrada llega "
            "{first_input:n}. El desvanecimiento solo se ve donde ocurre: paso a paso."
        ),
    ),
    "section.clipping.title": Text("4.1. What helps: clipping", "4.1. Lo que ayuda: recortar"),
    "section.clipping.text": Text(
        (
            "Clipping by norm scales a gradient that is too long back to a fixed length and keeps its direction. "
            "Clipping by value cuts each element on its own and bends it. Doing both, as the lesson lists them, "
            "leaves the second nearly nothing to do.\n"
            "In the relu network below {finished_none:.0%} of the seeds finish without clipping and "
            "{finished_norm:.0%} by norm. In a tanh network nothing overflows, but the first leap into "
            "saturation costs as much: {tanh_none_clip:.0%} right without clipping, {tanh_norm_clip:.0%} by "
            "norm, {tanh_value_clip:.0%} by value (the median).\n"
            "No clipping brings back a gradient that has vanished: scaling down never makes anything larger. For "
            "that, look at the start."
        ),
        (
            "Recortar por norma reduce un gradiente demasiado largo a una longitud fija y conserva su dirección. "
            "Recortar por valor corta cada elemento por su cuenta y la tuerce. Hacer ambos, como los enumera la "
            "lección, no deja al segundo casi nada que hacer.\n"
            "En la red relu de abajo termina el {finished_none:.0%} de las semillas sin recorte y el "
            "{finished_norm:.0%} por norma. En una red tanh nada se desborda, pero el primer salto a la "
            "saturación cuesta lo mismo: acierta el {tanh_none_clip:.0%} sin recorte, el {tanh_norm_clip:.0%} "
            "por norma, el {tanh_value_clip:.0%} por valor (la mediana).\n"
            "Ningún recorte devuelve un gradiente desvanecido: reducir nunca hace nada más grande. Para eso hay "
            "que mirar el comienzo."
        ),
    ),
    "section.initialisation.title": Text("4.2. What helps: the start", "4.2. Lo que ayuda: el comienzo"),
    "section.initialisation.text": Text(
        (
            "An orthogonal matrix neither stretches nor shrinks anything, so as W_hh it lets the gradient pass, "
            "as long as tanh stays near its steepest point. torch's default biases push it away from there; with "
            "zero biases {init_rnn_orthogonal_zero_bias:n} of the gradient is left after 99 steps, with the "
            "default ones {init_rnn_orthogonal:n}. Xavier for W_xh sets the size of what comes in; it does not "
            "change how long it lasts.\n"
            "In GRU and LSTM each gate has a matrix of its own, and each is made orthogonal by itself; but there "
            "the biases of the gates decide, which is for section 7."
        ),
        (
            "Una matriz ortogonal ni estira ni encoge nada, así que como W_hh deja pasar el gradiente, mientras "
            "tanh siga cerca de su punto más empinado. Los sesgos por defecto de torch la apartan de ahí; con "
            "sesgos a cero queda {init_rnn_orthogonal_zero_bias:n} del gradiente tras 99 pasos, con los de torch "
            "{init_rnn_orthogonal:n}. Xavier para W_xh fija el tamaño de lo que entra; no cambia cuánto dura.\n"
            "En GRU y LSTM cada puerta tiene su propia matriz, y cada una se hace ortogonal por separado; pero "
            "allí deciden los sesgos de las puertas, asunto de la sección 7."
        ),
    ),
    "section.residual.title": Text("4.3. What helps: residual paths", "4.3. Lo que ayuda: caminos residuales"),
    "section.residual.text": Text(
        (
            "h_t = h_(t−1) + tanh(…) adds the identity to every Jacobian. Nothing vanishes then, but nothing "
            "holds it back either: each step adds a little, the state grows, and after 99 steps the gradient has "
            "grown to {residual_first:n} times what it was. Depth in a ResNet is fifty layers; here it is the "
            "length of the sequence.\n"
            "The remedy is as simple as the idea: make each step's contribution small. `residual_scale=0.01` "
            "leaves {residual_small_first:n}."
        ),
        (
            "h_t = h_(t−1) + tanh(…) suma la identidad a cada jacobiano. Entonces nada se desvanece, pero "
            "tampoco hay nada que lo frene: cada paso añade un poco, el estado crece, y tras 99 pasos el "
            "gradiente es {residual_first:n} veces el que era. En una ResNet la profundidad son cincuenta capas; "
            "aquí es la longitud de la secuencia.\n"
            "El remedio es tan sencillo como la idea: que cada paso aporte poco. `residual_scale=0.01` deja "
            "{residual_small_first:n}."
        ),
    ),
    "section.truncation.title": Text(
        "4.4. What helps, and what it costs: truncation", "4.4. Lo que ayuda y lo que cuesta: truncar"
    ),
    "section.truncation.text": Text(
        (
            "Truncated BPTT cuts the graph every k steps. It saves memory and time, and it is the only way to "
            "train on a stream without end. The price is exact: beyond the cut the gradient is not small but "
            "zero.\n"
            "So whatever has to be remembered for longer than k steps cannot be learnt by gradient. With the "
            "label at the end of {length} steps, networks that learn the task with the whole gradient fail at "
            "every smaller k. (The orthogonal RNN stays above chance, at {reservoir:.0%}: its state happens to "
            "carry the signal, and the output layer reads it.)"
        ),
        (
            "El BPTT truncado corta el grafo cada k pasos. Ahorra memoria y tiempo, y es la única forma de "
            "entrenar con un flujo sin fin. El precio es exacto: más allá del corte el gradiente no es pequeño, "
            "es cero.\n"
            "Así que lo que deba recordarse más de k pasos no se puede aprender por gradiente. Con la etiqueta "
            "al final de {length} pasos, redes que aprenden la tarea con el gradiente entero fallan con todo k "
            "menor. (La RNN ortogonal se queda por encima del azar, en el {reservoir:.0%}: su estado resulta que "
            "lleva la señal, y la capa de salida la lee.)"
        ),
    ),
    "section.truncation.sample": Text(
        "The lesson's sample shows the heart of it, the detach. In names of ours:",
        "El ejemplo de la lección muestra lo esencial, el detach. Con nombres nuestros:",
    ),
    "section.truncation.said": Text(
        (
            "Run as it stands it answers “{sample_rnn}”, and with an LSTM “{sample_lstm}”; given a loss it runs, "
            "but no weight moves. Nothing is wrong with the idea: three lines are missing. Here they are:"
        ),
        (
            "Ejecutado tal cual responde «{sample_rnn}», y con una LSTM «{sample_lstm}»; si se le da una pérdida "
            "corre, pero ningún peso se mueve. La idea es buena: faltan tres líneas. Aquí están:"
        ),
    ),
    "section.dependency.sentences": Text(
        (
            "The sentence itself can be a task too. A small grammar, `seqgrad.experiments.tasks.agreement`, "
            "makes such sentences, with nouns in between that ask for another form; the network reads as far as "
            "the bracket. How networks learn them, in English and in Spanish, is shown by `seqgrad run "
            "agreement_distance` and `seqgrad run centre_embedding`."
        ),
        (
            "La propia frase también puede ser una tarea. Una pequeña gramática, "
            "`seqgrad.experiments.tasks.agreement`, hace frases así, con nombres intermedios que piden otra "
            "forma; la red lee hasta el corchete. En español se suma el género. Cómo las aprenden las redes, en "
            "inglés y en español, lo muestran `seqgrad run agreement_distance` y `seqgrad run centre_embedding`."
        ),
    ),
    "section.dependency.speed": Text(
        (
            "All this training is affordable because it runs in fused kernels. One training step at length 100 "
            "(forward, backward, clipping, Adam, data; one thread) costs torch.nn this many times the processor "
            "time that it costs seqgrad, measured in turns: {faster}."
        ),
        (
            "Todo este entrenamiento es asequible porque corre en núcleos fusionados. Un paso de entrenamiento "
            "con longitud 100 (ida, vuelta, recorte, Adam y datos; un hilo) le cuesta a torch.nn tantas veces el "
            "tiempo de procesador que le cuesta a seqgrad, medido por turnos: {faster}."
        ),
    ),
    "loose.lead": Text(
        (
            "The lesson's ideas hold. In five places its words are looser than its ideas, and measuring makes "
            "them sharper:"
        ),
        (
            "Las ideas de la lección se sostienen. En cinco lugares sus palabras son más laxas que sus ideas, y "
            "medir las afina:"
        ),
    ),
    "loose.see": Text("See.", "Ver."),
    "loose.flow.mirrored": Text(
        "The drawings of the gradient are mirrored: with the loss at the end, the last timestep hears it loudest.",
        "Los dibujos del gradiente están en espejo: con la pérdida al final, el último paso es el que mejor la oye.",
    ),
    "loose.flow.early_steps": Text(
        "It is the early timesteps that teach nothing, not early layers: an RNN has one W_hh for all of them.",
        "Son los pasos tempranos los que no enseñan, no las capas tempranas: una RNN tiene una sola W_hh para todos.",
    ),
    "loose.dependency.distance": Text(
        "was and were agree in number; gender is what Spanish adds.",
        "was y were concuerdan en número; el género es lo que añade el español.",
    ),
    "loose.flow.lstm_default": Text(
        "An LSTM keeps information indefinitely only while its forget gate stays near 1, and it does not start there.",
        (
            "Una LSTM conserva información indefinidamente solo mientras su puerta de olvido siga cerca de 1, y "
            "no empieza ahí."
        ),
    ),
    "loose.truncation.sample": Text(
        "The sample of truncated BPTT still needs its loss, zero_grad and step, and an LSTM's state is a pair.",
        "Al ejemplo de BPTT truncado le faltan la pérdida, zero_grad y step, y el estado de una LSTM es un par.",
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
            "exactly a tenth after every ten steps, they stand in the opposite order: the last step hears the "
            "loss loudest.\n"
            "Information has the same trouble on its way forward: rich at t=1, some at t=10, almost nothing at "
            "t=50, as the lesson draws it. Thirty-two different signals leave states that differ by "
            "{rnn_spread_10:n} at t=10 and by {rnn_spread_50:n} at t=50 in a default RNN, which is float32's "
            "rounding; in an orthogonal one by {rnn_orthogonal_zero_bias_spread_50:n}. That is about states, not "
            "gradients, so it has panels of its own; but it is the same product of matrices."
        ),
        (
            "La lección dibuja barras que menguan del paso 1 al 50. Medidas con la única matriz que deja justo "
            "una décima parte tras cada diez pasos, quedan en el orden contrario: el último paso es el que mejor "
            "oye la pérdida.\n"
            "La información tiene el mismo problema hacia delante: rica en t=1, algo en t=10, casi nada en t=50, "
            "como la dibuja la lección. Treinta y dos señales distintas dejan estados que difieren en "
            "{rnn_spread_10:n} en t=10 y en {rnn_spread_50:n} en t=50 en una RNN por defecto, que es el redondeo "
            "de float32; en una ortogonal, en {rnn_orthogonal_zero_bias_spread_50:n}. Eso trata de estados, no "
            "de gradientes, y por eso tiene paneles propios; pero es el mismo producto de matrices."
        ),
    ),
    "section.gates.title": Text("7. LSTM and GRU", "7. LSTM y GRU"),
    "section.gates.text": Text(
        (
            "The LSTM's cell state has a path of its own: c_t = f_t·c_(t−1) + i_t·g_t. One step back multiplies "
            "its gradient by the forget gate and by no matrix (apart from what flows through the gates). So the "
            "gate decides. At f = 0.5, its default, 99 steps leave {lstm_first:n}; a forget bias of 1 leaves "
            "{lstm_forget_one_first:n}; f = 0.99 leaves {lstm_forget_99_first:n}; chrono biases, which spread "
            "the units over all time scales, leave {lstm_chrono_first:n}. Gates are a road that has to be "
            "opened: by a bias, or by training."
        ),
        (
            "El estado de celda de la LSTM tiene un camino propio: c_t = f_t·c_(t−1) + i_t·g_t. Un paso atrás "
            "multiplica su gradiente por la puerta de olvido y por ninguna matriz (salvo lo que pasa por las "
            "puertas). Así que decide la puerta. Con f = 0,5, su valor por defecto, tras 99 pasos queda "
            "{lstm_first:n}; con sesgo de olvido 1, {lstm_forget_one_first:n}; con f = 0,99, "
            "{lstm_forget_99_first:n}; los sesgos chrono, que reparten las unidades por todas las escalas de "
            "tiempo, dejan {lstm_chrono_first:n}. Las puertas son un camino que hay que abrir: con un sesgo o "
            "entrenando."
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
        "The lesson's five points, each ticked when all its claims hold. Open one to see them.",
        "Los cinco puntos de la lección, marcados cuando se cumplen todas sus afirmaciones. Ábralos para verlas.",
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
