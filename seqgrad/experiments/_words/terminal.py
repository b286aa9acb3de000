"""The words of the command line."""

from __future__ import annotations

from seqgrad.experiments._word import Text

TEXTS: dict[str, Text] = {
    "cli.summary": Text(
        "{reproduced} reproduced, {corrected} corrected, {missed} not reproduced",
        "{reproduced} reproducidas, {corrected} corregidas, {missed} no reproducidas",
    ),
    "cli.report": Text("Report: {path}", "Informe: {path}"),
    "cli.took": Text("{seconds:.0f} s", "{seconds:.0f} s"),
}
