"""The Spanish catalogue. Its keys and fields are those of ``_texts_en.py``; a test holds the two together."""

from __future__ import annotations

TEXTS: dict[str, str] = {
    "lang": "es",
    # axes and legends
    "axis.t": "paso temporal t",
    "axis.lag": "pasos hacia atrás desde el final",
    "axis.relative": "gradiente, relativo al último paso",
    "axis.relative_c": "‖∂L/∂c$_t$‖, relativo al último paso",
    "axis.loss": "pérdida de entrenamiento",
    "axis.step": "paso de entrenamiento",
    "axis.length": "longitud de la secuencia",
    "axis.accuracy": "acierto con datos nuevos",
    "axis.bits": "bits por carácter",
    "setup.rnn": "RNN, por defecto",
    "setup.rnn_orthogonal": "RNN, W$_{hh}$ ortogonal",
    "setup.rnn_orthogonal_zero_bias": "RNN, ortogonal, sesgos a cero",
    "setup.residual": "RNN residual",
    "setup.gru": "GRU, por defecto",
    "setup.lstm": "LSTM (∂L/∂c), por defecto",
    "setup.lstm_forget_one": "LSTM (∂L/∂c), sesgo de olvido 1",
    "setup.lstm_forget_99": "LSTM (∂L/∂c), puerta de olvido 0,99",
    "network.rnn": "RNN",
    "network.gru": "GRU",
    "network.lstm": "LSTM",
    "network.rnn_orthogonal": "RNN, ortogonal, sesgos a cero",
    "network.gru_chrono": "GRU, sesgos chrono",
    "network.lstm_chrono": "LSTM, sesgos chrono",
    "decay.toy.label": "el juguete:",
    "decay.measured.label": "una RNN real, una línea por semilla",
    "explosion.growth.silent": "W$_{hh}$ = 2Q, estados en reposo",
    "explosion.growth.loud": "la misma W$_{hh}$, estados saturados",
    "explosion.growth.limit": "umbral del detector, 100",
    "explosion.training.free": "sin recorte",
    "explosion.training.clipped": "recortado a norma 1",
    "explosion.training.nan": "NaN desde el paso",
    "dependency.chance": "azar",
    "char.train": "ventanas de entrenamiento",
    "char.held_out": "texto no visto",
    "char.bigram": "tabla de pares de letras",
    "char.step": "paso",
    "char.faint": "una milésima: el horizonte",
    # alternative texts: the figures in words
    "decay.toy.alt": (
        "Dos líneas que caen en un eje logarítmico frente a los pasos hacia atrás. El juguete, {factor:n} elevado a "
        "k, acaba en {last:n} tras {steps} pasos. {seeds} RNN medidas caen casi igual de rectas, por {per_step:n} en "
        "cada paso, hasta {measured_last:n}."
    ),
    "gradient_flow.default.alt": (
        "Gradiente en cada paso temporal, logarítmico, relativo al paso {steps}. Las tres redes por defecto caen "
        "desde 1, a la derecha, hasta casi nada en el paso 1: RNN {rnn_first:n}, GRU {gru_first:n}, LSTM "
        "{lstm_first:n}."
    ),
    "gradient_flow.cures.alt": (
        "Gradiente en cada paso temporal de cuatro RNN. En el paso 1, relativo al paso {steps}: por defecto "
        "{rnn_first:n}, ortogonal {rnn_orthogonal_first:n}, ortogonal con sesgos a cero "
        "{rnn_orthogonal_zero_bias_first:n}, residual {residual_first:n}, que crece."
    ),
    "gradient_flow.gates.alt": (
        "Gradiente en cada paso temporal de redes con puertas. En el paso 1, relativo al paso {steps}: GRU "
        "{gru_first:n}, celda LSTM {lstm_first:n}, con sesgo de olvido 1 {lstm_forget_one_first:n}, con puerta de "
        "olvido 0,99 {lstm_forget_99_first:n}."
    ),
    "gradient_flow.bars.alt": (
        "Seis barras, una cada diez pasos temporales, cada una diez veces más alta que la anterior: la mayor está en "
        "el último paso, {steps}, a la derecha."
    ),
    "explosion.growth.alt": (
        "Gradiente en cada paso temporal, logarítmico. Con estados en reposo crece hacia atrás desde 1 hasta "
        "{linear_first:n} en el paso 1 y supera 100 en el paso {finding_t}. Con estados saturados la misma matriz lo "
        "deja caer hasta {saturated_first:n}."
    ),
    "explosion.training.alt": (
        "Pérdida de entrenamiento por paso, logarítmica. Sin recorte se vuelve NaN en el paso {broken_at:n}. Con "
        "recorte baja de {relu_start:n} a {relu_end:n} en 300 pasos."
    ),
    "long_dependency.accuracy.alt": (
        "Acierto frente a la longitud de la secuencia, un punto por semilla, para RNN, GRU y LSTM. Tasas de éxito "
        "con {seeds} semillas: {table_plain}."
    ),
    "long_dependency.cures.alt": (
        "Acierto frente a la longitud de la secuencia para las mismas redes con un mejor comienzo, un punto por "
        "semilla. Tasas de éxito con {seeds} semillas: {table_cured}."
    ),
    "char_model.learning.alt": (
        "Bits por carácter según el paso de entrenamiento. En texto no visto bajan de {bits_first:n} a {bits:n}; la "
        "tabla de pares de letras queda en {bigram:n}."
    ),
    "char_model.horizon.alt": (
        "Gradiente del estado de celda en cada paso temporal en la ventana mediana, una línea por etapa del "
        "entrenamiento. Sin entrenar se mantiene sobre una milésima {horizon_first} pasos atrás; tras {steps} pasos "
        "de entrenamiento, {horizon_last}."
    ),
    # captions
    "decay.toy.caption": (
        "La simulación de la lección junto a {seeds} RNN reales (H=128, inicialización por defecto de torch, señal "
        "en t=1, pérdida en el último estado). x cuenta pasos hacia atrás."
    ),
    "gradient_flow.default.caption": (
        "H={hidden} (LSTM: la mitad), T={steps}, 32 muestras, mediana de {seeds} semillas, antes de entrenar. Léase "
        "de derecha a izquierda: así va la retropropagación."
    ),
    "gradient_flow.cures.caption": "La misma medida para otros tres comienzos de una RNN.",
    "gradient_flow.gates.caption": "Redes con puertas: lo que cuenta es cuánto se abre la puerta de olvido.",
    "gradient_flow.bars.caption": (
        "W_hh = 0,794 Q, sesgos a cero: una décima cada diez pasos, medido, en el orden correcto."
    ),
    "explosion.growth.caption": "H=32, 51 pasos temporales, float64. El anillo marca dónde salta el detector.",
    "explosion.training.caption": (
        "Una RNN relu, W_hh = 1,2 veces la identidad, T=50, SGD simple a 0,01, {seeds} semilla(s) por caso. Los "
        "mismos datos y semillas; la única diferencia es una línea de código."
    ),
    "long_dependency.accuracy.caption": (
        "H={hidden}, Adam a {rate:n}, recorte a norma {clip:n}, {steps} pasos de entrenamiento con 32 muestras "
        "nuevas, prueba con otras 1000; la red se construye de nuevo para cada una de las {seeds} semillas. Sobre "
        "cada grupo: semillas que llegan al 90 %."
    ),
    "long_dependency.cures.caption": (
        "La misma tarea, datos y presupuesto. Solo cambian los pesos y sesgos iniciales."
    ),
    "char_model.learning.caption": (
        "LSTM, H={hidden}, ventanas de {length} caracteres, Adam a {rate:n}. Texto (en inglés): {origin}, "
        "{characters} caracteres; la última décima parte queda aparte. Una semilla."
    ),
    "char_model.horizon.caption": (
        "La pérdida de la sonda mira solo el último carácter; la curva es la mediana de 64 ventanas no vistas. Con "
        "una pérdida en cada paso, todos recibirían gradiente directo y no se vería hasta dónde viaja."
    ),
    # the report
    "report.title": "El problema de las secuencias largas, medido",
    "report.lead": (
        "Una RNN aprende enviando un gradiente hacia atrás en el tiempo. Esta lección lo sigue, paso a paso, en "
        "redes construidas, entrenadas y medidas mientras se hacía esta página."
    ),
    "report.verdicts": "Qué fue de las afirmaciones",
    "report.line": "lección, línea {line}",
    "report.beyond": "más allá de la lección",
    "report.expected": "esperado",
    "report.measured": "medido",
    "report.contents": "Contenido",
    "report.code": "En su propio código",
    "report.quick": "Hecho con --quick: menos semillas y entrenamientos más cortos; los números son más toscos.",
    "report.lesson_says": "La lección:",
    "report.we_find": "Corregido:",
    "verdict.reproduced": "reproducido",
    "verdict.corrected": "corregido",
    "verdict.not reproduced": "no reproducido",
    "section.gradient.title": "1. Lo que viaja hacia atrás",
    "section.gradient.text": (
        "La pérdida, al final, dice cómo debería cambiar el último estado h_T. Cómo debería cambiar uno anterior lo "
        "dice la regla de la cadena: se multiplica por una matriz, el jacobiano ∂h_k/∂h_(k−1), por cada paso hacia "
        "atrás. En una RNN tanh esa matriz es diag(1−h_k²)·W_hh. Noventa y nueve pasos son noventa y nueve factores, "
        "y lo que hagan de media lo hacen elevado a noventa y nueve.\n"
        "PyTorch no muestra estos gradientes: `retain_grad()` sobre la salida de una capa da solo la parte directa, "
        "exactamente cero antes del último paso. Los núcleos de seqgrad entregan el total en cada paso."
    ),
    "section.vanishing.title": "2. El gradiente se desvanece",
    "section.vanishing.text": (
        "El juguete de la lección divide un número por dos una y otra vez. Una RNN real con los pesos por defecto de "
        "PyTorch hace casi lo mismo: conserva {per_step:n} por paso, cerca del 1/√3 = 0,577 que da la teoría para "
        "esta inicialización. El factor del juguete es una pendiente; el de la red es una matriz, y se desvanece "
        "aunque su mayor valor singular sea {sigma_max:n}.\n"
        "Abajo están las tres redes por defecto. GRU y LSTM todavía no son una excepción; la sección 7 vuelve a "
        "ello. Y cuidado con las herramientas: el cuadrado de 0,5^100 en float32 es {fp32_square:n}, así que una "
        "norma calculada sin cuidado daría un simple cero."
    ),
    "section.exploding.title": "3. El gradiente explota",
    "section.exploding.text": (
        "Con un factor mayor que 1, la misma ley corre al revés. Con W_hh = 2Q, Q ortogonal, y estados en reposo es "
        "exacta: cincuenta pasos atrás multiplican por 2^50.\n"
        "En una red tanh los propios estados frenan. Cuando se saturan, tanh es plana y su pendiente detiene el "
        "gradiente. Por eso hay que mirar juntos el espectro y los estados, no el tamaño de las entradas de la "
        "matriz.\n"
        "Lo que dijo el detector de esta red (en inglés): «{finding}»"
    ),
    "section.cures.title": "4. Lo que ayuda",
    "section.cures.text": (
        "El recorte reduce un gradiente demasiado largo a una longitud fija. Abajo, una red relu con ganancia "
        "recurrente 1,2. Sin recorte, un solo paso lanza los pesos tan lejos que la siguiente pasada hacia delante "
        "se desborda: «{nan_finding}»\n"
        "Con recorte, la misma red sigue entrenando: su pérdida baja de {relu_start:n} a {relu_end:n} y acierta el "
        "{relu_accuracy:.0%} de las muestras nuevas. En una red tanh nada se desborda, pero el primer salto a la "
        "saturación cuesta lo mismo: {tanh_free:.0%} sin recorte, {tanh_clipped:.0%} con él.\n"
        "Recortar por norma conserva la dirección, por valor la tuerce, y ninguno de los dos devuelve un gradiente "
        "desvanecido o convertido en NaN. Contra el desvanecimiento, mire el comienzo: una W_hh ortogonal, sesgos a "
        "cero, un camino residual."
    ),
    "section.dependency.title": "5. ¿Puede recordar el primer elemento?",
    "section.dependency.text": (
        "«The cat, which sat on the mat, was happy»: para elegir entre was y were hay que recordar el número del "
        "sujeto. La lección lo destila en una tarea: una señal en t=1, luego silencio, y al final una pregunta sobre "
        "la señal. Cada red de abajo se entrenó en ella desde cero.\n"
        "Todo entrenamiento lleva aquí recorte, así que lo que falla, falla por desvanecimiento. Y la arquitectura "
        "sola no decide: con longitud 100 las GRU y LSTM por defecto fallan igual que las RNN simples, mientras que "
        "un buen comienzo permite acertar a las tres, incluso a la simple."
    ),
    "section.picture.title": "6. El dibujo, en su sentido correcto",
    "section.picture.text": (
        "La lección dibuja barras que menguan del paso 1 al 50. Medidas con la única matriz que deja justo una "
        "décima parte tras cada diez pasos, quedan en el orden contrario: el último paso es el que mejor oye la "
        "pérdida.\n"
        "La información tiene el mismo problema hacia delante. Treinta y dos señales distintas en t=1 dejan estados "
        "finales que difieren en {rnn_spread:n} en una RNN por defecto, y en {rnn_orthogonal_zero_bias_spread:n} en "
        "una ortogonal. Eso trata de estados, no de gradientes, pero es el mismo producto de matrices."
    ),
    "section.gates.title": "7. LSTM y GRU",
    "section.gates.text": (
        "El estado de celda de la LSTM tiene un camino propio: c_t = f_t·c_(t−1) + i_t·g_t. Un paso atrás multiplica "
        "su gradiente por la puerta de olvido y por ninguna matriz (salvo lo que pasa por las puertas). Así que "
        "decide la puerta. Con f = 0,5, su valor por defecto, tras 99 pasos queda {lstm_first:n}; con sesgo de "
        "olvido 1, {lstm_forget_one_first:n}; con f = 0,99, {lstm_forget_99_first:n}. Las puertas son un camino que "
        "hay que abrir: con un sesgo o entrenando."
    ),
    "section.text.title": "8. Un texto real",
    "section.text.text": (
        "¿Abre el camino el entrenamiento? Una LSTM aprende a deletrear la documentación de CPython, carácter a "
        "carácter. Tras {steps} pasos necesita {bits:n} bits por carácter en texto que nunca vio; una tabla de pares "
        "de letras necesita {bigram:n}.\n"
        "Entretanto su horizonte de gradiente, la distancia en la que el gradiente se mantiene sobre una milésima, "
        "pasa de {horizon_first} pasos a {horizon_last} en la ventana mediana de {length} caracteres; en el "
        "{far:.0%} de las ventanas las abarca todas (sin entrenar: {far_first:.0%}). La red aprende qué guardar y, "
        "con ello, desde cuán lejos puede aprender."
    ),
    "section.text.quote": "Lo que escribe al final:",
    "section.checklist.title": "Lo que ya puede decir",
    "section.checklist.text": "Los cinco puntos de la lección, marcados cuando se cumplen todas sus afirmaciones.",
    "item.1": "Por qué se desvanecen los gradientes",
    "item.2": "Qué los hace explotar",
    "item.3": "Qué ayuda: recorte, inicialización, caminos residuales",
    "item.4": "Por qué las RNN simples fallan con dependencias largas",
    "item.5": "Para qué sirven LSTM y GRU, y cuándo funcionan",
    "section.method.title": "Cómo se hizo esta página",
    "section.method.text": (
        "Todos los números salen de una ejecución de `seqgrad lesson`, con semillas fijas contadas desde 0, en "
        "float32 salvo indicación, con un hilo por red. Cada dL/dh_t salió del propio núcleo de retropropagación. "
        "Las tablas detrás de las figuras están en {results}."
    ),
    "report.environment": "{torch}, Python {python}, seqgrad {version}; {seconds:.0f} s de trabajo",
    # the terminal
    "cli.summary": "{reproduced} reproducidas, {corrected} corregidas, {missed} no reproducidas",
    "cli.report": "Informe: {path}",
    "cli.took": "{seconds:.0f} s",
    "name.decay": "el juguete junto a RNN reales",
    "name.gradient_flow": "el gradiente en cada paso temporal",
    "name.explosion": "gradientes que explotan y recorte",
    "name.long_dependency": "recordar el primer elemento",
    "name.char_model": "un modelo de caracteres con texto real",
}
