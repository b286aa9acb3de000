"""What the clipping experiment claims and says.

Tolerances: five and more seeds each. The relu network finished clipped by norm and broke at training step 2 without
clipping, and with the state's gradient clipped, in all of them; by value it stayed finite and its last loss lay between
1 and 60000. The tanh network, 400 seeds: median accuracy 0.63 without, 0.97 by norm, 0.76 by state. By norm it was
above state's in 399, by state above none's in two thirds (mean gain 0.08, spread 0.20: a few seeds cannot tell). Its
longest gradient in 300 trainings was 99 with the state's gradient clipped, 10^8 without.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "clipping.rule",
        line=122,
        item=3,
        expected=1e-05,
        relation="at_most",
        en="If the norm exceeds max_norm, g becomes g · max_norm / ‖g‖ (relative distance to the rule).",
        es="Si la norma supera max_norm, g pasa a ser g · max_norm / ‖g‖ (distancia relativa a la regla).",
    ),
    spec(
        "clipping.bounded",
        line=112,
        item=3,
        expected=1.000001,
        relation="at_most",
        en="After clipping by norm no gradient is longer than max_norm = 1 (the longest).",
        es="Tras recortar por norma ningún gradiente es más largo que max_norm = 1 (el más largo).",
    ),
    spec(
        "clipping.norm_direction",
        line=112,
        item=3,
        expected=1,
        relation="absolute",
        tolerance=1e-05,
        en="Clipping by norm keeps the direction (cosine to the true gradient).",
        es="Recortar por norma conserva la dirección (coseno con el gradiente verdadero).",
    ),
    spec(
        "clipping.value_direction",
        line=115,
        item=3,
        expected=0.9,
        relation="at_most",
        en="Clipping by value bends the direction (smallest cosine to the true gradient).",
        es="Recortar por valor tuerce la dirección (menor coseno con el gradiente verdadero).",
    ),
    spec(
        "clipping.both",
        line=115,
        item=3,
        expected=0.01,
        relation="at_most",
        en="Clip by norm, and then by value.",
        es="Recorte por norma y, después, por valor.",
        right_en=(
            "One after the other, the second has nearly nothing left to do: once the norm is 1, hardly an element "
            "exceeds 0.5. Choose one. Largest share of elements that the second still changes:"
        ),
        right_es=(
            "Uno tras otro, al segundo no le queda casi nada que hacer: con norma 1 apenas hay elementos mayores que "
            "0,5. Conviene elegir uno. Mayor parte de los elementos que el segundo aún cambia:"
        ),
    ),
    spec(
        "clipping.turned",
        line=112,
        item=3,
        expected=-1,
        relation="absolute",
        tolerance=1e-05,
        en=(
            "A negative max_norm makes torch's clip_grad_norm_ turn the gradient round, without a word (cosine to the "
            "true gradient)."
        ),
        es=(
            "Con un max_norm negativo, clip_grad_norm_ de torch da la vuelta al gradiente sin avisar (coseno con el "
            "gradiente verdadero)."
        ),
    ),
    spec(
        "clipping.negative",
        line=112,
        item=3,
        expected=1,
        relation="absolute",
        en="seqgrad.clip refuses bounds that make no sense: negative ones and NaN (share of calls that raise).",
        es="seqgrad.clip rechaza límites sin sentido: negativos y NaN (parte de las llamadas que dan error).",
    ),
    spec(
        "clipping.saves",
        line=108,
        item=3,
        expected=0.8,
        relation="at_least",
        en=(
            "Clipped by norm, the exploding relu network trains to the end and ends at a fifth of its first loss or "
            "less (share of seeds)."
        ),
        es=(
            "Recortada por norma, la red relu que explota entrena hasta el final y acaba en un quinto de su primera "
            "pérdida o menos (proporción de semillas)."
        ),
    ),
    spec(
        "clipping.value",
        line=115,
        item=3,
        expected=0.8,
        relation="at_least",
        en="Clipped by value it stays finite too, though it may end far from where it should (share of seeds).",
        es=(
            "Recortada por valor también sigue siendo finita, aunque puede acabar lejos de donde debe "
            "(proporción de semillas)."
        ),
    ),
    spec(
        "clipping.state",
        line=None,
        item=3,
        expected=0.8,
        relation="at_least",
        en=(
            "Clipping at every timestep the gradient that travels back does not save a network whose states "
            "explode too: the weights' gradient is the one that travels times the state, and a relu state alone "
            "is thousands (share of seeds that end in NaN)."
        ),
        es=(
            "Recortar en cada paso temporal el gradiente que viaja hacia atrás no salva a una red cuyos estados "
            "también explotan: el gradiente de los pesos es el que viaja por el estado, y un estado relu por sí "
            "solo vale miles (proporción de semillas que acaban en NaN)."
        ),
    ),
    spec(
        "clipping.state_tanh",
        line=None,
        item=3,
        expected=200,
        relation="at_most",
        en=(
            "In a tanh network, whose states are bounded, it does bound the weights' gradient (longest norm in any of "
            "the trainings)."
        ),
        es=(
            "En una red tanh, con estados acotados, sí acota el gradiente de los pesos (norma más larga en cualquiera "
            "de los entrenamientos)."
        ),
    ),
    spec(
        "clipping.state_less",
        line=None,
        item=3,
        expected=0.8,
        relation="at_least",
        en="Even so, clipping by norm teaches the tanh network more (share of seeds with the higher accuracy).",
        es="Aun así, recortar por norma enseña más a la red tanh (proporción de semillas con mayor acierto).",
    ),
    spec(
        "clipping.after_nan",
        line=88,
        item=3,
        expected=0,
        relation="absolute",
        en=(
            "After a NaN clipping does nothing, or worse: the norm is NaN, and one bad element spreads to all "
            "(share of weights that are still numbers after one step clipped by torch)."
        ),
        es=(
            "Tras un NaN el recorte no hace nada, o empeora: la norma es NaN, y un solo elemento malo se "
            "extiende a todos (parte de los pesos que siguen siendo números tras un paso recortado con torch)."
        ),
    ),
    spec(
        "clipping.vanishing",
        line=108,
        item=3,
        expected=0.2,
        relation="at_most",
        en=(
            "Clipping does not cure vanishing: a default RNN does not learn length 50 with any way of clipping (best "
            "success rate)."
        ),
        es=(
            "El recorte no cura el desvanecimiento: una RNN por defecto no aprende longitud 50 con ningún recorte "
            "(mejor tasa de éxito)."
        ),
    ),
    spec(
        "clipping.orthogonal",
        line=132,
        item=3,
        expected=0.8,
        relation="at_least",
        en="An orthogonal start learns it with each of them, and without clipping (worst success rate).",
        es="Un comienzo ortogonal lo aprende con cada uno de ellos y también sin recorte (peor tasa de éxito).",
    ),
)

TEXTS: dict[str, Text] = {
    "clipping.before": Text("norm of the gradient before clipping", "norma del gradiente antes de recortar"),
    "clipping.after": Text("norm after", "norma después"),
    "clipping.cosine": Text("cosine to the true one", "coseno con el verdadero"),
    "clipping.default": Text("default RNN (vanishes)", "RNN por defecto (se desvanece)"),
    "clipping.orthogonal": Text("orthogonal, zero biases", "ortogonal, sesgos a cero"),
    "clipping.rule.alt": Text(
        (
            "Norm after clipping against norm before, logarithmic. By norm it follows the diagonal up to "
            "{max_norm:n} and is flat from there; by value it bends later and goes on rising. Below, the cosine "
            "to the true gradient: 1 by norm, falling to {cosine_value:n} by value."
        ),
        (
            "Norma después de recortar frente a norma antes, logarítmica. Por norma sigue la diagonal hasta "
            "{max_norm:n} y desde ahí es plana; por valor se dobla más tarde y sigue subiendo. Abajo, el coseno con el "
            "gradiente verdadero: 1 por norma, bajando hasta {cosine_value:n} por valor."
        ),
    ),
    "clipping.rule.caption": Text(
        (
            "One gradient of a tanh RNN (W_hh = {gain:n} Q, T={length}), scaled over five decades and clipped by norm "
            "{max_norm:n}, by value {clip_value:n}, and by both. Medians of {seeds} seeds."
        ),
        (
            "Un gradiente de una RNN tanh (W_hh = {gain:n} Q, T={length}), escalado a lo largo de cinco décadas y "
            "recortado por norma {max_norm:n}, por valor {clip_value:n} y por ambos. Medianas de {seeds} semillas."
        ),
    ),
    "clipping.training.alt": Text(
        (
            "Training loss of an exploding relu RNN with four ways of clipping, logarithmic. Without clipping, "
            "and with the state's gradient clipped, it turns NaN at once; by norm it falls steadily, by value it "
            "wanders. Share of seeds that finish: none {finished_none:.0%}, norm {finished_norm:.0%}, value "
            "{finished_value:.0%}, state {finished_state:.0%}."
        ),
        (
            "Pérdida de entrenamiento de una RNN relu que explota con cuatro recortes, logarítmica. Sin recorte, y con "
            "recorte del gradiente del estado, pasa a NaN enseguida; por norma baja de forma estable, por valor vaga. "
            "Semillas que terminan: sin recorte {finished_none:.0%}, norma {finished_norm:.0%}, valor "
            "{finished_value:.0%}, estado {finished_state:.0%}."
        ),
    ),
    "clipping.training.caption": Text(
        (
            "A relu RNN, W_hh = {gain:n} times the identity, T={length}, plain SGD at 0.01, {steps} steps, "
            "{seeds} seeds each. Thick: the first seed. A cross: the loss is no longer a number."
        ),
        (
            "Una RNN relu, W_hh = {gain:n} veces la identidad, T={length}, SGD simple a 0,01, {steps} pasos, {seeds} "
            "semillas por caso. Gruesa: la primera semilla. Una cruz: la pérdida ya no es un número."
        ),
    ),
    "clipping.vanishing.alt": Text(
        (
            "Accuracy of two RNNs on the lesson's task, a dot per seed, for four ways of clipping. The default "
            "one, whose gradient vanishes, stays at chance with all four; the orthogonal one learns with all "
            "four."
        ),
        (
            "Acierto de dos RNN en la tarea de la lección, un punto por semilla, con cuatro recortes. La RNN por "
            "defecto, cuyo gradiente se desvanece, se queda en el azar con los cuatro; la ortogonal aprende con los "
            "cuatro."
        ),
    ),
    "clipping.vanishing.caption": Text(
        (
            "The lesson's task at T={length}, H=32, Adam at 0.001, {steps} steps of 32 samples, {seeds} seeds "
            "each, tested on 1000 fresh samples. Above each group: seeds that reach 90 %."
        ),
        (
            "La tarea de la lección con T={length}, H=32, Adam a 0,001, {steps} pasos de 32 muestras, {seeds} "
            "semillas por caso, prueba con 1000 muestras nuevas. Sobre cada grupo: semillas que llegan al 90 %."
        ),
    ),
    "name.clipping": Text("what clipping does, and what it cannot do", "lo que hace el recorte y lo que no puede"),
}
