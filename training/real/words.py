"""Kinds and captions of real pieces, from what a catalogue says: names in many wordings become few English nouns."""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import product

import numpy as np

from training.meshes.captions import Words, noun, tidy
from training.real.catalogue import Piece

LEFT_OUT = re.compile(
    r"plug|socket|switch|dimmer|parking|crossing|arrow|sidewalk|\bbill\b|\brails?\b|living room|entry|intercom|"
    r"swimming pool|carpet|rug|tatami|doormat|bathmat|poster|newspaper|frame|emergency|island ext|hanging clothes|"
    r"air conditioning|bended|female|\bmale\b|\bboy\b|\bgirl\b|mannequin|table with|plate,|kitchen tools|"
    r"french fries|puzzle|card game|tape\b|playstation"
)
"""Names of pieces that are flat, show people, show several things, or name nothing that a person would ask for."""
LEFT_OUT_CATEGORIES = frozenset({"Characters"})
KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    # kind, what its names hold, other names that captions use. The first that fits counts.
    ("stool", r"\bstool", ("seat",)),
    ("bench", r"bench|\bbank\b", ("garden bench", "park bench")),
    ("armchair", r"armchair|relax chair", ("easy chair",)),
    ("deck chair", r"deck chair|beach chair|lounge", ("sun lounger",)),
    ("chair", r"chair|class seat", ("seat",)),
    ("sofa", r"sofa|couch|futon", ("couch", "settee")),
    ("bunk bed", r"bunk bed|mezzanine", ("loft bed",)),
    ("crib", r"crib|baby bed", ("baby bed", "cot")),
    ("bedside table", r"bedside", ("nightstand",)),
    ("bed", r"\bbed\b", ("bedstead",)),
    ("dog house", r"dog house", ("kennel",)),
    ("billiard table", r"pool table", ("pool table",)),
    ("tennis table", r"table tennis$", ("ping pong table",)),
    ("desk", r"desk(?! lamp)|dressing table|workbench", ("writing desk",)),
    ("street lamp", r"lamppost|street l|park light", ("lamp post", "street light")),
    ("lamp", r"lamp(?!post)|\blight|chandelier|spotlight|lantern", ("light",)),
    ("fan", r"\bfan\b", ("ventilator",)),
    ("table", r"table\b(?! tennis)", ("dining table",)),
    ("bookshelf", r"bookcase|shelves|shelf", ("bookcase", "shelf")),
    ("wardrobe", r"wardrobe|locker|high cabinet", ("closet",)),
    ("television", r"^tv(?! stand| remote)|flat tv|^screen$", ("tv", "tv set")),
    ("cabinet", r"cabinet|cupboard|dresser|vanity|tv stand|chest$|toilets unit", ("cupboard", "chest of drawers")),
    ("refrigerator", r"fridge|refrigerator|freezer", ("fridge",)),
    ("washing machine", r"washing machine|dryer|boiler", ("washer",)),
    ("microwave", r"microwave", ("microwave oven",)),
    ("stove", r"stove|cooker|cooktop|oven|furnace", ("oven", "cooker")),
    ("fireplace", r"fireplace|chimney", ("open fire",)),
    ("sink", r"sink|washbasin|lavatory|basin", ("washbasin", "basin")),
    ("bathtub", r"\bbath\b|bathtub|jacuzzi", ("bath", "tub")),
    ("shower", r"shower", ("shower cabin",)),
    ("toilet", r"urinal|bidet|potty", ("lavatory",)),
    ("radiator", r"radiator", ("heater",)),
    ("door", r"\bdoors?\b", ("front door",)),
    ("window", r"window(?! blind| shutter)", ("casement window",)),
    ("staircase", r"stair|escalator", ("stairs", "steps")),
    ("ladder", r"ladder", ("step ladder",)),
    ("fence", r"fence|railing", ("railing",)),
    ("trash can", r"trash|dustbin|recycling", ("bin", "dustbin")),
    ("bottle", r"bottle|flacon", ("flask",)),
    ("glass", r"glass$", ("drinking glass",)),
    ("mug", r"mug|\bcup\b(?! cake)", ("cup",)),
    ("coffee machine", r"coffee|espresso", ("coffee maker",)),
    ("bowl", r"bowl", ("dish",)),
    ("plate", r"\bplate|\btray", ("dish",)),
    ("teapot", r"teapot", ("tea pot",)),
    ("vase", r"vase|jar|pottery", ("jar",)),
    ("piano", r"piano", ("grand piano",)),
    ("guitar", r"guitar", ("electric guitar",)),
    ("palm tree", r"palm|coconut", ("palm",)),
    ("tree", r"tree|acacia|poplar|pine|cypress|maple|beech|blossom|bonsai", ("garden tree",)),
    ("plant", r"plant|ficus|bamboo|yucca|spathi|bush|hedge|succulent|cactus", ("potted plant", "house plant")),
    ("flower", r"flower|tulip|lily|orchid", ("blossom",)),
    ("motorbike", r"motorbike|yamaha|scooter", ("motorcycle", "scooter")),
    ("bicycle", r"bicycle|\bbike\b|tricycle", ("bike",)),
    ("bus", r"\bbus\b", ("coach",)),
    ("truck", r"truck|\bvan\b", ("lorry", "van")),
    ("car", r"\bcar\b|sedan|suv|ford|chevrolet|peugeot|renault|seat leon|beetle", ("automobile",)),
    ("telephone", r"\bphone$|telephone", ("phone",)),
    ("laptop", r"laptop|ibook", ("notebook",)),
    ("computer", r"imac", ("desktop computer",)),
    ("loudspeaker", r"speaker|stereo", ("speaker",)),
    ("clock", r"clock", ("wall clock",)),
    ("dog", r"\bdog\b|bulldog", ("puppy",)),
    ("cat", r"\bcat\b", ("kitten",)),
    ("horse", r"horse$", ("pony",)),
    ("suitcase", r"suitcase|briefcase|handbag|trunck", ("bag",)),
    ("box", r"\bbox\b|crate|container", ("crate",)),
    ("shoe", r"shoes|sneakers|slippers|mocassin|bootie", ("boots",)),
    ("umbrella", r"umbrella", ("parasol",)),
    ("tent", r"tent|barnum", ("pavilion",)),
    ("ball", r"\bball$|basketball$", ("football",)),
)
BRANDS = re.compile(
    r"\b(?:apple|imac|ibook|iphone|ford|focus|chevrolet|peugeot|renault|scenic|seat leon|vw|yamaha|playstation|"
    r"xbox|rubik's|concept|\d{2,}|cc|yzr|r6|bz)\b",
    re.IGNORECASE,
)
SIDES = {"tall": ("tall", "high"), "low": ("low", "short"), "wide": ("wide", "long"), "narrow": ("narrow", "slim")}
FEWEST = 6
"""Pieces of a kind from which on the tallest and lowest quarters are called so."""
TAGS = frozenset({"round", "double", "hanging", "flat", "desktop", "stone", "japanese", "inflatable"})


def used(piece: Piece) -> bool:
    """Whether a piece shows one solid thing that has a name."""
    return piece.category not in LEFT_OUT_CATEGORIES and not LEFT_OUT.search(piece.name.lower())


def kind_of(name: str) -> str:
    """The kind of a piece by its name; one of its own, its last word, where no other fits."""
    lower = name.lower()
    return next((kind for kind, pattern, _ in KINDS if re.search(pattern, lower)), noun(tidy(plain(lower)) or lower))


def plain(name: str) -> str:
    """A name without makers' names and numbers."""
    return " ".join(BRANDS.sub(" ", name).lower().split()).strip(" -")


def words_of_pieces(pieces: Sequence[Piece]) -> list[Words]:
    """Kind and captions of each piece: its name, its kind's names, and how it differs from others of its kind."""
    kinds = [kind_of(piece.name) for piece in pieces]
    proportions = {
        kind: np.array([_proportions(p) for p, k in zip(pieces, kinds, strict=True) if k == kind])
        for kind in set(kinds)
    }
    return [_words(piece, kind, proportions[kind]) for piece, kind in zip(pieces, kinds, strict=True)]


def _proportions(piece: Piece) -> tuple[float, float]:
    """Height over the longer, and width over the shorter horizontal side."""
    width, height, depth = piece.size
    return height / max(width, depth, 1e-6), max(width, depth) / max(min(width, depth), 1e-6)


def _words(piece: Piece, kind: str, others: np.ndarray) -> Words:
    names = [kind, *next((nouns for name, _, nouns in KINDS if name == kind), ())]
    name = plain(piece.name)
    described = [name] if name and kind_of(name) == kind and name != kind else []
    adjectives = [word for side in _sides(piece, others) for word in SIDES[side]]
    adjectives += [tag.lower() for tag in piece.tags if tag.lower() in TAGS and tag.lower() not in name]
    captions = [*described, *(f"{a} {n}" for a, n in product(adjectives, [*described[:1], kind])), *names]
    return Words(tuple(dict.fromkeys(captions)), kind, piece.credit)


def _sides(piece: Piece, others: np.ndarray) -> list[str]:
    """What a piece is in the eyes of who has seen the others of its kind."""
    if len(others) < FEWEST:
        return []
    found = []
    for value, column, (most, least) in zip(
        _proportions(piece), others.T, (("tall", "low"), ("wide", "narrow")), strict=True
    ):
        low, high = np.quantile(column, (0.25, 0.75))
        if value > max(high, 1.1 * low):
            found.append(most)
        elif value < min(low, high / 1.1):
            found.append(least)
    return found
