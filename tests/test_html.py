"""What a notebook shows of series, histories and findings: tables with sparklines, without matplotlib."""

from __future__ import annotations

import math
import subprocess
import sys

import torch
from pages import Page
from runs import STEPS, history

import seqgrad as sg
from seqgrad import _html


def rows(text):
    return text.count("<tr>") - 1


def test_series_shows_a_row_for_each_norm():
    torch.manual_seed(0)
    rnn = sg.LSTM(3, 5, state_clip=sg.clip.Norm(1.0))
    with sg.record(rnn) as rec:
        rnn(torch.randn(9, 2, 3))[0][-1].sum().backward()
    text = rec["l0"]._repr_html_()
    assert Page(text).open == []
    assert rows(text) == 3 and text.count("<svg") == 3  # grad_h, grad_carry, grad_c; clip hits are no norm
    assert f"{rec['l0'].decay():.3g}" in text and "T=9, N=2" in text


def test_history_shows_its_series_its_loss_and_its_findings():
    text = history()._repr_html_()
    parsed = Page(text)
    assert parsed.open == []
    assert len(parsed.all("svg")) == 1 + 2 * 2  # the loss; gradient and ratio of two series
    assert f"{STEPS} entries, steps 0 to 1950, loss NaN" in text
    assert "encoder.rnn.l0_reverse (reverse)" in text and "12 of 59" in text and "<td" in text
    assert "&lt;NaN&gt; &amp; born" in text and "<NaN>" not in text
    assert text.count("✗ error") == 2 and text.count("! warning") == 1


def test_history_draws_zeros_and_nan():
    text = history()._repr_html_()
    assert "exact zero" in text and "NaN or Inf" in text


def test_empty_history_says_so():
    assert "No step recorded yet." in sg.History()._repr_html_()


def test_findings_of_every_source_are_tables():
    layer = torch.nn.Linear(2, 1)
    layer(torch.full((1, 2), 3000.0)).sum().backward()
    text = sg.check_grads(layer)._repr_html_()
    assert rows(text) == 1 and "Exploding" in text and "weight" in text
    layer.zero_grad()
    layer(torch.ones(1, 2)).sum().backward()
    assert sg.check_grads(layer)._repr_html_() == "<p>No findings.</p>"
    rnn = sg.RNN(3, 5)
    mon = sg.Monitor(rnn, every=1, rules=[sg.rules.NonFinite()], on_finding=None)
    x = torch.ones(9, 2, 3)
    x[4, 1, 0] = math.nan
    with mon:
        rnn(x)[0].sum().backward()
    found = mon.step()
    assert found and rows(found._repr_html_()) == len(found)
    assert rows(mon.history.findings._repr_html_()) == len(mon.history.findings)


def test_tables_speak_spanish():
    text = _html.series_table(history(), "es")
    assert "(inversa)" in text and "12 de 59" in text


def test_numbers_in_cells():
    assert _html.cell(None, "ratio") == '<td data-label="ratio" style="text-align:right">–</td>'
    numbers = [_html.cell(value, "") for value in (math.nan, math.inf, 1 / 3)]
    assert all(f">{text}<" in number for text, number in zip(("NaN", "Inf", "0.333"), numbers, strict=True))
    assert _html.cell(1 / 3, "", "es").endswith(">0,333</td>")
    assert _html.cell("<b>", "").endswith(">&lt;b&gt;</td>") and _html.cell(_html.Raw("<b>"), "").endswith("><b></td>")


def test_notebook_tables_need_no_matplotlib_and_no_click():
    code = """
import sys
for name in ("matplotlib", "click", "rich", "pandas"):
    sys.modules[name] = None
import torch, seqgrad as sg
rnn = sg.RNN(3, 5)
mon = sg.Monitor(rnn, every=1, on_finding=None)
with mon, sg.record(rnn) as rec:
    rnn(torch.randn(9, 2, 3))[0].sum().backward()
mon.step()
texts = [mon.history._repr_html_(), rec._repr_html_(), rec["l0"]._repr_html_(), mon.history.findings._repr_html_()]
assert all("<" in text for text in texts)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
