"""The words of the exercise on truncated BPTT."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "title": Text("Truncated BPTT, complete", "BPTT truncado, completo"),
    "task": Text(
        (
            "Write train_on(model, optimizer, loss_fn, x, y, size). model(x_chunk, state) gives the outputs and the "
            "LSTM's state, a pair (h, c); state None is the beginning. Go through x [T, N, 4] and y [T, N, 1] in "
            "chunks of size steps, the last may be shorter. Each chunk makes one update from its own loss; the state "
            "is handed on, the gradient is not."
        ),
        (
            "Escriba train_on(model, optimizer, loss_fn, x, y, size). model(x_chunk, state) da las salidas y el "
            "estado de la LSTM, un par (h, c); el estado None es el principio. Recorra x [T, N, 4] e y [T, N, 1] en "
            "trozos de size pasos, el último puede ser más corto. Cada trozo hace una actualización con su propia "
            "pérdida; el estado se pasa al siguiente, el gradiente no."
        ),
    ),
    "right": Text(
        "Right: {chunks} chunks, {chunks} updates, one state that runs through all of them.",
        "Correcto: {chunks} trozos, {chunks} actualizaciones y un estado que los recorre todos.",
    ),
    "no_detach": Text(
        (
            "The state still hangs on the graph of the chunk before, so backward runs into the past (and into a "
            "graph that is freed). Cut both parts of the pair: seqgrad.detach(state)."
        ),
        (
            "El estado sigue colgado del grafo del trozo anterior, así que backward se adentra en el pasado (y en un "
            "grafo ya liberado). Corte las dos partes del par: seqgrad.detach(state)."
        ),
    ),
    "half_detached": Text(
        ("Half of the state is cut, {tied} is not: an LSTM's state is a pair (h, c). seqgrad.detach(state) does both."),
        (
            "La mitad del estado está cortada, {tied} no: el estado de una LSTM es un par (h, c). "
            "seqgrad.detach(state) corta las dos."
        ),
    ),
    "forgets_state": Text(
        (
            "Every chunk begins with an empty state, so nothing is remembered from one to the next. Hand the state "
            "on, detached."
        ),
        ("Cada trozo empieza con un estado vacío y no recuerda nada del anterior. Pase el estado, cortado del grafo."),
    ),
    "no_step": Text(
        (
            "The weights never move: no optimizer.step() in {chunks} chunks. The well-known sketch of this loop "
            "leaves it out."
        ),
        (
            "Los pesos no se mueven: ningún optimizer.step() en {chunks} trozos. El conocido esbozo de este bucle lo "
            "omite."
        ),
    ),
    "steps": Text(
        "{got} updates for {chunks} chunks: each chunk makes one.",
        "{got} actualizaciones para {chunks} trozos: cada trozo hace una.",
    ),
    "accumulates": Text(
        (
            "Chunk {chunk} was handed the gradient of the one before besides its own: call optimizer.zero_grad() in "
            "every chunk."
        ),
        (
            "El trozo {chunk} recibió, además del suyo, el gradiente del anterior: llame a optimizer.zero_grad() en "
            "cada trozo."
        ),
    ),
    "zeroed": Text(
        "In chunk {chunk} the optimizer was handed zeros: zero_grad belongs before backward.",
        "En el trozo {chunk} el optimizador recibió ceros: zero_grad va antes de backward.",
    ),
    "chunks": Text(
        ("The model was called with chunks of {got} steps; {expected} were expected, the rest at the end included."),
        "El modelo recibió trozos de {got} pasos; se esperaban {expected}, con el resto al final.",
    ),
    "other": Text(
        (
            "In chunk {chunk} the optimizer was handed another gradient than that of the chunk's loss on its own "
            "part of y."
        ),
        (
            "En el trozo {chunk} el optimizador recibió otro gradiente que el de la pérdida de ese trozo con su "
            "parte de y."
        ),
    ),
}
