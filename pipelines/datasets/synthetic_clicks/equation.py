"""The generating equation: from what is in an example to its true probabilities."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipelines.datasets.synthetic_clicks.catalogue import FIRST_ITEM_ID, FloatArray, IntArray, catalogue
from pipelines.datasets.synthetic_clicks.vocabulary import CATEGORIES, FAMILIES, STRING_COLUMNS

Columns = Mapping[str, NDArray[Any]]

# Liking that a reaction shows: skip, glance, save, cart.
LIKING = np.array([-1.0, -0.4, 0.8, 1.4])
# What a liked view does to the mood: a shopper warms to fashion and electronics, and is done with the others.
WARMS = np.array([1.0, -1.0, 1.0, -1.0])
# How much the last view counts, and the one before it.
VIEW_WEIGHTS = (1.0, 0.6)
# What a view has to do with: the appeal of these features depends on the category viewed.
COLOURS = ("brand", "style", "surface", "age_band", "region")
REGION_APPEAL = np.array([0.1, -0.15, 0.2, 0.0, -0.1])
SURFACE_APPEAL = np.array([0.0, -0.3, 0.3, 0.1])
_SEED = 11


@dataclasses.dataclass(frozen=True)
class Effects:
    """How strong each part of the equation is, in units of logit; 0 leaves a part out.

    Attributes:
        main: Appeal of item, place and time: what a model without histories can know.
        mood: Order and pairing: the reactions to the last two views, which only count with their categories.
        memory: Selection by the item: the reactions to views of its category, and whether it was searched for.
        intent: The state of the history gates interactions of features: the family of the last view decides which
            feature of the shopper and which of the item must go together.
        bias: Logit of an impression without any effect.
    """

    main: float = 1.0
    mood: float = 0.7
    memory: float = 2.2
    intent: float = 1.7
    bias: float = -1.6


def true_probabilities(columns: Columns, effects: Effects | None = None) -> dict[str, FloatArray]:
    """Computes the true probability of each label from a raw batch: nothing hidden enters.

    Args:
        columns: raw batch, as `simulate` returns it. Columns that do not enter the equation may be left out.
        effects: `Effects` or None. Defaults to those of the data set.

    Returns:
        dict: label -> probabilities `[n]`.
    """
    logits, buying = _logits(_codes(columns), effects or Effects())
    click = _sigmoid(sum(logits.values(), np.zeros(())))
    return {"is_click": click, "is_purchase": click * _sigmoid(buying)}


def click_logit_parts(columns: Columns, effects: Effects | None = None) -> dict[str, FloatArray]:
    """Computes the parts that add up to the true logit of a click: `bias` and one per effect.

    Args:
        columns: raw batch, as `simulate` returns it.
        effects: `Effects` or None. Defaults to those of the data set.
    """
    return _logits(_codes(columns), effects or Effects())[0]


@functools.cache
def affinities() -> list[dict[str, FloatArray]]:
    """For the last view and the one before, by feature: how well each category viewed goes with each value.

    The mean of every row and column is 0: neither the view nor the feature says anything alone. The sum over the
    features has the variance 1.
    """
    rng = np.random.default_rng(_SEED)
    views = []
    for _ in VIEW_WEIGHTS:
        tables = {}
        for column in COLOURS:
            table = rng.normal(size=(len(CATEGORIES), len(STRING_COLUMNS[column])))
            table -= table.mean(axis=0)
            table -= table.mean(axis=1, keepdims=True)
            tables[column] = table / table.std() * len(COLOURS) ** -0.5
        views.append(tables)
    return views


def most_recent(values: NDArray[Any], lengths: IntArray, back: int = 1) -> NDArray[Any]:
    """The event `back` before the end of each padded history (1 = the last one); -1 where there is none."""
    at = lengths - back
    found = np.take_along_axis(values, np.maximum(at, 0)[:, None], axis=1)[:, 0]
    return np.where(at >= 0, found, -1)


def _logits(codes: Columns, effects: Effects) -> tuple[dict[str, FloatArray], FloatArray]:
    """The parts of the click's logit, and the logit of buying after a click."""
    main, mood, memory, intent = _main(codes), _mood(codes), _memory(codes), _intent(codes)
    parts = {
        "bias": np.full(len(main), effects.bias),
        "main": effects.main * main,
        "mood": effects.mood * mood,
        "memory": effects.memory * memory,
        "intent": effects.intent * intent,
    }
    buying = -0.7 + 0.6 * codes["membership"] + 0.02 * codes["discount_percent"] + 0.8 * memory - 0.6 * _dearness(codes)
    return parts, buying


def _main(codes: Columns) -> FloatArray:
    shop = catalogue()
    return (
        shop.item_appeal[codes["item_id"] - FIRST_ITEM_ID]
        + shop.category_appeal[codes["category"]]
        + shop.brand_appeal[codes["brand"]]
        + shop.style_appeal[codes["style"]]
        + np.where(codes["tags"] >= 0, shop.tag_appeal[codes["tags"]], 0.0).sum(axis=1)
        + REGION_APPEAL[codes["region"]]
        + SURFACE_APPEAL[codes["surface"]]
        - 0.3 * _dearness(codes)
        + 0.5 * np.nan_to_num(codes["rating"] - 4.1)
        + 0.01 * codes["discount_percent"] * (1.0 + 0.5 * codes["membership"])
        - 0.12 * (np.log1p(codes["days_since_order"]) - 2.5)
        + 0.2 * np.cos(2.0 * np.pi * (codes["hour"] - 20) / 24.0)
    )


def _dearness(codes: Columns) -> FloatArray:
    return np.log(codes["price"]) - catalogue().usual_log_price[codes["category"]]


def _mood(codes: Columns) -> FloatArray:
    lengths = codes["viewed_length"]
    mood = np.zeros(len(lengths))
    for back, weight in enumerate(VIEW_WEIGHTS, start=1):
        category = most_recent(codes["viewed_category"], lengths, back)
        reaction = most_recent(codes["viewed_reaction"], lengths, back)
        family = category // (len(CATEGORIES) // len(FAMILIES))
        mood += weight * np.where(category >= 0, WARMS[family] * LIKING[reaction], 0.0)
    return mood


def _memory(codes: Columns) -> FloatArray:
    there = np.arange(codes["viewed_category"].shape[1]) < codes["viewed_length"][:, None]
    alike = there & (codes["viewed_category"] == codes["category"][:, None])
    liking = np.where(alike, LIKING[codes["viewed_reaction"]], 0.0).sum(axis=1) / np.maximum(alike.sum(axis=1), 1)
    searched = (codes["searched_category"] == codes["category"][:, None]).any(axis=1)
    return liking + 0.3 * searched


def _intent(codes: Columns) -> FloatArray:
    intent = np.zeros(len(codes["viewed_length"]))
    for back, (weight, tables) in enumerate(zip(VIEW_WEIGHTS, affinities(), strict=True), start=1):
        category = most_recent(codes["viewed_category"], codes["viewed_length"], back)
        for column, table in tables.items():
            there = (category >= 0) & (codes[column] >= 0)
            intent += weight * np.where(there, table[category, codes[column]], 0.0)
    return intent


def _codes(columns: Columns) -> dict[str, NDArray[Any]]:
    """Strings to codes and float32 to float64; whole numbers as they are."""
    codes: dict[str, NDArray[Any]] = {}
    for name, values in columns.items():
        names = STRING_COLUMNS.get(name)
        if names is not None and values.dtype.kind not in "iu":
            code_of = {"": -1} | {value: code for code, value in enumerate(names)}
            flat = np.fromiter((code_of[value] for value in values.flat), np.int64, values.size)
            codes[name] = flat.reshape(values.shape)
        else:
            codes[name] = values.astype(np.float64) if values.dtype.kind == "f" else values
    return codes


def _sigmoid(logits: NDArray[np.float64]) -> FloatArray:
    return 0.5 * (1.0 + np.tanh(0.5 * logits))
