"""What the Lyapunov experiment claims and says.

Tolerances: five seeds of each gain gave gaps of at most .002 between the medians of exponent and growth, crossings
within .4 %, and horizons of .9 times the foretold ones; the Gaussian spectrum was off by .006.
"""

from __future__ import annotations

from seqgrad.experiments._word import Text, spec

CLAIMS = (
    spec(
        "lyapunov.linear",
        expected=1e-6,
        relation="at_most",
        en="A linear network's Lyapunov exponents are ln |eigenvalues of W_hh| (worst distance).",
        es="Los exponentes de Lyapunov de una red lineal son ln |autovalores de W_hh| (peor distancia).",
    ),
    spec(
        "lyapunov.gaussian",
        expected=0.03,
        relation="at_most",
        en="Products of independent Gaussian Jacobians have the exponents of the closed form (worst distance).",
        es=(
            "Los productos de jacobianas gaussianas independientes tienen los exponentes de la fórmula (peor "
            "distancia)."
        ),
    ),
    spec(
        "lyapunov.growth",
        expected=0.02,
        relation="at_most",
        en="The largest exponent is the rate at which the recorded gradient grows (worst distance, nats per step).",
        es="El mayor exponente es el ritmo al que crece el gradiente registrado (peor distancia, nats por paso).",
    ),
    spec(
        "lyapunov.crossing",
        expected=1.0,
        relation="relative",
        tolerance=0.03,
        en="The exponent passes 0 at the gain where gradients neither vanish nor explode (ratio of both gains).",
        es=(
            "El exponente pasa por 0 con la ganancia en la que el gradiente ni se desvanece ni explota (cociente "
            "de ambas)."
        ),
    ),
    spec(
        "lyapunov.edge",
        expected=1.05,
        relation="at_least",
        en="Gradients neither vanish nor explode at gain 1.",
        es="El gradiente ni se desvanece ni explota con ganancia 1.",
        right_en="At rest. Inputs move tanh to flatter places, and the edge lies at a larger gain.",
        right_es="En reposo. Las entradas llevan a tanh a zonas más planas, y el borde queda en una ganancia mayor.",
    ),
    spec(
        "lyapunov.horizon",
        expected=1.0,
        relation="relative",
        tolerance=0.25,
        en="The horizon of 1e-3 is ln(1e-3) over the exponent (median of measured over foretold).",
        es="El horizonte de 1e-3 es ln(1e-3) entre el exponente (mediana de medido entre predicho).",
    ),
)

TEXTS: dict[str, Text] = {
    "name.lyapunov": Text("Lyapunov exponents and gradients", "exponentes de Lyapunov y gradientes"),
    "lyapunov.exponent": Text("largest Lyapunov exponent", "mayor exponente de Lyapunov"),
    "lyapunov.growth": Text("growth of ln ‖∂L/∂h‖, recorded", "crecimiento de ln ‖∂L/∂h‖, registrado"),
    "lyapunov.linear": Text("linear network, ln |eigenvalues|", "red lineal, ln |autovalores|"),
    "lyapunov.gaussian": Text("independent Gaussian Jacobians", "jacobianas gaussianas independientes"),
    "lyapunov.equal": Text("as foretold", "lo predicho"),
    "lyapunov.axis.rate": Text("nats per step", "nats por paso"),
    "lyapunov.axis.index": Text("exponent, largest first", "exponente, de mayor a menor"),
    "lyapunov.axis.predicted": Text("ln(10$^{-3}$) / largest exponent", "ln(10$^{-3}$) / mayor exponente"),
    "lyapunov.axis.horizon": Text("horizon of 10$^{-3}$, measured (steps)", "horizonte de 10$^{-3}$, medido (pasos)"),
    "lyapunov.gains.caption": Text(
        (
            "tanh RNNs, H={width}, weights N(0, g²/H), every unit hears noise of standard deviation {drive:n}; {batch} "
            "sequences of {steps} steps after {warm}, {seeds} seeds (line and crosses: medians), float64, no training."
        ),
        (
            "RNN tanh, H={width}, pesos N(0, g²/H), cada unidad oye ruido de desviación típica {drive:n}; {batch} "
            "secuencias de {steps} pasos tras {warm}, {seeds} semillas (línea y cruces: medianas), float64, sin "
            "entrenar."
        ),
    ),
    "lyapunov.gains.alt": Text(
        (
            "The largest exponent rises with the gain and passes 0 at {crossing:n}; crosses of the recorded gradient's "
            "growth lie on it within {gap:n} and pass 0 at {crossing_growth:n}."
        ),
        (
            "El mayor exponente sube con la ganancia y pasa por 0 en {crossing:n}; las cruces del crecimiento del "
            "gradiente registrado caen sobre él a menos de {gap:n} y pasan por 0 en {crossing_growth:n}."
        ),
    ),
    "lyapunov.spectrum.caption": Text(
        "{small} exponents each, marks measured by the QR method, lines by the closed forms.",
        "{small} exponentes en cada caso: marcas medidas con el método QR, líneas de las fórmulas exactas.",
    ),
    "lyapunov.spectrum.alt": Text(
        (
            "Two falling spectra; measured marks lie on the lines of theory, within {linear_error:n} for the linear "
            "network and {gaussian_error:n} for the Gaussian Jacobians."
        ),
        (
            "Dos espectros que bajan; las marcas medidas caen sobre las líneas teóricas, a menos de "
            "{linear_error:n} en la red lineal y {gaussian_error:n} en las jacobianas gaussianas."
        ),
    ),
    "lyapunov.horizon.caption": Text(
        (
            "The networks whose horizon should fit into half a sequence, a dot each: how many steps back the gradient "
            "stays above a thousandth."
        ),
        (
            "Las redes cuyo horizonte debería caber en media secuencia, un punto cada una: cuántos pasos atrás el "
            "gradiente supera una milésima."
        ),
    ),
    "lyapunov.horizon.alt": Text(
        "Dots near the diagonal: the measured horizon is {ratio:n} times the foretold one in the median.",
        "Puntos cerca de la diagonal: el horizonte medido es {ratio:n} veces el predicho, en mediana.",
    ),
}
