"""The words of the exercise that finds a NaN."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Where was the NaN born?", "¿Dónde nació el NaN?"),
    "task": Text(
        (
            "Write first_nan(model, loss_fn, x). model.rnn is a recurrent layer of seqgrad, model(x) gives all its "
            "states [T, N, 8], loss_fn(states) the loss. Run one backward and return the timestep t at which, in the "
            "order of backpropagation, the first NaN of dL/dh_t appeared; None if there is none."
        ),
        (
            "Escriba first_nan(model, loss_fn, x). model.rnn es una capa recurrente de seqgrad, model(x) da todos "
            "sus estados [T, N, 8] y loss_fn(states) la pérdida. Haga un backward y devuelva el paso t en el que, en "
            "el orden de la retropropagación, apareció el primer NaN de dL/dh_t; None si no hay ninguno."
        ),
    ),
    "right": Text(
        "Right: backpropagation starts at the last step, so the culprit is the last step that is NaN.",
        "Correcto: la retropropagación empieza en el último paso, así que el culpable es el último paso con NaN.",
    ),
    "earliest": Text(
        (
            "At t = 0 the NaN has only arrived: from where it was born it spread to every earlier step. "
            "Backpropagation runs from the last step to the first; which step meets the NaN first?"
        ),
        (
            "A t = 0 el NaN solo llegó: desde donde nació se extendió a todos los pasos anteriores. La "
            "retropropagación va del último paso al primero; ¿qué paso se encuentra primero con el NaN?"
        ),
    ),
    "off_by_one": Text(
        "Very close: t = {got} is the neighbour of the step where it was born. t counts from 0.",
        "Muy cerca: t = {got} es vecino del paso donde nació. t se cuenta desde 0.",
    ),
    "backwards": Text(
        "{got} is counted back from the end. t counts from the start of the sequence.",
        "{got} está contado hacia atrás desde el final. t se cuenta desde el principio de la secuencia.",
    ),
    "overlooks": Text(
        "There is a NaN, and the answer was None. Look at grad_h at every step and sample.",
        "Hay un NaN y la respuesta fue None. Mire grad_h en cada paso y muestra.",
    ),
    "invents": Text(
        "One of the losses gives no NaN at all; the answer must then be None, not {got}.",
        "Una de las pérdidas no da ningún NaN; entonces la respuesta tiene que ser None, no {got}.",
    ),
    "other": Text(
        "t = {got} is not where it was born. See rec.first_nonfinite.",
        "t = {got} no es donde nació. Vea rec.first_nonfinite.",
    ),
}
