"""The words of the exercise that chooses an initialisation."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Choose an initialisation", "Elegir una inicialización"),
    "task": Text(
        (
            "Write initialise(rnn). rnn is a fresh seqgrad.RNN with tanh. Change its parameters in place so that of "
            "the gradient of a loss on the last state a good part arrives 99 steps earlier: the norm there between "
            "0.05 and 20 times the norm at the last step. The input is noise at the first step and silence after it."
        ),
        (
            "Escriba initialise(rnn). rnn es una seqgrad.RNN recién creada, con tanh. Cambie sus parámetros en el "
            "sitio para que una buena parte del gradiente de una pérdida sobre el último estado llegue 99 pasos "
            "antes: allí la norma debe valer entre 0,05 y 20 veces la del último paso. La entrada es ruido en el "
            "primer paso y silencio después."
        ),
    ),
    "right": Text(
        "Right: {ratio} of the gradient arrives {steps} steps back. torch's default leaves about 1e-24.",
        (
            "Correcto: {ratio} del gradiente llega {steps} pasos atrás. Con los valores por defecto de torch queda "
            "cerca de 1e-24."
        ),
    ),
    "vanishes": Text(
        (
            "The gradient vanishes: {ratio} of it arrives {steps} steps back. The singular values of W_hh lie "
            "between {smallest} and {largest}; what does every step multiply by if all of them are 1?"
        ),
        (
            "El gradiente se desvanece: {ratio} llega {steps} pasos atrás. Los valores singulares de W_hh van de "
            "{smallest} a {largest}; ¿por cuánto multiplica cada paso si todos valen 1?"
        ),
    ),
    "biases": Text(
        (
            "W_hh is orthogonal, and still only {ratio} arrives {steps} steps back: the default biases push tanh off "
            "its steepest point, at every step. They have to be 0 as well."
        ),
        (
            "W_hh es ortogonal y aun así solo {ratio} llega {steps} pasos atrás: los sesgos por defecto apartan la "
            "tanh de su punto más empinado en cada paso. También tienen que ser 0."
        ),
    ),
    "explodes": Text(
        (
            "The gradient explodes: it is {ratio} times as large {steps} steps back. The largest singular value of "
            "W_hh is {largest}; to the power of {steps} even a little above 1 is much."
        ),
        (
            "El gradiente explota: {steps} pasos atrás es {ratio} veces mayor. El mayor valor singular de W_hh es "
            "{largest}; elevado a {steps}, hasta un poco más que 1 es mucho."
        ),
    ),
    "dead": Text(
        "No gradient arrives at all: W_hh has been emptied, or holds something that is not a number.",
        "No llega ningún gradiente: W_hh quedó vacía o contiene algo que no es un número.",
    ),
    "deaf": Text(
        (
            "The gradient travels, but the layer does not hear its input any more: the last states of different "
            "samples differ by {spread}. Leave W_ih its weights."
        ),
        (
            "El gradiente viaja, pero la capa ya no oye su entrada: los últimos estados de distintas muestras se "
            "diferencian en {spread}. Deje a W_ih sus pesos."
        ),
    ),
}
