"""Sentences in which a verb or a participle agrees with a subject far away, and other nouns stand in between."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

from seqgrad.experiments._lexicon import LEXICONS
from seqgrad.experiments._result import one_of, positive

KINDS = ("embedded", "modified")
ASK = ("any", "first")


@dataclass(frozen=True)
class Agreement:
    """Beginnings of sentences, and the form that each goes on with. Int64 but for ``hard``, which is bool.

    ``words [T, N]``, 0 beyond ``lengths [N]``. ``labels [N]`` index ``answers`` (number; in Spanish 2 gender +
    number). ``asked [N]``: which noun the answer agrees with, 0 the first. ``between [N]`` nouns stand between it and
    the answer, ``attractors [N]`` of them ask for another form. ``hard [N]``: its ending or article speaks for the
    other gender.
    """

    words: Tensor
    lengths: Tensor
    labels: Tensor
    asked: Tensor
    between: Tensor
    attractors: Tensor
    hard: Tensor
    language: str
    vocabulary: tuple[str, ...]
    answers: tuple[str, ...]

    def part(self, chosen: slice | Tensor) -> Agreement:
        """The ``chosen`` sentences."""
        cut: dict[str, Any] = {name: getattr(self, name)[..., chosen] for name in _Part._fields}
        return replace(self, **cut)

    def text(self, n: int) -> str:
        """Sentence ``n``; the network reads as far as the bracket. A relative clause that is asked leaves it open."""
        read = " ".join(self.vocabulary[word] for word in self.words[: int(self.lengths[n]), n].tolist())
        lexicon, label = LEXICONS[self.language], int(self.labels[n])
        return f"{read} [{lexicon.inner[label]}] …" if self.asked[n] else f"{read} [{lexicon.outer[label]}]"


def agreement(
    count: int, *, language: str = "en", kind: str = "embedded", depths: Sequence[int] = (1, 2, 3), ask: str = "first",
    opposite: bool = False,
) -> Agreement:  # fmt: skip
    """``count`` sentences of a small grammar from torch's current seed, as many of each depth and label.

    ``embedded``: relative clauses within relative clauses, ``depths`` of them: "the map that the keys that the box
    covers hide [was ...]". ``ask="any"`` may stop before any of the verbs, "the map that the keys that the box
    [covers]", and the answer then agrees with the noun of that clause; ``ask="first"`` is always the main clause's.
    ``modified``: prepositional phrases of three words in a row: "the map near the keys behind the box [was ...]".

    Every noun draws its number and gender by itself, so that neither the length nor other nouns tell the label. With
    ``opposite`` all nouns after the first differ from it in number, and in Spanish in gender too.

    Raises:
        ValueError: no such language, kind or ask, a depth that the lexicon has too few nouns for, or fewer sentences
            than depths.

    Source: the protocol is that of Linzen, Dupoux and Goldberg 2016, "Assessing the Ability of LSTMs to Learn
    Syntax-Sensitive Dependencies"; grammar and words are our own.

    Example:
        >>> import torch
        >>> _ = torch.manual_seed(1)
        >>> agreement(4, language="es", depths=(1,)).text(0)
        'las llaves donde las manos caen [están pintadas]'
    """
    words = _words(one_of("language", language, tuple(LEXICONS)))
    one_of("kind", kind, KINDS), one_of("ask", ask, ASK)
    most = words.nouns.shape[1] - 1
    for depth in depths:
        if positive("depths", depth) > most:
            raise ValueError(f"depths must be at most {most}, since no noun comes twice in a sentence; got {depth}")
    if not depths:
        raise ValueError("depths must name at least one depth, got none")
    if kind == "modified" and ask == "any":
        raise ValueError("ask must be 'first' for modified sentences, which have one verb; got 'any'")
    positive("count", count, at_least=len(depths))
    sizes = [count // len(depths) + (k < count % len(depths)) for k in range(len(depths))]
    parts = [_part(words, kind, ask, opposite, *pair) for pair in zip(sizes, depths, strict=True)]
    longest, order = max(len(part.words) for part in parts), torch.randperm(count)
    tokens = torch.cat([pad(part.words, (0, 0, 0, longest - len(part.words))) for part in parts], 1)
    rest = {name: torch.cat([getattr(part, name) for part in parts])[order] for name in _Part._fields[1:]}
    return Agreement(tokens[:, order], **rest, language=language, vocabulary=words.vocabulary,
                     answers=LEXICONS[language].answers)  # fmt: skip


class _Words(NamedTuple):
    """A lexicon as numbers: C labels with K nouns each, V verbs, P links."""

    vocabulary: tuple[str, ...]
    nouns: Tensor  # [C, K]
    articles: Tensor  # [C, K]
    hard: Tensor  # [C, K] bool
    verbs: Tensor  # [2, V] by number
    relative: int
    links: Tensor  # [P, 2] preposition, and the word that holds the article where they are contracted, else 0
    plain: int  # so many links come before the contracted ones
    el: int  # the article that contracts


class _Part(NamedTuple):
    """Sentences of one depth: the tensors of ``Agreement``."""

    words: Tensor
    lengths: Tensor
    labels: Tensor
    asked: Tensor
    between: Tensor
    attractors: Tensor
    hard: Tensor


@cache
def _words(language: str) -> _Words:
    lexicon = LEXICONS[language]
    code: dict[str, int] = {"": 0}

    def number(word: str) -> int:
        return code.setdefault(word, len(code))

    def both(singular: str, plural: str) -> Tensor:
        return torch.tensor(
            [[number(getattr(noun, name)) for noun in group] for group in lexicon.nouns for name in (singular, plural)]
        )

    nouns, articles = both("singular", "plural"), both("article", "articles")
    hard = torch.tensor([[noun.hard[k] for noun in group] for group in lexicon.nouns for k in (0, 1)])
    verbs = torch.tensor([[number(pair[k]) for pair in lexicon.verbs] for k in (0, 1)])
    links = [[number(word), 0] for word in lexicon.prepositions]
    links += [[number(word) for word in link.split()] for link in lexicon.contracted]
    el = number(lexicon.nouns[0][0].article)
    relative = number(lexicon.relative)
    return _Words(
        tuple(code), nouns, articles, hard, verbs, relative, torch.tensor(links), len(lexicon.prepositions), el
    )


def _part(words: _Words, kind: str, ask: str, opposite: bool, size: int, depth: int) -> _Part:
    """``size`` sentences of one depth; as many of each label as can be, whichever noun is asked."""
    labels = torch.arange(size)[torch.randperm(size)] % len(words.nouns)
    classes = torch.randint(len(words.nouns), (size, depth + 1))
    asked = torch.randint(depth + 1, (size,)) if ask == "any" else torch.zeros(size, dtype=torch.long)
    row = torch.arange(size)
    classes[row, asked] = labels
    if opposite:
        first = torch.where(asked > 0, len(words.nouns) - 1 - labels, labels)[:, None]
        classes = torch.cat([first, (len(words.nouns) - 1 - first).expand(-1, depth)], 1)
    places = torch.rand(size, words.nouns.shape[1]).argsort(1)[:, : depth + 1]  # no noun twice
    tokens = (_embedded if kind == "embedded" else _modified)(words, classes, places)
    lengths = len(tokens) - asked
    tokens[torch.arange(len(tokens))[:, None] >= lengths] = 0
    later = torch.arange(depth + 1) > asked[:, None]
    attractors = (later & (classes != labels[:, None])).sum(1)
    hard = words.hard[labels, places[row, asked]]
    return _Part(tokens, lengths, labels, asked, depth - asked, attractors, hard)


def _embedded(words: _Words, classes: Tensor, places: Tensor) -> Tensor:
    """``[T, N]``: N1 that N2 that N3 V3 V2, from labels and places in the lexicon ``[N, nouns]``."""
    size, count = classes.shape
    articles, nouns = words.articles[classes, places], words.nouns[classes, places]
    columns = [articles[:, 0], nouns[:, 0]]
    for k in range(1, count):
        columns += [torch.full((size,), words.relative), articles[:, k], nouns[:, k]]
    for k in range(count - 1, 0, -1):
        columns.append(words.verbs[classes[:, k] % 2, torch.randint(words.verbs.shape[1], (size,))])
    return torch.stack(columns)


def _modified(words: _Words, classes: Tensor, places: Tensor) -> Tensor:
    """``[T, N]``: N1 near N2 behind N3, from labels and places in the lexicon ``[N, nouns]``."""
    size, count = classes.shape
    articles, nouns = words.articles[classes, places], words.nouns[classes, places]
    columns = [articles[:, 0], nouns[:, 0]]
    for k in range(1, count):
        drawn = torch.randint(len(words.links), (size,))
        link = words.links[torch.where(articles[:, k] == words.el, drawn, drawn % words.plain)]
        columns += [link[:, 0], torch.where(link[:, 1] > 0, link[:, 1], articles[:, k]), nouns[:, k]]
    return torch.stack(columns)
