"""The words of the exercise that plots dL/dh_t."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Plot dL/dh_t", "Dibujar dL/dh_t"),
    "task": Text(
        (
            "Write plot_gradient(model, x, target). model.rnn is a recurrent layer of seqgrad, model.head reads its "
            "last state, model(x) gives the logits; x is [T, N, 3] and target [N]. Take the cross-entropy, run one "
            "backward, draw the norm of dL/dh_t over the whole batch against t = 0 ... T-1 on a logarithmic y axis, "
            "and return the Axes."
        ),
        (
            "Escriba plot_gradient(model, x, target). model.rnn es una capa recurrente de seqgrad, model.head lee su "
            "último estado y model(x) da los logits; x es [T, N, 3] y target [N]. Tome la entropía cruzada, haga un "
            "backward, dibuje la norma de dL/dh_t de todo el lote frente a t = 0 ... T-1 con el eje y logarítmico y "
            "devuelva los Axes."
        ),
    ),
    "right": Text(
        ("Right: the whole gradient at every timestep, on a scale on which a fixed loss per step is a straight line."),
        (
            "Correcto: el gradiente completo en cada paso, en una escala en la que perder una parte fija por paso es "
            "una línea recta."
        ),
    ),
    "direct": Text(
        (
            "These are the direct gradients alone: retain_grad on the output shows what the loss does with each "
            "state itself, which is 0 at every step but the last. What flows back through time stays inside the "
            'layer. Run forward and backward inside `with seqgrad.record(model) as rec:` and draw rec["rnn"].l0.'
        ),
        (
            "Son solo los gradientes directos: retain_grad sobre la salida muestra lo que la pérdida hace con cada "
            "estado, que es 0 en todos los pasos menos el último. Lo que vuelve a través del tiempo queda dentro de "
            'la capa. Haga forward y backward dentro de `with seqgrad.record(model) as rec:` y dibuje rec["rnn"].l0.'
        ),
    ),
    "mirrored": Text(
        (
            "The curve is mirrored: {got_first} stands at the first step, where {first} belongs. Draw against t, "
            "first step on the left; the gradient is largest at the last step, where the loss enters."
        ),
        (
            "La curva está en espejo: {got_first} aparece en el primer paso, donde corresponde {first}. Dibuje "
            "frente a t, con el primer paso a la izquierda; el gradiente es mayor en el último, donde entra la "
            "pérdida."
        ),
    ),
    "carry": Text(
        (
            "That is grad_carry, only what arrives from later steps: at the last step it is 0. The total dL/dh_t is "
            "grad_h."
        ),
        (
            "Eso es grad_carry, solo lo que llega de pasos posteriores: en el último paso vale 0. El dL/dh_t total "
            "es grad_h."
        ),
    ),
    "summed": Text(
        (
            "The norms of the samples were added up. The norm of the whole batch is the root of the sum of their "
            'squares: series.norm("grad_h").'
        ),
        (
            "Se sumaron las normas de las muestras. La norma de todo el lote es la raíz de la suma de sus cuadrados: "
            'series.norm("grad_h").'
        ),
    ),
    "averaged": Text(
        (
            "That is the mean over the samples. The norm of the whole batch is the root of the sum of their squares: "
            'series.norm("grad_h").'
        ),
        (
            "Eso es la media de las muestras. La norma de todo el lote es la raíz de la suma de sus cuadrados: "
            'series.norm("grad_h").'
        ),
    ),
    "one_sample": Text(
        'That is the first sample alone; the loss averages over all. Take series.norm("grad_h").',
        'Eso es solo la primera muestra; la pérdida promedia todas. Tome series.norm("grad_h").',
    ),
    "relative": Text(
        "The shape is right, but the values were divided by the last one. The norms themselves are asked for.",
        "La forma es la correcta, pero los valores se dividieron por el último. Se piden las normas mismas.",
    ),
    "log_of_norm": Text(
        'The logarithm belongs to the axis, not to the values: draw the norms and call ax.set_yscale("log").',
        'El logaritmo es cosa del eje, no de los valores: dibuje las normas y llame a ax.set_yscale("log").',
    ),
    "linear_axis": Text(
        (
            "The values are right, but the y axis is {scale}. On it everything that vanishes looks like the same 0: "
            'use ax.semilogy or ax.set_yscale("log").'
        ),
        (
            "Los valores son correctos, pero el eje y es {scale}. En él todo lo que se desvanece parece el mismo 0: "
            'use ax.semilogy o ax.set_yscale("log").'
        ),
    ),
    "no_line": Text(
        "The Axes hold no line with a point for every timestep.",
        "Los Axes no contienen ninguna línea con un punto por paso de tiempo.",
    ),
    "length": Text(
        "The line has {got} points; the sequence has {expected} timesteps.",
        "La línea tiene {got} puntos; la secuencia tiene {expected} pasos.",
    ),
    "other": Text(
        "The line should run from {first} at t = 0 to {last} at the last step; it ends at {got}.",
        "La línea debería ir de {first} en t = 0 a {last} en el último paso; termina en {got}.",
    ),
}
