"""Los ejercicios en español: título, enunciado, elogio (``right``) y una pista para cada manera de equivocarse."""

from __future__ import annotations

TEXTS = {
    "any.syntax": "Python no puede leer el archivo: {error}, línea {line}.",
    "any.not_text": "El archivo no es texto en UTF-8. La respuesta tiene que ser un archivo de Python.",
    "any.load": "El archivo se detiene antes de que se pueda llamar a nada, en la línea {line}: {error}",
    "any.missing": "El archivo tiene que definir una función llamada {function}; las que contiene: {found}.",
    "any.exception": "La función se detuvo con un error, en la línea {line} de su archivo: {error}",
    "any.timeout": "Sin respuesta en {seconds} segundos. ¿Hay un bucle que no termina? (--seconds le da más tiempo.)",
    "any.died": "El proceso de la respuesta terminó ({how}) antes de que la función devolviera nada. No debe "
    "cerrar Python.",
    "any.wrong_type": "La función tiene que devolver {expected}; devolvió {got}.",
    "any.elsewhere": "La función construyó algo nuevo. La red conserva la capa que recibió: cambie sus parámetros "
    "en el sitio, como hacen las funciones de seqgrad.init.",
    "any.untouched": "No cambió ningún parámetro. Las funciones que los cambian en el sitio acaban en guion bajo.",
    "exercise-1.title": "Dibujar dL/dh_t",
    "exercise-1.task": "Escriba plot_gradient(model, x, target). model.rnn es una capa recurrente de seqgrad, "
    "model.head lee su último estado y model(x) da los logits; x es [T, N, 3] y target [N]. Tome la entropía "
    "cruzada, haga un backward, dibuje la norma de dL/dh_t de todo el lote frente a t = 0 ... T-1 con el eje y "
    "logarítmico y devuelva los Axes.",
    "exercise-1.right": "Correcto: el gradiente completo en cada paso, en una escala en la que perder una parte "
    "fija por paso es una línea recta.",
    "exercise-1.direct": "Son solo los gradientes directos: retain_grad sobre la salida muestra lo que la pérdida "
    "hace con cada estado, que es 0 en todos los pasos menos el último. Lo que vuelve a través del tiempo queda "
    "dentro de la capa. Haga forward y backward dentro de `with seqgrad.record(model) as rec:` y dibuje "
    'rec["rnn"].l0.',
    "exercise-1.mirrored": "La curva está en espejo: {got_first} aparece en el primer paso, donde corresponde "
    "{first}. Dibuje frente a t, con el primer paso a la izquierda; el gradiente es mayor en el último, donde "
    "entra la pérdida.",
    "exercise-1.carry": "Eso es grad_carry, solo lo que llega de pasos posteriores: en el último paso vale 0. El "
    "dL/dh_t total es grad_h.",
    "exercise-1.summed": "Se sumaron las normas de las muestras. La norma de todo el lote es la raíz de la suma de "
    'sus cuadrados: series.norm("grad_h").',
    "exercise-1.averaged": "Eso es la media de las muestras. La norma de todo el lote es la raíz de la suma de sus "
    'cuadrados: series.norm("grad_h").',
    "exercise-1.one_sample": 'Eso es solo la primera muestra; la pérdida promedia todas. Tome series.norm("grad_h").',
    "exercise-1.relative": "La forma es la correcta, pero los valores se dividieron por el último. Se piden las "
    "normas mismas.",
    "exercise-1.log_of_norm": "El logaritmo es cosa del eje, no de los valores: dibuje las normas y llame a "
    'ax.set_yscale("log").',
    "exercise-1.linear_axis": "Los valores son correctos, pero el eje y es {scale}. En él todo lo que se desvanece "
    'parece el mismo 0: use ax.semilogy o ax.set_yscale("log").',
    "exercise-1.no_line": "Los Axes no contienen ninguna línea con un punto por paso de tiempo.",
    "exercise-1.length": "La línea tiene {got} puntos; la secuencia tiene {expected} pasos.",
    "exercise-1.other": "La línea debería ir de {first} en t = 0 a {last} en el último paso; termina en {got}.",
    "exercise-2.title": "Encontrar el horizonte",
    "exercise-2.task": "Escriba horizon(rnn, x, eps). rnn es una capa recurrente de seqgrad y x su entrada [T, N, "
    "3]. Haga backward de la suma del último estado y devuelva cuántos pasos hacia atrás desde el último la "
    "norma de dL/dh_t (de todo el lote) se mantiene, sin huecos, en al menos eps veces la del último paso: 0 si "
    "ya el siguiente queda por debajo, T-1 si no lo hace ninguno.",
    "exercise-2.right": "Correcto: hasta ahí, y no más atrás, puede esta red aprender algo.",
    "exercise-2.index": "{got} es un paso contado desde el principio de la secuencia. El horizonte se cuenta hacia "
    "atrás desde el último, donde entra la pérdida: aquí {expected} de {steps} pasos.",
    "exercise-2.off_by_one": "Por uno: {got} en lugar de {expected}. Se cuentan pasos hacia atrás, no estados: el "
    "último está a distancia 0.",
    "exercise-2.absolute": "Las normas se compararon con eps mismo. eps es relativo: el listón es eps por la norma "
    "del último paso, que aquí es {last}.",
    "exercise-2.gap": "A {got} pasos la norma vuelve a estar sobre el listón, pero entre medias estuvo por debajo. "
    "Cuenta lo que se mantiene sin huecos: {expected} pasos.",
    "exercise-2.other": "Para una de las redes la respuesta fue {got}; debería ser {expected} (T = {steps}, eps = "
    "{eps}).",
    "exercise-3.title": "Elegir una inicialización",
    "exercise-3.task": "Escriba initialise(rnn). rnn es una seqgrad.RNN recién creada, con tanh. Cambie sus "
    "parámetros en el sitio para que una buena parte del gradiente de una pérdida sobre el último estado llegue "
    "99 pasos antes: allí la norma debe valer entre 0,05 y 20 veces la del último paso. La entrada es ruido en "
    "el primer paso y silencio después.",
    "exercise-3.right": "Correcto: {ratio} del gradiente llega {steps} pasos atrás. Con los valores por defecto de "
    "torch queda cerca de 1e-24.",
    "exercise-3.vanishes": "El gradiente se desvanece: {ratio} llega {steps} pasos atrás. Los valores singulares "
    "de W_hh van de {smallest} a {largest}; ¿por cuánto multiplica cada paso si todos valen 1?",
    "exercise-3.biases": "W_hh es ortogonal y aun así solo {ratio} llega {steps} pasos atrás: los sesgos por "
    "defecto apartan la tanh de su punto más empinado en cada paso. También tienen que ser 0.",
    "exercise-3.explodes": "El gradiente explota: {steps} pasos atrás es {ratio} veces mayor. El mayor valor "
    "singular de W_hh es {largest}; elevado a {steps}, hasta un poco más que 1 es mucho.",
    "exercise-3.dead": "No llega ningún gradiente: W_hh quedó vacía o contiene algo que no es un número.",
    "exercise-3.deaf": "El gradiente viaja, pero la capa ya no oye su entrada: los últimos estados de distintas "
    "muestras se diferencian en {spread}. Deje a W_ih sus pesos.",
    "exercise-4.title": "Arreglar un entrenamiento que diverge",
    "exercise-4.task": "El entrenamiento de abajo acaba en NaN. Arregle train(model, batches) para que tome los "
    "150 lotes, termine con pesos finitos, reduzca la pérdida en datos nuevos a la quinta parte y devuelva la "
    "lista de sus 150 pérdidas. model(x) da los logits de dos clases.",
    "exercise-4.right": "Correcto: la pérdida en datos nuevos pasó de {first} a {last}.",
    "exercise-4.unclipped": "Sigue acabando en NaN. En la actualización {loud_at} el optimizador recibió un "
    "gradiente de norma {loud}: un solo paso así lanza los pesos adonde nada es finito. Limite la norma después "
    "de backward y antes de optimizer.step().",
    "exercise-4.nan": "Sigue acabando en pesos o pérdidas no finitos, aunque ningún gradiente fue grande. Mire la "
    "tasa de aprendizaje.",
    "exercise-4.stopped_early": "Solo se tomaron {taken} de {steps} lotes. Un entrenamiento que para antes de "
    "romperse no está arreglado.",
    "exercise-4.no_update": "Los pesos son los mismos que antes: no se aprendió nada. Saltarse cada paso malo es "
    "aquí saltárselos todos; mejor hacerlos más cortos.",
    "exercise-4.skipped": "Solo se hicieron {updates} de {steps} actualizaciones y la pérdida pasó de {first} a "
    "{last} (la meta es {goal}). También los gradientes grandes señalan una dirección: acórtelos en vez de "
    "tirarlos.",
    "exercise-4.too_slow": "Ya no diverge, pero la pérdida solo pasó de {first} a {last} (la meta es {goal}): "
    "ahora los pasos son demasiado pequeños.",
    "exercise-5.title": "Poner el recorte en su sitio",
    "exercise-5.task": "Escriba training_step(model, optimizer, loss_fn, x, y, max_norm): un paso de entrenamiento "
    "con loss_fn(model(x), y) y con el gradiente de todos los parámetros juntos recortado a norma L2 max_norm. "
    "Al empezar, los parámetros aún guardan los gradientes del paso anterior.",
    "exercise-5.right": "Correcto: el optimizador recibió {got} donde el gradiente tenía {norm}, en la misma "
    "dirección.",
    "exercise-5.unclipped": "El optimizador recibió el gradiente entero, norma {got}, límite {max_norm}. El "
    "recorte actúa sobre lo que backward ha dejado en .grad: antes de backward no hay nada que recortar, o algo "
    "viejo.",
    "exercise-5.after_step": "El gradiente se recorta, pero después del paso: los pesos ya se movieron con sus "
    "{norm} enteros. Recorte entre backward y optimizer.step().",
    "exercise-5.accumulates": "Al gradiente se le sumó el del paso anterior: backward suma en .grad. Llame antes a "
    "optimizer.zero_grad().",
    "exercise-5.zeroed": "El optimizador recibió ceros: zero_grad está entre backward y step.",
    "exercise-5.by_value": "Cada elemento se limitó por su cuenta, y eso tuerce la dirección. Por norma, todos se "
    "encogen con un mismo factor: grad_norm_, no grad_value_.",
    "exercise-5.each": "Cada parámetro se recortó por separado: cambian sus proporciones y juntos siguen teniendo "
    "norma {got}. Entregue todos los parámetros en una sola llamada.",
    "exercise-5.length": "La dirección es la correcta, la longitud no: {got}, con límite {max_norm} y un gradiente "
    "de {norm}. Un gradiente por debajo del límite se queda como está.",
    "exercise-5.updates": "optimizer.step() se llamó {updates} veces; un paso de entrenamiento es una llamada.",
    "exercise-5.other": "Lo que recibió el optimizador (norma {got}) no es el gradiente ({norm}) ni el recortado.",
    "exercise-6.title": "BPTT truncado, completo",
    "exercise-6.task": "Escriba train_on(model, optimizer, loss_fn, x, y, size). model(x_chunk, state) da las "
    "salidas y el estado de la LSTM, un par (h, c); el estado None es el principio. Recorra x [T, N, 4] e y [T, "
    "N, 1] en trozos de size pasos, el último puede ser más corto. Cada trozo hace una actualización con su "
    "propia pérdida; el estado se pasa al siguiente, el gradiente no.",
    "exercise-6.right": "Correcto: {chunks} trozos, {chunks} actualizaciones y un estado que los recorre todos.",
    "exercise-6.no_detach": "El estado sigue colgado del grafo del trozo anterior, así que backward se adentra en "
    "el pasado (y en un grafo ya liberado). Corte las dos partes del par: seqgrad.detach(state).",
    "exercise-6.half_detached": "La mitad del estado está cortada, {tied} no: el estado de una LSTM es un par (h, "
    "c). seqgrad.detach(state) corta las dos.",
    "exercise-6.forgets_state": "Cada trozo empieza con un estado vacío y no recuerda nada del anterior. Pase el "
    "estado, cortado del grafo.",
    "exercise-6.no_step": "Los pesos no se mueven: ningún optimizer.step() en {chunks} trozos. El conocido esbozo "
    "de este bucle lo omite.",
    "exercise-6.steps": "{got} actualizaciones para {chunks} trozos: cada trozo hace una.",
    "exercise-6.accumulates": "El trozo {chunk} recibió, además del suyo, el gradiente del anterior: llame a "
    "optimizer.zero_grad() en cada trozo.",
    "exercise-6.zeroed": "En el trozo {chunk} el optimizador recibió ceros: zero_grad va antes de backward.",
    "exercise-6.chunks": "El modelo recibió trozos de {got} pasos; se esperaban {expected}, con el resto al final.",
    "exercise-6.other": "En el trozo {chunk} el optimizador recibió otro gradiente que el de la pérdida de ese "
    "trozo con su parte de y.",
    "exercise-7.title": "Dar memoria a una LSTM",
    "exercise-7.task": "Escriba remember(lstm, steps). lstm es una seqgrad.LSTM recién creada. Cambie sus "
    "parámetros en el sitio para que dL/dc de una pérdida sobre el último estado llegue al primero de 100 pasos "
    "con una norma entre 0,05 y 1000 veces la del último, y de modo que sus puertas todavía puedan aprender a "
    "cerrarse.",
    "exercise-7.right": "Correcto: {ratio} de dL/dc llega {steps} pasos atrás. Con los valores por defecto de "
    "torch queda cerca de 1e-19.",
    "exercise-7.forgets": "{ratio} de dL/dc llega {steps} pasos atrás. La puerta de olvido está cerca de {gate} y "
    "multiplica por eso en cada paso; su sesgo decide.",
    "exercise-7.too_short": "Mejor que por defecto, pero corta: {ratio} de dL/dc llega {steps} pasos atrás. La "
    "puerta de olvido está cerca de {gate}, y {gate} elevado a {steps} es poco; ¿qué puerta recuerda durante 100 "
    "pasos?",
    "exercise-7.forgets_more": "La puerta de olvido está cerca de {gate}: olvida más que antes. Su sesgo tiene que "
    "ser positivo.",
    "exercise-7.wrong_gate": "Se abrió otra puerta (entrada {i}, salida {o}); la de olvido sigue cerca de {f}. Las "
    "filas van en el orden i, f, g, o, cada una de altura hidden_size.",
    "exercise-7.stuck": "Recuerda, pero las puertas de olvido están en 1 con cuatro cifras: su pendiente f(1-f) es "
    "casi 0 y la red no puede aprender a olvidar. Basta un sesgo menor; f = 0,99 recuerda durante 100 pasos.",
    "exercise-7.explodes": "dL/dc se multiplica por {ratio} en {steps} pasos: además de la puerta abierta, los "
    "pesos de los otros caminos son demasiado grandes.",
    "exercise-7.dead": "No llega nada, o lo que llega no es un número: las puertas no dejan entrar ni salir nada.",
    "exercise-8.title": "¿Dónde nació el NaN?",
    "exercise-8.task": "Escriba first_nan(model, loss_fn, x). model.rnn es una capa recurrente de seqgrad, "
    "model(x) da todos sus estados [T, N, 8] y loss_fn(states) la pérdida. Haga un backward y devuelva el paso t "
    "en el que, en el orden de la retropropagación, apareció el primer NaN de dL/dh_t; None si no hay ninguno.",
    "exercise-8.right": "Correcto: la retropropagación empieza en el último paso, así que el culpable es el último "
    "paso con NaN.",
    "exercise-8.earliest": "A t = 0 el NaN solo llegó: desde donde nació se extendió a todos los pasos anteriores. "
    "La retropropagación va del último paso al primero; ¿qué paso se encuentra primero con el NaN?",
    "exercise-8.off_by_one": "Muy cerca: t = {got} es vecino del paso donde nació. t se cuenta desde 0.",
    "exercise-8.backwards": "{got} está contado hacia atrás desde el final. t se cuenta desde el principio de la "
    "secuencia.",
    "exercise-8.overlooks": "Hay un NaN y la respuesta fue None. Mire grad_h en cada paso y muestra.",
    "exercise-8.invents": "Una de las pérdidas no da ningún NaN; entonces la respuesta tiene que ser None, no {got}.",
    "exercise-8.other": "t = {got} no es donde nació. Vea rec.first_nonfinite.",
}
