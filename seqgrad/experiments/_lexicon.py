"""The words of the agreement sentences, in English and in Spanish: all nouns are things, in every place of a sentence.

Were subjects of another kind than the nouns between, the network could tell the subject by its kind.
"""

from __future__ import annotations

from typing import NamedTuple


class Noun(NamedTuple):
    """A noun's two numbers and its articles."""

    singular: str
    plural: str
    article: str
    articles: str

    @property
    def hard(self) -> tuple[bool, bool]:
        """Whether the ending, or the article, speaks for the other gender: by number."""
        odd = self.plural.endswith("as" if self.articles == "los" else "os") and self.articles != "the"
        return odd or (self.article, self.articles) == ("el", "las"), odd


class Lexicon(NamedTuple):
    """One language. A label is 2 gender + number; English has one gender.

    ``nouns[gender]`` are of one length. ``verbs`` of relative clauses are one word in both languages: a tanh RNN that
    has two words to close a clause goes deeper. A modifier is always three words: ``prepositions`` stand before any
    article, ``contracted`` hold the article of a noun with "el". ``answers`` are the forms that a network chooses from,
    ``inner`` and ``outer`` how a relative and a main clause go on with them.
    """

    nouns: tuple[tuple[Noun, ...], ...]
    relative: str
    verbs: tuple[tuple[str, str], ...]
    prepositions: tuple[str, ...]
    contracted: tuple[str, ...]
    answers: tuple[str, ...]
    inner: tuple[str, ...]
    outer: tuple[str, ...]


def _group(pairs: tuple[str, ...], article: str, articles: str) -> tuple[Noun, ...]:
    split = (pair.split("/") for pair in pairs)
    return tuple(Noun(singular, plural, article, articles) for singular, plural in split)


def _the(*pairs: str) -> tuple[Noun, ...]:
    return _group(pairs, "the", "the")


def _el(*pairs: str) -> tuple[Noun, ...]:
    return _group(pairs, "el", "los")


def _la(*pairs: str, article: str = "la") -> tuple[Noun, ...]:
    return _group(pairs, article, "las")


def _is(participle: str) -> tuple[str, ...]:
    """What it takes to say "is painted" of one thing and of several, masculine and feminine."""
    stem = participle.removesuffix("o")
    return tuple(f"{verb} {stem}{end}" for end, verb in zip(("o", "os", "a", "as"), ("está", "están") * 2, strict=True))


ENGLISH = Lexicon(
    nouns=(
        _the("map/maps", "key/keys", "box/boxes", "hand/hands", "leaf/leaves", "knife/knives", "foot/feet",
             "shelf/shelves"),
    ),
    relative="that",
    verbs=(
        ("covers", "cover"), ("hides", "hide"), ("touches", "touch"), ("surrounds", "surround"), ("holds", "hold"),
        ("crosses", "cross"), ("blocks", "block"), ("supports", "support"),
    ),
    prepositions=("near", "behind", "under", "beside"),
    contracted=(),
    answers=("was", "were"),
    inner=("covers", "cover"),
    outer=("was painted", "were painted"),
)  # fmt: skip

# The participle is asked for: it has gender and number. "está" or "están" before it would tell the number, so a network
# that is asked does not read them. "Donde" (where) fits every thing and, unlike "en el que", tells nothing of it.
SPANISH = Lexicon(
    nouns=(
        _el("muro/muros", "libro/libros", "cuadro/cuadros", "puente/puentes", "árbol/árboles", "barco/barcos",
            "mapa/mapas", "tranvía/tranvías"),
        _la("caja/cajas", "puerta/puertas", "llave/llaves", "pared/paredes", "mano/manos", "foto/fotos")
        + _la("agua/aguas", "ancla/anclas", article="el"),
    ),
    relative="donde",
    verbs=(
        ("cuelga", "cuelgan"), ("descansa", "descansan"), ("brilla", "brillan"), ("reposa", "reposan"),
        ("flota", "flotan"), ("aparece", "aparecen"), ("asoma", "asoman"), ("cae", "caen"),
    ),
    prepositions=("bajo", "sobre", "tras", "ante"),
    contracted=("junto al", "frente al", "cerca del", "detrás del"),
    answers=("pintado", "pintados", "pintada", "pintadas"),
    inner=_is("pintado"),
    outer=_is("pintado"),
)  # fmt: skip

LEXICONS = {"en": ENGLISH, "es": SPANISH}
