"""What findings say, in English and Spanish: the one home of their words.

A rule names a text by its key and hands over what only it knows; the fields of the :class:`~seqgrad.rules.Finding`
itself (t, sample, value, threshold ...) can be used as well. ``{x:say:cure}`` is the word ``cure.<x>``.
"""

from __future__ import annotations

from seqgrad._speech import Text

HEADS = {
    "step": Text("step {step}", "paso {step}"),
    "model": Text("the model", "el modelo"),
    "forward": Text("forward", "directa"),
    "reverse": Text("reverse", "inversa"),
}

TITLES = {
    "NonFinite": Text("NonFinite", "NaN o infinito"),
    "MissingDetach": Text("MissingDetach", "Falta cortar el estado"),
    "StaleGradients": Text("StaleGradients", "Gradientes sin borrar"),
    "SwappedAxes": Text("SwappedAxes", "Ejes intercambiados"),
    "ReadTooEarly": Text("ReadTooEarly", "Lectura demasiado temprana"),
    "Padding": Text("Padding", "Relleno contado como datos"),
    "LearningRate": Text("LearningRate", "Tasa de aprendizaje"),
    "LossScale": Text("LossScale", "Escala de la pérdida"),
    "Underflow": Text("Underflow", "Desbordamiento hacia cero"),
    "DeadUnits": Text("DeadUnits", "Unidades muertas"),
    "Saturation": Text("Saturation", "Saturación"),
    "ExplodingState": Text("ExplodingState", "Estado que explota"),
    "Exploding": Text("Exploding", "Gradiente que explota"),
    "Vanishing": Text("Vanishing", "Gradiente que se desvanece"),
}

WORDS = {
    "gate.i": Text("input gate", "la puerta de entrada"),
    "gate.f": Text("forget gate", "la puerta de olvido"),
    "gate.g": Text("cell candidate", "la celda candidata"),
    "gate.o": Text("output gate", "la puerta de salida"),
    "gate.r": Text("reset gate", "la puerta de reinicio"),
    "gate.z": Text("update gate", "la puerta de actualización"),
    "gate.n": Text("candidate", "la activación candidata"),
    "cure.gate": Text("open its gate for longer memories", "abre su puerta para memorias más largas"),
    "cure.matrix": Text("give W_hh singular values of 1", "da a W_hh valores singulares de 1"),
    "cure.add_less": Text("let each step add less", "haz que cada paso sume menos"),
    "cure.identity": Text("start from the identity", "empieza con la identidad"),
    "side.before": Text("before", "antes de"),
    "side.after": Text("after", "después de"),
    "end.first": Text("first", "primer"),
    "end.last": Text("last", "último"),
}

BODIES = {
    # -- gradients that are too large --
    "Exploding.grows": Text(
        "the gradient explodes: ||dL/dh_t|| over the batch passes {threshold:g} at t={t} (most of it in sample "
        "{sample}) and reaches {peak:.3g} at t={peak_t}, {factor:.3g} times as large with every step back; clip it",
        "el gradiente explota: ||dL/dh_t|| en el lote supera {threshold:g} en t={t} (sobre todo en la muestra "
        "{sample}) y llega a {peak:.3g} en t={peak_t}, {factor:.3g} veces mayor con cada paso hacia atrás; recórtalo",
    ),
    "Exploding.jumps": Text(
        "||dL/dh_t|| over the batch jumps to {value:.3g} at t={t} (most of it in sample {sample}), {times:.3g} times "
        "its running median of {usual:.3g}, threshold {spike:g} times; clip it",
        "||dL/dh_t|| en el lote salta a {value:.3g} en t={t} (sobre todo en la muestra {sample}), {times:.3g} veces "
        "su mediana móvil de {usual:.3g}, umbral {spike:g} veces; recórtalo",
    ),
    "Exploding.parameter": Text(
        "the norm of its gradient is {value:.3g}, above {threshold:g}; clip it",
        "la norma de su gradiente es {value:.3g}, por encima de {threshold:g}; recórtalo",
    ),
    "LossScale.high": Text(
        "||dL/dh_t|| over the batch is {value:.3g} where the loss enters, t={t} (most of it in sample {sample}), above "
        "{threshold:g} before any recurrence: the loss is summed or scaled (by a GradScaler? then hand it to "
        "step(scaler=...)); divide it",
        "||dL/dh_t|| en el lote es {value:.3g} donde entra la pérdida, t={t} (sobre todo en la muestra {sample}), por "
        "encima de {threshold:g} antes de toda recurrencia: la pérdida está sumada o escalada (¿por un GradScaler? "
        "pásalo entonces a step(scaler=...)); divídela",
    ),
    "LossScale.low": Text(
        "||dL/dh_t|| over the batch is at most {value:.3g} in the layer next to the loss, which enters at t={t}: below "
        "{threshold:g}, the loss is scaled down, and an optimizer's eps drowns the gradient; multiply it",
        "||dL/dh_t|| en el lote es como mucho {value:.3g} en la capa más cercana a la pérdida, que entra en t={t}: por "
        "debajo de {threshold:g}, la pérdida está reducida y el eps del optimizador ahoga el gradiente; multiplícala",
    ),
    "LossScale.parameter": Text(
        "the norm of its gradient is {value:.3g}, above {threshold:g}, and no recurrent layer makes gradients grow: "
        "the loss is summed or scaled; divide it",
        "la norma de su gradiente es {value:.3g}, por encima de {threshold:g}, y ninguna capa recurrente hace crecer "
        "los gradientes: la pérdida está sumada o escalada; divídela",
    ),
    # -- gradients that are lost --
    "Vanishing.gone": Text(
        "the gradient vanishes: from t={t} on (weakest in sample {sample}) ||dL/dh_t|| is below {threshold:g} of what "
        "it is where the loss enters, at the end {value:.2g}; what happens {side:say:side} t={t} is not learnt; "
        "{cure:say:cure}",
        "el gradiente se desvanece: a partir de t={t} (lo más débil, en la muestra {sample}) ||dL/dh_t|| queda por "
        "debajo de {threshold:g} de lo que es donde entra la pérdida, y al final en {value:.2g}; lo que pasa "
        "{side:say:side} t={t} no se aprende; {cure:say:cure}",
    ),
    "Vanishing.share": Text(
        "the gradient vanishes: from t={t} on (weakest in sample {sample}) ||dL/dh_t|| is below {threshold:g} of what "
        "it is where the loss enters, at the end {value:.2g}, and all steps from there on make {rest:.2g} of dW_hh; "
        "what happens {side:say:side} t={t} is not learnt; {cure:say:cure}",
        "el gradiente se desvanece: a partir de t={t} (lo más débil, en la muestra {sample}) ||dL/dh_t|| queda por "
        "debajo de {threshold:g} de lo que es donde entra la pérdida, y al final en {value:.2g}, y todos los pasos "
        "desde ahí suman {rest:.2g} de dW_hh; lo que pasa {side:say:side} t={t} no se aprende; {cure:say:cure}",
    ),
    "Vanishing.hidden": Text(
        "each step passes on {value:.3g} of its gradient, so of a loss at the end of the sequence less than {rel:g} is "
        "left from t={t} on backwards; other losses keep ||dL/dh_t|| up there and hide it. If the task needs a longer "
        "memory, {cure:say:cure}",
        "cada paso transmite {value:.3g} de su gradiente, así que de una pérdida al final de la secuencia queda menos "
        "de {rel:g} desde t={t} hacia atrás; otras pérdidas mantienen alto ||dL/dh_t|| allí y lo ocultan. Si la tarea "
        "necesita una memoria más larga, {cure:say:cure}",
    ),
    "Underflow.lost": Text(
        "the float16 gradient underflows: ||dL/dh_t|| is {value:.3g} at t={t}, sample {sample}, below {threshold:.2g}, "
        "which float16 stores as 0 ({lost} of {steps} steps, {zeros} exactly 0; largest {largest:.3g}); scale the loss "
        "up",
        "el gradiente en float16 se pierde por pequeño: ||dL/dh_t|| es {value:.3g} en t={t}, muestra {sample}, por "
        "debajo de {threshold:.2g}, que float16 guarda como 0 ({lost} de {steps} pasos, {zeros} exactamente 0; el "
        "mayor, {largest:.3g}); aumenta la escala de la pérdida",
    ),
    # -- NaN and Inf --
    "NonFinite.weight": Text(
        "this weight is not finite itself, so no state can be; go back to the last good checkpoint",
        "este peso ya no es finito, así que ningún estado puede serlo; vuelve al último punto de control sano",
    ),
    "NonFinite.input": Text(
        "{value} comes in with the input at t={t}, sample {sample}, and spreads from there; mend the data",
        "{value} entra con los datos en t={t}, muestra {sample}, y se propaga desde ahí; corrige los datos",
    ),
    "NonFinite.start": Text(
        "{value} comes in with the initial state of sample {sample}; cut or reset the state you hand in",
        "{value} entra con el estado inicial de la muestra {sample}; corta o reinicia el estado que entregas",
    ),
    "NonFinite.state": Text(
        "the hidden state turns {value} in the forward pass at t={t}, sample {sample}, the first of this step "
        "({extent} was {before:.3g} one step earlier); give W_hh a gain of 1",
        "el estado oculto se vuelve {value} en la pasada hacia adelante en t={t}, muestra {sample}, la primera vez en "
        "este paso ({extent} valía {before:.3g} un paso antes); da a W_hh una ganancia de 1",
    ),
    "NonFinite.scaled": Text(
        "{quantity} is {value} in the backward pass at t={t}, sample {sample}, under a loss scale of {scale:g}; the "
        "scaler will skip this step and lower its scale",
        "{quantity} es {value} en la pasada hacia atrás en t={t}, muestra {sample}, con la pérdida escalada por "
        "{scale:g}; el GradScaler se saltará este paso y bajará su escala",
    ),
    "NonFinite.loss_above": Text(
        "grad_h is {value} in the backward pass at t={t}, sample {sample}, the first of this step, and the gradient "
        "carried there is finite: it comes from the loss or a layer above; let torch name the operation",
        "grad_h es {value} en la pasada hacia atrás en t={t}, muestra {sample}, la primera vez en este paso, y el "
        "gradiente que llega del futuro es finito: viene de la pérdida o de una capa superior; deja que torch nombre "
        "la operación",
    ),
    "NonFinite.overflow": Text(
        "{quantity} is {value} in the backward pass at t={t}, sample {sample}, the first of this step: it overflows on "
        "its way back; clip inside the backward",
        "{quantity} es {value} en la pasada hacia atrás en t={t}, muestra {sample}, la primera vez en este paso: se "
        "desborda en su camino hacia atrás; recorta dentro de la retropropagación",
    ),
    "NonFinite.loss": Text(
        "the loss is {value}, and every hidden state is finite; let torch name the operation",
        "la pérdida es {value} y todos los estados ocultos son finitos; deja que torch nombre la operación",
    ),
    "NonFinite.parameter": Text(
        "the norm of its gradient is {value}, and every recorded gradient is finite; leave this step out",
        "la norma de su gradiente es {value} y todos los gradientes registrados son finitos; sáltate este paso",
    ),
    "NonFinite.elements": Text(
        "its gradient holds {nan} NaN and {inf} Inf among {size} elements; leave this step out",
        "su gradiente tiene {nan} NaN y {inf} Inf entre {size} elementos; sáltate este paso",
    ),
    # -- states --
    "Saturation.units": Text(
        "hidden units are saturated: |h| > {level:g} in {value:.0%} of units and timesteps, threshold {threshold:.0%}, "
        "from t={t} on (most in sample {sample}), and there tanh passes no gradient; draw smaller input weights",
        "las unidades ocultas están saturadas: |h| > {level:g} en el {value:.0%} de unidades y pasos de tiempo, umbral "
        "{threshold:.0%}, a partir de t={t} (sobre todo en la muestra {sample}), y ahí tanh no deja pasar gradiente; "
        "sortea pesos de entrada más pequeños",
    ),
    "Saturation.gate": Text(
        "the {gate:say:gate} {gate} is saturated in {value:.0%} of units and timesteps, threshold {threshold:.0%}, "
        "{closed:.0%} closed (below {low:.2g}), from t={t} on; no gradient passes through it; draw smaller input "
        "weights",
        "{gate:say:gate} {gate} está saturada en el {value:.0%} de unidades y pasos de tiempo, umbral {threshold:.0%}, "
        "cerrada en el {closed:.0%} (por debajo de {low:.2g}), a partir de t={t}; no deja pasar gradiente; sortea "
        "pesos de entrada más pequeños",
    ),
    "Saturation.memory": Text(
        "the {gate:say:gate} {gate} is saturated in {value:.0%} of units and timesteps, threshold {threshold:.0%}, "
        "{closed:.0%} closed (below {low:.2g}), from t={t} on; a long memory looks like this; if it is not wanted, "
        "reset the bias",
        "{gate:say:gate} {gate} está saturada en el {value:.0%} de unidades y pasos de tiempo, umbral {threshold:.0%}, "
        "cerrada en el {closed:.0%} (por debajo de {low:.2g}), a partir de t={t}; así se ve una memoria larga; si no "
        "la quieres, reinicia el sesgo",
    ),
    "DeadUnits.dead": Text(
        "{value:.0%} of its relu units are 0 in every sample and pass no gradient, threshold {threshold:.0%}, from "
        "t={t} to the end of the run; start from the identity with zero biases",
        "el {value:.0%} de sus unidades relu son 0 en todas las muestras y no dejan pasar gradiente, umbral "
        "{threshold:.0%}, desde t={t} hasta el final del recorrido; empieza con la identidad y sesgos a cero",
    ),
    "ExplodingState.grows": Text(
        "the hidden state explodes: |h| is {early:.3g} at t={first}, passes {threshold:g} at t={t} (sample {sample}) "
        "and reaches {peak:.3g} at t={peak_t}, and gradients of the weights that read it are as large; {cure:say:cure}",
        "el estado oculto explota: |h| vale {early:.3g} en t={first}, supera {threshold:g} en t={t} (muestra {sample}) "
        "y llega a {peak:.3g} en t={peak_t}, y los gradientes de los pesos que lo leen son igual de grandes; "
        "{cure:say:cure}",
    ),
    # -- how the data lie --
    "SwappedAxes.read": Text(
        "of {samples} samples only sample {sample} gets a gradient, {gradient:.3g} at t={t}, and it gets a fresh one "
        "at each of the {steps} timesteps: batch and time are in each other's place (the layer was built with another "
        "batch_first than the data or the reading of its output has); swap them",
        "de {samples} muestras solo la muestra {sample} recibe gradiente, {gradient:.3g} en t={t}, y lo recibe de "
        "nuevo en cada uno de los {steps} pasos de tiempo: el lote y el tiempo están intercambiados (la capa se "
        "construyó con otro batch_first que el de los datos o el de la lectura de su salida); intercámbialos",
    ),
    "SwappedAxes.alike": Text(
        "neighbouring samples of its input are alike (correlation {value:.2f}, threshold {threshold:g}) and "
        "neighbouring timesteps, from t=0 and sample 0 on, are not ({along_time:.2f}): batch and time seem to be in "
        "each other's place; swap them",
        "las muestras vecinas de su entrada se parecen (correlación {value:.2f}, umbral {threshold:g}) y los pasos de "
        "tiempo vecinos, desde t=0 y la muestra 0, no ({along_time:.2f}): el lote y el tiempo parecen intercambiados; "
        "intercámbialos",
    ),
    "Padding.counted": Text(
        "padding is counted as data: {value:.0%} of all timesteps are tails of one repeated vector, in sample {sample} "
        "from t={t} on, threshold {threshold:.0%}, and gradient flows there (up to {gradient:.3g}); hand the lengths "
        "over",
        "el relleno se cuenta como datos: el {value:.0%} de todos los pasos de tiempo son colas de un mismo vector "
        "repetido, en la muestra {sample} a partir de t={t}, umbral {threshold:.0%}, y por ahí fluye gradiente (hasta "
        "{gradient:.3g}); entrega las longitudes",
    ),
    "ReadTooEarly.read": Text(
        "the loss reads this direction only at the {end:say:end} timestep, t={t}, where its run begins: it has seen 1 "
        "of {steps} timesteps there; read the state at the end of the run",
        "la pérdida lee esta dirección solo en el {end:say:end} paso de tiempo, t={t}, donde empieza su recorrido: ahí "
        "ha visto 1 de {steps} pasos de tiempo; lee el estado al final del recorrido",
    ),
    # -- how the network is trained --
    "MissingDetach.attached": Text(
        "the state handed in at t={t} still hangs on the graph of an earlier training step, so backward runs on beyond "
        "these {steps} timesteps, further with every step; cut it before you hand it in",
        "el estado entregado en t={t} sigue unido al grafo de un paso de entrenamiento anterior, así que la pasada "
        "hacia atrás continúa más allá de estos {steps} pasos de tiempo, cada vez más lejos; córtalo antes de "
        "entregarlo",
    ),
    "MissingDetach.again": Text(
        "backward {number} of this step runs through {steps} timesteps: it enters call {call} of the layer, at t={t}, "
        "which an earlier backward had done already; cut the state between the chunks",
        "la pasada hacia atrás {number} de este paso recorre {steps} pasos de tiempo: entra en la llamada {call} de la "
        "capa, en t={t}, que una pasada anterior ya había hecho; corta el estado entre los trozos",
    ),
    "StaleGradients.kept": Text(
        "gradients of an earlier step are still there when backward begins (the largest in {parameter}, norm "
        "{value:.3g}; expected none), although the optimizer has stepped since, so they pile up; clear them after "
        "every optimizer step",
        "al empezar la pasada hacia atrás siguen ahí gradientes de un paso anterior (el mayor en {parameter}, norma "
        "{value:.3g}; no se esperaba ninguno), aunque el optimizador ya dio su paso, así que se acumulan; bórralos "
        "después de cada paso del optimizador",
    ),
    "LearningRate.moved": Text(
        "the optimizer moved its weights by {value:.3g} times their own norm in one step, threshold {threshold:g}, "
        "usual 0.001: the learning rate is too high; lower it",
        "el optimizador movió sus pesos {value:.3g} veces su propia norma en un paso, umbral {threshold:g}, lo "
        "habitual es 0,001: la tasa de aprendizaje es demasiado alta; bájala",
    ),
    "LearningRate.jumps": Text(
        "the loss jumps to {value:.3g}, {times:.3g} times its running median, threshold {spike:g} times, and the "
        "optimizer moves these weights by {moved:.3g} of their norm in one step: the learning rate is too high; lower "
        "it",
        "la pérdida salta a {value:.3g}, {times:.3g} veces su mediana móvil, umbral {spike:g} veces, y el optimizador "
        "mueve estos pesos {moved:.3g} de su norma en un paso: la tasa de aprendizaje es demasiado alta; bájala",
    ),
}
