"""Write the lesson as two notebooks, English and Spanish, from one list of cells: ``python docs/make_notebooks.py``.

They are stored without outputs and executed when the site is built. A test holds the files to this list.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

HERE = Path(__file__).parent
FILES = {"en": HERE / "en" / "lesson.ipynb", "es": HERE / "es" / "leccion.ipynb"}


class Text(NamedTuple):
    """A cell of Markdown in both languages."""

    en: str
    es: str


class Code(NamedTuple):
    """A cell of Python; ``{LANG}`` is the language's code."""

    source: str


CELLS: tuple[Text | Code, ...] = (
    Text(
        """# The long-sequence problem

An RNN learns by sending a gradient back through time. Here you follow it there, timestep by timestep, in
networks that you build and train yourself. Everything runs in about half a minute; change whatever you
like and run it again.

Where the usual story is loose or wrong, you will see the measurement beside it.""",
        """# El problema de las secuencias largas

Una RNN aprende enviando un gradiente hacia atrás en el tiempo. Aquí usted lo sigue, paso a paso, en redes
que construye y entrena por su cuenta. Todo tarda cerca de medio minuto; cambie lo que quiera y ejecútelo
otra vez.

Donde el relato habitual es impreciso o se equivoca, verá al lado lo que se midió.""",
    ),
    Code("""%matplotlib inline
import torch

import seqgrad as sg
from seqgrad.experiments.texts import say

LANG = "{LANG}"
claims = []


def told(result):
    for claim in result.claims:
        claims.append(claim)
        verdict = say(f"verdict.{claim.verdict}", LANG)
        print(f"[{verdict}] {claim.correction(LANG) or claim.text(LANG)}")"""),
    Text(
        """## 1. What travels back

The loss at the end says how the last state should change. How an earlier state should change follows by
the chain rule: one matrix, the Jacobian $\\partial h_k / \\partial h_{k-1}$, for every step back. PyTorch
does not show these gradients; `retain_grad()` on the output of a layer gives only the direct part,
exactly 0 before the last step. A layer of seqgrad hands out the total, from the backward you run anyway.""",
        """## 1. Lo que viaja hacia atrás

La pérdida, al final, dice cómo debería cambiar el último estado. Cómo debería cambiar uno anterior lo
dice la regla de la cadena: una matriz, el jacobiano $\\partial h_k / \\partial h_{k-1}$, por cada paso
atrás. PyTorch no muestra estos gradientes; `retain_grad()` sobre la salida de una capa da solo la parte
directa, exactamente 0 antes del último paso. Una capa de seqgrad entrega el total, del mismo backward que
se hace de todos modos.""",
    ),
    Code("""torch.manual_seed(0)
rnn = sg.RNN(10, 32)
with sg.record(rnn) as rec:
    out, _ = rnn(torch.randn(100, 8, 10))
    out[-1].sum().backward()

print(rec["l0"].norm("grad_h")[[0, 49, 98, 99]])
sg.display.flow(rec, lang=LANG, theme="light");"""),
    Text(
        """## 2. The gradient vanishes

Halve a number a hundred times and $10^{-30}$ is left. A real RNN with PyTorch's weights does much the
same, although its largest singular value is above 1: in an average direction its matrix shrinks by about
$1/\\sqrt{3}$.""",
        """## 2. El gradiente se desvanece

Divida un número por dos cien veces y queda $10^{-30}$. Una RNN de verdad, con los pesos de PyTorch, hace
casi lo mismo aunque su mayor valor singular supere 1: en una dirección media su matriz encoge cerca de
$1/\\sqrt{3}$.""",
    ),
    Code("""toy = sg.experiments.decay(0.5, 50, seeds=3)
told(toy)
toy.plot(lang=LANG).figure_"""),
    Text(
        """With the loss at the end, the largest gradient stands at the last step and fades towards the first.
Drawings that show it the other way round are mirrored. And it is not the early *layers* that do not
learn: the weights are shared, and they learn from the recent steps alone.""",
        """Con la pérdida al final, el mayor gradiente está en el último paso y se apaga hacia el primero. Los
dibujos que lo muestran al revés están en espejo. Y no son las *capas* tempranas las que no aprenden: los
pesos son compartidos y aprenden solo de los pasos recientes.""",
    ),
    Code("""flow = sg.experiments.gradient_flow(seeds=2)
told(flow)
flow.plot("default", lang=LANG).figure_"""),
    Text(
        """## 3. The gradient explodes

With factors above 1 the same law runs the other way. $W_{hh} = 2Q$, $Q$ orthogonal, multiplies by exactly
$2^{50}$ over fifty steps, as long as the states are small. In a saturated network the same matrix does
not explode at all.""",
        """## 3. El gradiente explota

Con factores mayores que 1 la misma ley actúa al revés. $W_{hh} = 2Q$, con $Q$ ortogonal, multiplica
exactamente por $2^{50}$ en cincuenta pasos mientras los estados sean pequeños. En una red saturada la
misma matriz no explota en absoluto.""",
    ),
    Code("""boom = sg.experiments.explosion(2.0, seeds=1)
told(boom)
boom.plot("growth", lang=LANG).figure_"""),
    Text(
        """The usual detector walks over the parameters and looks for a norm above 100. It sees explosion; vanishing
it cannot see, because the recent steps fill the gradient of the shared weights.""",
        """El detector habitual recorre los parámetros y busca una norma mayor que 100. Ve la explosión; el
desvanecimiento no puede verlo, porque los pasos recientes llenan el gradiente de los pesos compartidos.""",
    ),
    Code("""detection = sg.experiments.detection(seeds=1)
told(detection)
detection.plot(lang=LANG).figure_"""),
    Text(
        """## 4. What helps

Clipping scales a gradient that is too long back to a fixed length: after `backward`, before the step. By
norm it keeps the direction, by value it bends it. The same relu network, with and without that one line:""",
        """## 4. Lo que ayuda

Recortar devuelve un gradiente demasiado largo a una longitud fija: después de `backward`, antes del paso.
Por norma conserva la dirección, por valor la tuerce. La misma red relu, con esa única línea y sin ella:""",
    ),
    Code("""boom.plot("training", lang=LANG).figure_"""),
    Text(
        """Clipping cannot bring back what has vanished. For that look at the start: an orthogonal $W_{hh}$ *with
biases of 0*, or a residual path with a small scale.""",
        """Recortar no devuelve lo que se ha desvanecido. Para eso hay que mirar el comienzo: una $W_{hh}$ ortogonal
*con sesgos a cero*, o un camino residual con una escala pequeña.""",
    ),
    Code("""start = sg.experiments.initialisation(seeds=2)
told(start)
start.plot(lang=LANG).figure_"""),
    Code("""residual = sg.experiments.residual(seeds=1, training=1)
residual.plot("flow", lang=LANG).figure_"""),
    Text(
        """Truncated BPTT makes long sequences affordable, and cuts: beyond the cut the gradient is exactly 0. The
complete loop has a loss, a `zero_grad` and a step in every chunk, and an LSTM's state is a pair.""",
        """El BPTT truncado hace asequibles las secuencias largas, y corta: más allá del corte el gradiente es
exactamente 0. El bucle completo tiene pérdida, `zero_grad` y paso en cada trozo, y el estado de una LSTM
es un par.""",
    ),
    Code("""lstm, head = sg.LSTM(10, 32), torch.nn.Linear(32, 1)
optimizer = torch.optim.Adam([*lstm.parameters(), *head.parameters()])
x, y = torch.randn(100, 8, 10), torch.randn(100, 8, 1)
state = None
for chunk, target, _t0, _is_last in sg.tbptt(x, y, size=20):
    out, state = lstm(chunk, sg.detach(state))
    optimizer.zero_grad()
    torch.nn.functional.mse_loss(head(out), target).backward()
    optimizer.step()

cut = sg.RNN(10, 32, truncate=20)
with sg.record(cut) as rec:
    cut(x)[0][-1].sum().backward()
print(rec["l0"].norm("grad_h")[[79, 80]])"""),
    Text(
        """## 5. Can it remember the first element?

"The cat, which sat on the mat, was happy": whoever says *was* has to remember the number of *cat*. The
lesson distils this into a task: a signal at the first step, then silence, and at the end a question about
it. One dot per network, trained from scratch.""",
        """## 5. ¿Puede recordar el primer elemento?

«The cat, which sat on the mat, was happy»: quien dice *was* tiene que recordar el número de *cat*. La
lección lo reduce a una tarea: una señal en el primer paso, luego silencio y, al final, una pregunta sobre
ella. Un punto por red, entrenada desde cero.""",
    ),
    Code("""memory = sg.experiments.long_dependency(("rnn", "lstm"), (10, 100), seeds=2, cures=("lstm_chrono",))
for (network, length), accuracy in memory.accuracy.items():
    print(f"{network:<12} T={length:<4}", *(f"{value:.2f}" for value in accuracy))"""),
    Text(
        """The architecture alone does not decide: at length 100 the default LSTM fails as the plain RNN does, and
one with an open forget gate succeeds.""",
        """La arquitectura por sí sola no decide: con longitud 100 la LSTM por defecto falla como la RNN simple, y
una con la puerta de olvido abierta lo consigue.""",
    ),
    Text(
        """## 6. Information on its way forward

The same product of matrices carries information forward. How much of the first input is still in the
state? That is another question than the gradient, so it has panels of its own.""",
        """## 6. La información, en su camino hacia delante

El mismo producto de matrices lleva la información hacia delante. ¿Cuánto de la primera entrada queda en
el estado? Es otra pregunta que la del gradiente, por eso tiene sus propios paneles.""",
    ),
    Code("""information = sg.experiments.information_flow(seeds=1)
information.plot(lang=LANG).figure_"""),
    Text(
        """## 7. LSTM and GRU

One step back along the cell state multiplies by the forget gate and by no matrix. So the gate decides:
0.5, the default, forgets; 0.99 remembers for a hundred steps.""",
        """## 7. LSTM y GRU

Un paso atrás por el estado de celda multiplica por la puerta de olvido y por ninguna matriz. Así que
decide la puerta: 0,5, el valor por defecto, olvida; 0,99 recuerda durante cien pasos.""",
    ),
    Code("""flow.plot("gates", lang=LANG).figure_"""),
    Text(
        """## What you can now say

The lesson's five points, each with what became of its claims above. Then try the exercises: `seqgrad
exercises`.""",
        """## Lo que ya puede decir

Los cinco puntos de la lección, cada uno con lo que fue de sus afirmaciones. Después, los ejercicios:
`seqgrad exercises`.""",
    ),
    Code("""for item in range(1, 6):
    of_item = [claim for claim in claims if claim.spec.item == item]
    mark = "✓" if all(claim.ok for claim in of_item) else "✗"
    print(f"{mark if of_item else '·'} {say(f'item.{item}', LANG)} ({len(of_item)})")"""),
)


def notebook(lang: str) -> dict[str, Any]:
    """The notebook in one language, in nbformat 4.5, without outputs."""
    cells: list[dict[str, Any]] = []
    for number, cell in enumerate(CELLS):
        common = {"id": f"cell-{number:02}", "metadata": {}}
        if isinstance(cell, Text):
            source: str = getattr(cell, lang)
            cells.append({"cell_type": "markdown", **common, "source": source.splitlines(keepends=True)})
        else:
            source = cell.source.replace("{LANG}", lang)
            lines = source.splitlines(keepends=True)
            cells.append({"cell_type": "code", "execution_count": None, **common, "outputs": [], "source": lines})
    kernel = {"display_name": "Python 3", "language": "python", "name": "python3"}
    return {
        "cells": cells, "metadata": {"kernelspec": kernel, "language_info": {"name": "python"}},
        "nbformat": 4, "nbformat_minor": 5,
    }  # fmt: skip


def text(lang: str) -> str:
    """The file."""
    return json.dumps(notebook(lang), ensure_ascii=False, indent=1) + "\n"


if __name__ == "__main__":
    for language, path in FILES.items():
        path.write_text(text(language), encoding="utf-8")
