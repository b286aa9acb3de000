"""The claims: one row each, in the order of the lesson. Texts in both languages, expectations with their tolerances.

Tolerances come from at least five seeds of each experiment, with room to spare; closed forms have tight ones.
Where a row has a second pair of texts, the lesson's line is loose or wrong and these say what the measurement shows.
"""

from __future__ import annotations

from seqgrad.experiments.claims import Relation, Spec


def _row(
    id: str, line: int | None, item: int, expected: float, relation: Relation, tolerance: float,
    en: str, es: str, right_en: str = "", right_es: str = "",
) -> Spec:  # fmt: skip
    correction = {"en": right_en, "es": right_es} if right_en else None
    return Spec(id, line, item, expected, relation, tolerance, {"en": en, "es": es}, correction)


TABLE: tuple[Spec, ...] = (
    _row(
        "flow.product", 18, 1, 1e-10, "at_most", 0,
        "The gradient at step t is the last step's gradient times the product of the Jacobians between them.",
        "El gradiente en el paso t es el del último paso por el producto de los jacobianos intermedios.",
    ),
    _row(
        "flow.every_step", 18, 1, 0.1, "at_least", 0,
        "The product is the whole gradient at step t.",
        "El producto es todo el gradiente en el paso t.",
        "Only if the loss reads the last state alone. With a loss at every step each state also gets a direct term: "
        "the same network then shows no vanishing at step 1, although nothing more arrives from the far end.",
        "Solo si la pérdida mira únicamente el último estado. Con una pérdida en cada paso, cada estado recibe "
        "además un término directo: la misma red no muestra desvanecimiento en el paso 1, aunque del final no llega "
        "nada más.",
    ),
    _row(
        "decay.four_factors", 34, 1, 0.0625, "absolute", 0,
        "0.5 multiplied four times is 0.0625.",
        "0,5 multiplicado cuatro veces es 0,0625.",
    ),
    _row(
        "decay.hundred_factors", 38, 1, 7.888609052210118e-31, "relative", 1e-12,
        "0.5 to the power of 100 is about 10^-30.",
        "0,5 elevado a 100 es aproximadamente 10^-30.",
    ),
    _row(
        "decay.real_factor", 28, 1, 0.577, "relative", 0.1,
        "Going back, many factors below 1 are multiplied: a default RNN loses a fixed share at every step.",
        "Hacia atrás se multiplican muchos factores menores que 1: una RNN por defecto pierde una parte fija en "
        "cada paso.",
    ),
    _row(
        "decay.sigma_max", 30, 1, 1.13, "absolute", 0.07,
        "The factor below 1 comes from the slope of tanh.",
        "El factor menor que 1 viene de la pendiente de tanh.",
        "Each factor is a matrix, slope times W_hh. In a default RNN that matrix has a largest singular value above "
        "1 and slopes close to 1, and the gradient still vanishes: the average direction shrinks by about 1/√3 per "
        "step.",
        "Cada factor es una matriz, pendiente por W_hh. En una RNN por defecto su mayor valor singular supera 1 y "
        "las pendientes rondan 1, y aun así el gradiente se desvanece: la dirección media se encoge cerca de 1/√3 "
        "por paso.",
    ),
    _row(
        "flow.vanishes", 42, 1, 1e-23, "factor", 1e4,
        "After 100 steps practically nothing is left of the gradient.",
        "Tras 100 pasos no queda prácticamente nada del gradiente.",
    ),
    _row(
        "flow.mirrored", 42, 1, 100, "absolute", 0,
        "The gradient is large at step 1 and about zero at step 100.",
        "El gradiente es grande en el paso 1 y casi cero en el paso 100.",
        "The drawing is mirrored: with the loss at the end the largest gradient is at the last step, and it fades "
        "towards step 1.",
        "El dibujo está en espejo: con la pérdida al final, el mayor gradiente está en el último paso y se apaga "
        "hacia el 1.",
    ),
    _row(
        "flow.early_steps", 50, 1, 1e-6, "at_most", 0,
        "The early layers do not learn.",
        "Las capas tempranas no aprenden.",
        "It is the early timesteps. An RNN has one W_hh for all of them, and it does learn, but only from the "
        "recent steps: everything older than 50 steps adds less than a millionth to its gradient.",
        "Son los pasos tempranos. Una RNN tiene una sola W_hh para todos, y sí aprende, pero solo de los pasos "
        "recientes: todo lo anterior a los últimos 50 pasos aporta menos de una millonésima a su gradiente.",
    ),
    _row(
        "decay.simulation", 58, 1, 0.5**50, "relative", 1e-12,
        "simulate_vanishing(50) gives 51 values and ends near 10^-15.",
        "simulate_vanishing(50) da 51 valores y termina cerca de 10^-15.",
    ),
    _row(
        "explosion.four_factors", 80, 2, 16, "absolute", 0,
        "2 multiplied four times is 16.",
        "2 multiplicado cuatro veces es 16.",
    ),
    _row(
        "explosion.fifty_factors", 84, 2, 1.125899906842624e15, "relative", 1e-12,
        "2 to the power of 50 is about 10^15.",
        "2 elevado a 50 es aproximadamente 10^15.",
    ),
    _row(
        "explosion.linear", 78, 2, 1.125899906842624e15, "relative", 1e-6,
        "With a large W_hh the gradient grows exponentially: W_hh = 2Q, Q orthogonal, gives exactly 2^50 over 50 "
        "steps.",
        "Con una W_hh grande el gradiente crece exponencialmente: W_hh = 2Q, con Q ortogonal, da exactamente 2^50 "
        "en 50 pasos.",
    ),
    _row(
        "explosion.saturated", 78, 2, 1.0, "at_most", 0,
        "Large values in W_hh make the gradient explode.",
        "Los valores grandes en W_hh hacen explotar el gradiente.",
        "What counts is the spectrum of W_hh together with the slopes. The same W_hh = 2Q in a tanh network whose "
        "states are saturated does not explode at all: flat tanh multiplies by almost 0.",
        "Cuenta el espectro de W_hh junto con las pendientes. La misma W_hh = 2Q en una red tanh con estados "
        "saturados no explota en absoluto: una tanh plana multiplica casi por 0.",
    ),
    _row(
        "explosion.nan", 88, 2, 1, "absolute", 0,
        "Without clipping, an exploding network ends in NaN (share of seeds).",
        "Sin recorte, una red que explota acaba en NaN (proporción de semillas).",
    ),
    _row(
        "explosion.found_at", 94, 2, 44, "absolute", 0,
        "The detector fires when a norm passes 100: here at timestep 44 of 51, seven doublings before the end.",
        "El detector salta cuando una norma pasa de 100: aquí en el paso 44 de 51, siete duplicaciones antes del "
        "final.",
    ),
    _row(
        "flow.blind_norm", 97, 1, 1e15, "at_least", 0,
        "The norm of each parameter's gradient shows what is wrong.",
        "La norma del gradiente de cada parámetro muestra lo que va mal.",
        "It shows explosion, not vanishing: the gradient of W_hh looks healthy because the recent steps fill it. "
        "How many times larger it is than the gradient at step 1:",
        "Muestra la explosión, no el desvanecimiento: el gradiente de W_hh parece sano porque lo llenan los pasos "
        "recientes. Cuántas veces supera al gradiente del paso 1:",
    ),
    _row(
        "explosion.clip_rule", 122, 3, 1e-5, "at_most", 0,
        "If the norm exceeds max_norm, g becomes g · max_norm / ‖g‖ (relative distance to the rule).",
        "Si la norma supera max_norm, g pasa a ser g · max_norm / ‖g‖ (distancia relativa a la regla).",
    ),
    _row(
        "explosion.clip_norm_direction", 112, 3, 1, "absolute", 1e-5,
        "Clipping by norm keeps the direction (cosine to the true gradient).",
        "Recortar por norma conserva la dirección (coseno con el gradiente verdadero).",
    ),
    _row(
        "explosion.clip_value_direction", 115, 3, 0.999, "at_most", 0,
        "Clipping by value bends the direction (cosine to the true gradient).",
        "Recortar por valor tuerce la dirección (coseno con el gradiente verdadero).",
    ),
    _row(
        "explosion.clipped_finishes", 108, 3, 1, "absolute", 0,
        "Clipped, the same relu network finishes and its loss falls at least five-fold (share of seeds).",
        "Con recorte, la misma red relu termina y su pérdida baja al menos cinco veces (proporción de semillas).",
    ),
    _row(
        "explosion.clipped_learns", 108, 3, 0.1, "at_least", 0,
        "Clipping keeps training stable: the tanh network learns with it and not without (difference in accuracy).",
        "El recorte estabiliza el entrenamiento: la red tanh aprende con él y no sin él (diferencia de acierto).",
    ),
    _row(
        "flow.orthogonal", 132, 3, 1e-5, "at_most", 0,
        "Orthogonal initialisation puts every singular value of W_hh at 1 (largest distance).",
        "La inicialización ortogonal deja en 1 todos los valores singulares de W_hh (mayor distancia).",
    ),
    _row(
        "flow.orthogonal_keeps", 132, 3, 0.43, "factor", 2,
        "An orthogonal W_hh keeps the gradient alive over 99 steps (biases zero).",
        "Una W_hh ortogonal mantiene vivo el gradiente durante 99 pasos (sesgos a cero).",
    ),
    _row(
        "flow.bias_cost", 132, 3, 10, "at_least", 0,
        "An orthogonal W_hh is enough.",
        "Basta con una W_hh ortogonal.",
        "The biases matter too: torch's default biases push tanh off its steepest point and alone cost this factor "
        "at lag 99. Set them to zero as well.",
        "También importan los sesgos: los de torch por defecto apartan la tanh de su punto más empinado y por sí "
        "solos cuestan este factor a 99 pasos. Póngalos también a cero.",
    ),
    _row(
        "flow.residual", 141, 3, 100, "at_least", 0,
        "A residual connection mitigates the problem.",
        "Una conexión residual mitiga el problema.",
        "It ends vanishing, and starts growth: over 99 steps the gradient is multiplied by this. Scale the branch "
        "down (residual_scale) or clip.",
        "Acaba con el desvanecimiento y empieza el crecimiento: en 99 pasos el gradiente se multiplica por esto. "
        "Reduzca la rama (residual_scale) o recorte.",
    ),
    _row(
        "dependency.distance", 167, 4, 6, "absolute", 0,
        "In the example the verb's gender depends on a subject seven words away.",
        "En el ejemplo, el género del verbo depende de un sujeto a siete palabras.",
        "Read word by word, “was” comes six words after “cat”. And was/were agree in number; English verbs have no "
        "gender.",
        "Palabra a palabra, «was» llega seis después de «cat». Y was/were concuerdan en número; el verbo inglés no "
        "tiene género.",
    ),
    _row(
        "dependency.rnn_10", 195, 4, 0.9, "at_least", 0,
        "A vanilla RNN reaches 95 % at length 10 (mean accuracy).",
        "Una RNN simple llega al 95 % con longitud 10 (acierto medio).",
    ),
    _row(
        "dependency.all_or_nothing", 196, 4, 0.35, "at_most", 0,
        "Accuracy falls off gradually with length.",
        "El acierto cae poco a poco con la longitud.",
        "Seed by seed it is nearly all or nothing. At length 20, this share of seeds lies between 60 % and 90 %; "
        "the others have learnt or are at chance. Read success rates, not averages.",
        "Semilla a semilla es casi todo o nada. Con longitud 20, esta parte de las semillas queda entre el 60 % y "
        "el 90 %; las demás han aprendido o están en el azar. Conviene leer tasas de éxito, no medias.",
    ),
    _row(
        "dependency.rnn_50", 196, 4, 0.5, "absolute", 0.08,
        "A vanilla RNN reaches 60 % at length 50.",
        "Una RNN simple llega al 60 % con longitud 50.",
        "In 300 training steps it reaches chance: at this length the cliff is already behind.",
        "En 300 pasos de entrenamiento se queda en el azar: con esta longitud el precipicio ya quedó atrás.",
    ),
    _row(
        "dependency.rnn_100", 197, 4, 0.5, "absolute", 0.06,
        "A vanilla RNN is at chance at length 100, although its gradients are clipped: clipping does not cure "
        "vanishing.",
        "Una RNN simple queda en el azar con longitud 100 pese al recorte: recortar no cura el desvanecimiento.",
    ),
    _row(
        "dependency.rnn_orthogonal", 132, 3, 0.8, "at_least", 0,
        "Careful initialisation alone lets a vanilla RNN learn length 100 (success rate).",
        "Solo con una inicialización cuidadosa, una RNN simple aprende longitud 100 (tasa de éxito).",
    ),
    _row(
        "flow.factor_ten", 206, 1, 0.1, "relative", 1e-3,
        "The gradient loses a factor of 10 every ten steps: so it does, exactly, with W_hh = 0.794 Q, counted back "
        "from the end.",
        "El gradiente pierde un factor 10 cada diez pasos: así es, exacto, con W_hh = 0,794 Q, contando desde el "
        "final.",
    ),
    _row(
        "flow.forget_law", 249, 5, 1e-6, "at_most", 0,
        "The cell state is a highway: one step back multiplies its gradient by the forget gate, nothing else "
        "(distance to f^k).",
        "El estado de celda es una autopista: un paso atrás multiplica su gradiente por la puerta de olvido y por "
        "nada más (distancia a f^k).",
    ),
    _row(
        "flow.lstm_default", 250, 5, 1e-15, "at_most", 0,
        "An LSTM's cell state can preserve information indefinitely.",
        "El estado de celda de una LSTM puede conservar información indefinidamente.",
        "Only while the forget gate stays near 1. A default LSTM starts with f near 0.5 and its cell gradient "
        "vanishes like a plain RNN's. At lag 99 this is left:",
        "Solo mientras la puerta de olvido siga cerca de 1. Una LSTM por defecto empieza con f cerca de 0,5 y el "
        "gradiente de su celda se desvanece como en una RNN simple. A 99 pasos queda esto:",
    ),
    _row(
        "flow.gru_default", 240, 5, 1e-15, "at_most", 0,
        "A GRU solves the problem by its gates.",
        "Una GRU resuelve el problema con sus puertas.",
        "Its gates can, once they have learnt to. Before training they are half open, and at lag 99 this is left:",
        "Sus puertas pueden hacerlo, una vez que lo aprenden. Antes de entrenar están a medio abrir, y a 99 pasos "
        "queda esto:",
    ),
    _row(
        "flow.forget_one", 249, 5, 1e-9, "at_least", 0,
        "A forget bias of 1 helps: more than ten decades at lag 99.",
        "Un sesgo de olvido de 1 ayuda: más de diez décadas a 99 pasos.",
    ),
    _row(
        "flow.forget_99", 250, 5, 0.1, "at_least", 0,
        "With the forget gate at 0.99 the gradient crosses 99 steps whole.",
        "Con la puerta de olvido en 0,99 el gradiente cruza entero los 99 pasos.",
    ),
    _row(
        "dependency.lstm_default", 240, 5, 0.2, "at_most", 0,
        "An LSTM learns what a vanilla RNN cannot (success rate at length 100).",
        "Una LSTM aprende lo que una RNN simple no puede (tasa de éxito con longitud 100).",
        "Not by its architecture alone: with torch's default biases and 300 training steps it does not learn length "
        "100.",
        "No solo por su arquitectura: con los sesgos por defecto de torch y 300 pasos no aprende la longitud 100.",
    ),
    _row(
        "dependency.gru_default", 240, 5, 0.2, "at_most", 0,
        "A GRU learns what a vanilla RNN cannot (success rate at length 100).",
        "Una GRU aprende lo que una RNN simple no puede (tasa de éxito con longitud 100).",
        "Nor does the default GRU, in these 300 steps.",
        "Tampoco la GRU por defecto, en esos 300 pasos.",
    ),
    _row(
        "dependency.lstm_chrono", 249, 5, 0.8, "at_least", 0,
        "With its gates told how long to keep (chrono biases), the LSTM learns length 100 (success rate).",
        "Si los sesgos le dicen cuánto guardar (chrono), la LSTM aprende longitud 100 (tasa de éxito).",
    ),
    _row(
        "dependency.gru_chrono", 248, 5, 0.8, "at_least", 0,
        "So does the GRU with chrono biases (success rate).",
        "También la GRU con sesgos chrono (tasa de éxito).",
    ),
    _row(
        "char.beats_bigrams", None, 5, 0.05, "at_least", 0,
        "On real text the LSTM beats a table of letter pairs (bits per character saved on held-out text).",
        "Con texto real, la LSTM supera a una tabla de pares de letras (bits por carácter ahorrados en texto no "
        "visto).",
    ),
    _row(
        "char.horizon_moves", None, 5, 1.1, "at_least", 0,
        "As it learns, its gradient horizon moves further back (last over first).",
        "Al aprender, su horizonte de gradiente retrocede más (último entre primero).",
    ),
)  # fmt: skip
