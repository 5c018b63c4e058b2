"""The report: one HTML file with everything in it."""

import base64
import math
import os
import platform
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import jinja2
import numpy as np
import yaml
from markupsafe import Markup

from pipelines.compare import pictures
from pipelines.compare.boosting import MOST_VALUES
from pipelines.compare.leaderboard import Entry, p_text, shown, tested
from pipelines.compare.plan import LINEAR, Plan
from pipelines.config import load_config
from tf_interformer.whole import write_text


def write_page(
    path: Path,
    plan: Plan,
    result: dict[str, Any],
    entries: Sequence[Entry],
    labels: np.ndarray,
    insides: Mapping[str, Mapping[str, str]],
    skipped: Sequence[str],
    at_once: int,
) -> None:
    """Write the report.

    Args:
        path: The file.
        plan: What was compared.
        result: What `leaderboard.build` made.
        entries: The models.
        labels: Labels of the test split.
        insides: Model -> title -> SVG.
        skipped: What was asked for and left out, and why.
        at_once: How many runs trained side by side.
    """
    by_name = {entry.name: entry for entry in entries}
    ordered = [by_name[row["model"]] for row in result["rows"]]
    rows = result["rows"]
    base = load_config(plan.base)
    known = (result["best_possible"] or {}).get("auc")
    for segment in result["segments"]:
        columns = np.array(list(segment["auc"].values()))
        segment["best"] = [None if np.isnan(column).all() else float(np.nanmax(column)) for column in columns.T]
    drawn = {
        "spread": pictures.spread(rows, known),
        "parameters": pictures.quality_against(rows, "parameters", "dense parameters"),
        "milliseconds": pictures.quality_against(rows, "milliseconds", f"ms for {rows[0]['rows']} rows"),
        "calibration": pictures.calibration(ordered, labels),
        "learning": pictures.learning_curves(ordered),
    }
    shared = _shared(plan)
    side_by_side = "one run at a time" if at_once == 1 else f"while {at_once} runs trained side by side"
    text = _template().render(
        title=f"Models on {base.dataset.name}",
        result=result,
        shown=shown(result),
        tested=tested(result),
        groups="users" if result["users"] < result["examples"] else "groups",
        pictures=drawn,
        insides=insides,
        monitor=base.training.monitor,
        linear=LINEAR in by_name,
        lightgbm=any(model.is_boosted for model in plan.models),
        most_values=MOST_VALUES,
        search=_as_text(plan.search),
        candidates=len(plan.candidates),
        search_lightgbm=_as_text(plan.search_lightgbm),
        tree_candidates=len(plan.tree_candidates),
        at_once=side_by_side,
        skipped=skipped,
        configuration=_configuration(plan),
        own_settings={entry.name: [s for s in entry.settings if s not in shared] for entry in ordered},
        versions=_versions(ordered),
    )
    write_text(path, text)


def _as_text(search: dict[str, list[Any]]) -> str:
    return "; ".join(f"{key}: {values}" for key, values in search.items())


def _shared(plan: Plan) -> list[str]:
    """The settings that all models have."""
    common = set(plan.models[0].settings).intersection(*(model.settings for model in plan.models))
    return [setting for setting in plan.models[0].settings if setting in common]


def _configuration(plan: Plan) -> str:
    """What all models share; what is searched for is told elsewhere."""
    values = load_config(plan.base, _shared(plan)).model_dump(mode="json")
    for key in ("model.backbone", "model.backbone_config", "training.seed", *plan.search):
        section, name, *deeper = key.split(".")
        if not deeper:
            values[section].pop(name, None)
    return yaml.safe_dump(values, sort_keys=False)


def _template() -> jinja2.Template:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=jinja2.StrictUndefined
    )
    environment.filters |= {
        "encoded": lambda svg: base64.b64encode(svg.encode()).decode(),
        "number": _number,
        "signed": lambda value: "-" if math.isnan(value) else f"{value:+.4f}",
        "spread": _spread,
        "mean": lambda values: float(np.mean(values)),
        "counted": lambda value: "-" if value is None else f"{value:,}",
        "p": p_text,
    }
    return environment.get_template("report.html")


def _number(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:.4f}"


def _spread(values: Sequence[float]) -> Any:
    if any(math.isnan(value) for value in values):
        return "-"
    deviation = f' <span class="sd">± {np.std(values, ddof=1):.4f}</span>' if len(values) > 1 else ""
    return Markup(f"{np.mean(values):.4f}{deviation}")


def _versions(entries: Sequence[Entry]) -> str:
    found: dict[str, str] = {"Python": platform.python_version()}
    for entry in entries:
        found |= entry.metrics[0]["versions"]
    mode = next((entry.metrics[0]["keras_mode"] for entry in entries if "keras_mode" in entry.metrics[0]), None)
    parts = [f"{name} {number}" for name, number in found.items()] + ([f"run under {mode}"] if mode else [])
    return ", ".join([*parts, f"{platform.system()} {platform.machine()}, {os.cpu_count()} processors"])
