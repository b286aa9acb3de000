"""The words of the exercise that places clipping."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Place clipping rightly", "Poner el recorte en su sitio"),
    "task": Text(
        (
            "Write training_step(model, optimizer, loss_fn, x, y, max_norm): one training step on loss_fn(model(x), "
            "y), with the gradient of all parameters together clipped to L2 norm max_norm. Gradients of the step "
            "before are still in the parameters when it begins."
        ),
        (
            "Escriba training_step(model, optimizer, loss_fn, x, y, max_norm): un paso de entrenamiento con "
            "loss_fn(model(x), y) y con el gradiente de todos los parámetros juntos recortado a norma L2 max_norm. "
            "Al empezar, los parámetros aún guardan los gradientes del paso anterior."
        ),
    ),
    "right": Text(
        "Right: the optimizer was handed {got} where the gradient had {norm}, in the same direction.",
        "Correcto: el optimizador recibió {got} donde el gradiente tenía {norm}, en la misma dirección.",
    ),
    "unclipped": Text(
        (
            "The optimizer was handed the whole gradient, norm {got}, limit {max_norm}. Clipping works on what "
            "backward has left in .grad: before backward there is nothing to clip, or something old."
        ),
        (
            "El optimizador recibió el gradiente entero, norma {got}, límite {max_norm}. El recorte actúa sobre lo "
            "que backward ha dejado en .grad: antes de backward no hay nada que recortar, o algo viejo."
        ),
    ),
    "after_step": Text(
        (
            "The gradient is clipped, but after the step: the weights have already moved by all of its {norm}. Clip "
            "between backward and optimizer.step()."
        ),
        (
            "El gradiente se recorta, pero después del paso: los pesos ya se movieron con sus {norm} enteros. "
            "Recorte entre backward y optimizer.step()."
        ),
    ),
    "accumulates": Text(
        (
            "The gradient of the step before was added to this one: backward adds to .grad. Call "
            "optimizer.zero_grad() before it."
        ),
        ("Al gradiente se le sumó el del paso anterior: backward suma en .grad. Llame antes a optimizer.zero_grad()."),
    ),
    "zeroed": Text(
        "The optimizer was handed zeros: zero_grad stands between backward and step.",
        "El optimizador recibió ceros: zero_grad está entre backward y step.",
    ),
    "by_value": Text(
        (
            "Every element was clamped on its own, which bends the direction. By norm, all of them shrink by one "
            "factor: grad_norm_, not grad_value_."
        ),
        (
            "Cada elemento se limitó por su cuenta, y eso tuerce la dirección. Por norma, todos se encogen con un "
            "mismo factor: grad_norm_, no grad_value_."
        ),
    ),
    "each": Text(
        (
            "Each parameter was clipped by itself, which changes their proportions, and all together they still have "
            "norm {got}. Hand all parameters to one call."
        ),
        (
            "Cada parámetro se recortó por separado: cambian sus proporciones y juntos siguen teniendo norma {got}. "
            "Entregue todos los parámetros en una sola llamada."
        ),
    ),
    "length": Text(
        (
            "The direction is right, the length is not: {got} where {max_norm} is the limit and the gradient had "
            "{norm}. A gradient below the limit stays as it is."
        ),
        (
            "La dirección es la correcta, la longitud no: {got}, con límite {max_norm} y un gradiente de {norm}. Un "
            "gradiente por debajo del límite se queda como está."
        ),
    ),
    "updates": Text(
        "optimizer.step() was called {updates} times; one training step is one call.",
        "optimizer.step() se llamó {updates} veces; un paso de entrenamiento es una llamada.",
    ),
    "other": Text(
        "What the optimizer was handed (norm {got}) is neither the gradient ({norm}) nor the clipped one.",
        "Lo que recibió el optimizador (norma {got}) no es el gradiente ({norm}) ni el recortado.",
    ),
}
