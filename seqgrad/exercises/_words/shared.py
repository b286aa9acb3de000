"""What any exercise may have to say of an answer."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "syntax": Text(
        "Python cannot read the file: {error}, line {line}.",
        "Python no puede leer el archivo: {error}, línea {line}.",
    ),
    "not_text": Text(
        "The file is no text in UTF-8. The answer has to be a Python file.",
        "El archivo no es texto en UTF-8. La respuesta tiene que ser un archivo de Python.",
    ),
    "load": Text(
        "The file stops before the judge can call anything, at line {line}: {error}",
        "El archivo se detiene antes de que se pueda llamar a nada, en la línea {line}: {error}",
    ),
    "missing": Text(
        "The file has to define a function called {function}; the functions in it: {found}.",
        "El archivo tiene que definir una función llamada {function}; las que contiene: {found}.",
    ),
    "exception": Text(
        "The function stopped with an error, at line {line} of your file: {error}",
        "La función se detuvo con un error, en la línea {line} de su archivo: {error}",
    ),
    "timeout": Text(
        "No answer within {seconds} seconds. Is there a loop that never ends? (--seconds gives it more time.)",
        "Sin respuesta en {seconds} segundos. ¿Hay un bucle que no termina? (--seconds le da más tiempo.)",
    ),
    "died": Text(
        "The process of the answer ended ({how}) before the function returned. It must not end Python itself.",
        ("El proceso de la respuesta terminó ({how}) antes de que la función devolviera nada. No debe cerrar Python."),
    ),
    "wrong_type": Text(
        "The function has to return {expected}; it returned {got}.",
        "La función tiene que devolver {expected}; devolvió {got}.",
    ),
    "elsewhere": Text(
        (
            "The function built something new. The network keeps the layer it was given: change its parameters in "
            "place, as the functions of seqgrad.init do."
        ),
        (
            "La función construyó algo nuevo. La red conserva la capa que recibió: cambie sus parámetros en el "
            "sitio, como hacen las funciones de seqgrad.init."
        ),
    ),
    "untouched": Text(
        "No parameter was changed. Functions that change one in place end in an underscore.",
        "No cambió ningún parámetro. Las funciones que los cambian en el sitio acaban en guion bajo.",
    ),
}
