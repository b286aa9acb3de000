"""What the curse of memory claims and says. Closed forms hold to rounding; five runs of 800 units scatter by 4 %."""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "curse.state",
        expected=1e-9,
        relation="at_most",
        en="A unit h_t = w h_(t-1) + x_t grows to E[h²] = 1 / (1 − w²) for white inputs (worst relative distance).",
        es=(
            "Una unidad h_t = w h_(t-1) + x_t crece hasta E[h²] = 1 / (1 − w²) con ruido blanco (peor distancia "
            "relativa)."
        ),
    ),
    spec(
        "curse.sensitivity",
        expected=1e-9,
        relation="at_most",
        en="Its sensitivity to w is E[(dh/dw)²] = (1 + w²) / (1 − w²)³ for white inputs (worst relative distance).",
        es="Su sensibilidad a w es E[(dh/dw)²] = (1 + w²) / (1 − w²)³ con ruido blanco (peor distancia relativa).",
    ),
    spec(
        "curse.sampled",
        expected=0.2,
        relation="at_most",
        en="Random inputs, white and correlated, give the same within their scatter (worst relative distance).",
        es="Las entradas al azar, blancas y correlacionadas, dan lo mismo salvo dispersión (peor distancia relativa).",
    ),
    spec(
        "curse.no_explosion",
        expected=1.0,
        relation="at_most",
        en="Without exploding gradients a recurrent weight is easy to train (largest gradient of a timestep).",
        es="Sin gradientes que exploten, un peso recurrente es fácil de entrenar (mayor gradiente de un paso).",
        right_en=(
            "No timestep's gradient ever exceeds the last one's, and yet the derivative by the weight that all steps "
            "share grows without bound as w nears 1: many small parts add up."
        ),
        right_es=(
            "El gradiente de ningún paso supera al del último y, aun así, la derivada respecto al peso que comparten "
            "todos crece sin límite cuando w se acerca a 1: se suman muchas partes pequeñas."
        ),
    ),
    spec(
        "curse.power",
        expected=-3.0,
        relation="absolute",
        tolerance=0.01,
        en="The squared sensitivity grows with the third power of the memory 1 / (1 − w²).",
        es="La sensibilidad al cuadrado crece con la tercera potencia de la memoria 1 / (1 − w²).",
    ),
    spec(
        "curse.normalised",
        expected=-2.0,
        relation="absolute",
        tolerance=0.01,
        en="Normalising the state, √(1 − w²) h, cures the sensitivity (power of 1 − w²).",
        es="Normalizar el estado, √(1 − w²) h, cura la sensibilidad (potencia de 1 − w²).",
        right_en="It takes one power away; two remain.",
        right_es="Quita una potencia; quedan dos.",
    ),
    spec(
        "curse.reparametrised",
        expected=1e-9,
        relation="at_most",
        en=(
            "Normalised and with w = tanh(ν), the sensitivity to ν is 1 for every memory (worst distance, white "
            "inputs)."
        ),
        es="Con el estado normalizado y w = tanh(ν), la sensibilidad a ν es 1 con cualquier memoria (peor distancia).",
    ),
)

TEXTS: dict[str, Text] = {
    "name.curse_of_memory": Text("the curse of memory", "la maldición de la memoria"),
    "curse.axis.gap": Text("1 − w (longer memory to the right)", "1 − w (más memoria hacia la derecha)"),
    "curse.axis.sensitivity": Text("E[(dh/dw)²]", "E[(dh/dw)²]"),
    "curse.axis.cures": Text("squared sensitivity", "sensibilidad al cuadrado"),
    "curse.white": Text("white inputs", "ruido blanco"),
    "curse.correlated": Text("inputs with correlation 0.9", "entradas con correlación 0,9"),
    "curse.largest": Text("largest gradient of a timestep", "mayor gradiente de un paso"),
    "curse.sensitivity": Text("to w", "a w"),
    "curse.normalised": Text("to w, state normalised", "a w, estado normalizado"),
    "curse.reparametrised": Text("to ν, w = tanh(ν), state normalised", "a ν, w = tanh(ν), estado normalizado"),
    "curse_of_memory.sensitivity.caption": Text(
        (
            "Sensitivity of the last state to the weight of h_t = w h_(t-1) + x_t. Lines: closed forms; marks: "
            "impulse responses of {lags} units by one backward each; crosses: means over {samples} units with random "
            "inputs. float64, no training."
        ),
        (
            "Sensibilidad del último estado al peso de h_t = w h_(t-1) + x_t. Líneas: fórmulas exactas; marcas: "
            "respuestas a impulsos de {lags} unidades con una sola retropropagación; cruces: medias de {samples} "
            "unidades con entradas al azar. float64, sin entrenar."
        ),
    ),
    "curse_of_memory.sensitivity.alt": Text(
        (
            "On two logarithmic axes the sensitivity rises from {start:n} at w = {low:n} to {sensitivity:n} at w = "
            "{high:n}, on the lines of the closed forms; the largest gradient of a timestep stays at {largest:n}."
        ),
        (
            "En dos ejes logarítmicos la sensibilidad sube de {start:n} con w = {low:n} a {sensitivity:n} con w = "
            "{high:n}, sobre las líneas de las fórmulas; el mayor gradiente de un paso se queda en {largest:n}."
        ),
    ),
    "curse_of_memory.cures.caption": Text(
        "White inputs, the same impulse responses of {lags} units: what normalising and another parameter change.",
        "Ruido blanco, las mismas respuestas de {lags} unidades: lo que cambian la normalización y otro parámetro.",
    ),
    "curse_of_memory.cures.alt": Text(
        (
            "Three rising or level curves against 1 − w: the plain sensitivity ends at {sensitivity:n}, the normalised "
            "one at {normalised:n}, and that to ν stays at {tame:n}."
        ),
        (
            "Tres curvas frente a 1 − w: la sensibilidad simple acaba en {sensitivity:n}, la normalizada en "
            "{normalised:n}, y la de ν se queda en {tame:n}."
        ),
    ),
}
