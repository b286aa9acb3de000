"""The words of the command line."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "cli.summary": Text(
        "{reproduced} reproduced, {corrected} corrected, {missed} not reproduced",
        "{reproduced} reproducidas, {corrected} corregidas, {missed} no reproducidas",
    ),
    "group.lesson": Text("The lesson (all of them: seqgrad lesson)", "La lección (todos ellos: seqgrad lesson)"),
    "group.field": Text("Claims of the field", "Afirmaciones del campo"),
    "group.data": Text("Real data", "Datos reales"),
    "cli.report": Text("Report: {path}", "Informe: {path}"),
    "cli.took": Text("{seconds:.0f} s", "{seconds:.0f} s"),
}
