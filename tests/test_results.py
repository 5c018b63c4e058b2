"""The figures that README.md and docs/ quote are those of the committed results, which the named commands write."""

import json
import statistics
from functools import partial
from pathlib import Path

import pytest

from benchmarks import candidates, onnx_speed, peers_quality, score, serving_load, train_step, trivago_rules
from benchmarks.gpu import table as gpu
from benchmarks.hiformer_cost import published_table, table
from pipelines import ablate
from pipelines.compare import leaderboard
from pipelines.compare.plan import read_plan

ROOT = Path(__file__).parents[1]
RESULTS = sorted((ROOT / "docs" / "results").glob("*.json"))
FIGURES = "".join((ROOT / page).read_text() for page in ("README.md", "docs/figures.md"))
ABLATIONS = [path for path in RESULTS if "rows" in (found := json.loads(path.read_text())) and "key" in found]


@pytest.mark.parametrize("path", ABLATIONS, ids=lambda path: path.stem)
def test_the_pages_quote_the_results(path):
    assert ablate.table(json.loads(path.read_text())) in FIGURES


def leaderboard_of(name):
    found = json.loads((ROOT / f"docs/results/{name}.json").read_text())
    assert leaderboard.markdown(found) in FIGURES
    means = [statistics.mean(row["auc"]) for row in found["rows"]]
    assert means == sorted(means, reverse=True)
    assert all(len(row["auc"]) == found["seeds"] for row in found["rows"])
    return found, means


def lead_of(rows, metric, model, other):
    """Mean of one model's metric over the seeds, less another's."""
    return statistics.mean(rows[model][metric]) - statistics.mean(rows[other][metric])


def test_the_leaderboard_of_the_simulated_log():
    found, means = leaderboard_of("simulated_leaderboard")
    assert found["rows"][0]["model"] == "interformer_dhen"
    assert f"by {means[0] - means[1]:.2f}, of eight others" in FIGURES and len(found["rows"]) == 9


def test_the_leaderboard_of_trivago():
    found, _ = leaderboard_of("trivago_leaderboard")
    rows = {row["model"]: row for row in found["rows"]}
    lead = partial(lead_of, rows)
    asked = read_plan(ROOT / "pipelines/configs/compare/trivago.yaml").models
    assert set(rows) == {model.name for model in asked}
    bare = {name for name in rows if not name.startswith("interformer") and name != "lightgbm"}
    assert min(rows["interformer"]["auc"]) > max(max(rows[name]["auc"]) for name in bare)
    assert abs(lead("auc", "interformer", "interformer_printed")) < 0.001  # "level with the default"
    words = [
        f"by {lead('auc', 'interformer', 'dcn_v2'):.4f} AUC and {lead('gauc', 'interformer', 'dcn_v2'):.4f} gAUC",
        f"by {lead('auc', 'interformer', 'lightgbm_comparisons'):.4f} AUC before the trees",
        f"{lead('auc', 'lightgbm', 'interformer'):.4f} (p {rows['interformer']['auc_difference']['p_holm']:.3f})",
        f"({lead('auc', 'lightgbm', 'interformer_made'):.4f}, "
        f"p {rows['interformer_made']['auc_difference']['p_holm']:.3f})",
    ]
    text = " ".join(FIGURES.split())
    assert [word for word in words if word not in text] == []
    assert abs(lead("request_gauc", "lightgbm_comparisons", "interformer")) < 0.001  # "level with these trees"
    (lists,) = (segment for segment in found["segments"] if segment["title"] == "List")
    for model, (touched, without) in lists["auc"].items():
        assert f"| {model} | {touched:.4f} | {without:.4f} |" in FIGURES
    rules, strict = (
        json.loads((ROOT / f"docs/results/{name}.json").read_text())
        for name in ("trivago_rules", "trivago_rules_strict")
    )
    assert trivago_rules.table(rules) in FIGURES and trivago_rules.table_of_parts(rules) in FIGURES
    first, later = (
        statistics.mean(rules["models"]["interformer"][part]["auc"])
        - statistics.mean(rules["models"]["dcn_v2"][part]["auc"])
        for part in ("first", "later")
    )
    assert f"{first:.4f} AUC on first click-outs and {later:.4f} on later ones" in text
    assert f"{strict['last touched']['auc']:.4f} and an MRR" in FIGURES


def test_what_the_readme_says_of_the_logs_whose_histories_matter():
    boards = [
        json.loads((ROOT / f"docs/results/{name}_leaderboard.json").read_text())
        for name in ("trivago", "kuairand_raw", "globo")
    ]
    trivago, raw, globo = ({row["model"]: row for row in board["rows"]} for board in boards)
    shown = ((trivago, ("auc", "gauc", "mrr")), (raw, ("auc", "gauc")), (globo, ("auc", "request_gauc")))
    readme = (ROOT / "README.md").read_text()
    for label, model in {"**InterFormer**": "interformer", "DCNv2": "dcn_v2", "DIN": "din"}.items():
        cells = [
            f"{statistics.mean(row[metric]):.4f} ± {statistics.stdev(row[metric]):.4f}"
            for row, metrics in ((board[model], metrics) for board, metrics in shown)
            for metric in metrics
        ]
        assert f"| {label} | {' | '.join(cells)} |" in readme


def test_the_leaderboard_without_counted_numbers():
    found, _ = leaderboard_of("kuairand_raw_leaderboard")
    asked = read_plan(ROOT / "pipelines/configs/compare/kuairand_raw.yaml").models
    assert {row["model"] for row in found["rows"]} <= {model.name for model in asked}
    rows = {row["model"]: row for row in found["rows"]}
    by_gauc = {name: statistics.mean(row["gauc"]) for name, row in rows.items()}
    own = by_gauc.pop("interformer")
    networks = {name: value for name, value in by_gauc.items() if not name.startswith("lightgbm")}
    assert f"is {own - max(networks.values()):.3f} above the next network's" in FIGURES
    assert f"{own - by_gauc['lightgbm']:.3f} above that of the trees" in FIGURES
    assert rows["interformer"]["gauc_difference"]["p_holm"] < 0.001
    assert max(networks, key=networks.__getitem__) == "dcn_v2"
    assert f"{lead_of(rows, 'auc', 'transformer', 'interformer'):.4f} behind the Transformer" in FIGURES


def test_the_leaderboard_of_globo():
    found, _ = leaderboard_of("globo_leaderboard")
    asked = read_plan(ROOT / "pipelines/configs/compare/globo.yaml").models
    assert {row["model"] for row in found["rows"]} == {model.name for model in asked}
    rows = {row["model"]: row for row in found["rows"]}
    assert found["best"] == "transact"
    lead = partial(lead_of, rows)
    p = {metric: rows["interformer"][f"{metric}_difference"]["p_holm"] for metric in ("auc", "gauc")}
    events, items = found["segments"][:2]
    own, cross = (events["auc"][model] for model in ("interformer", "dcn_v2"))
    words = [
        f"in AUC ({lead('auc', 'interformer', 'transact'):.4f}, p {p['auc']:.3f}) and gAUC "
        f"({lead('gauc', 'interformer', 'transact'):.4f}, p {p['gauc']:.3f})",
        f"DCNv2 by {lead('auc', 'interformer', 'dcn_v2'):.4f} AUC",
        f"the trees by {lead('auc', 'interformer', 'lightgbm'):.4f}",
        f"has an AUC of {own[-1]:.4f}, DCNv2 of {cross[-1]:.4f}",
        f"without a click {own[0]:.4f} and {cross[0]:.4f}",
        f"{100 * items['examples'][0] / found['examples']:.0f} % of the test day's examples",
    ]
    text = " ".join(FIGURES.split())
    assert [word for word in words if word not in text] == []
    assert min(p.values()) > 0.05  # "level"


# What came into the package after the comparison was run; the README says so.
LATER = {"rankmixer", "onetrans", "longer", "hyformer", "kunlun", "tokenformer"}


def test_the_leaderboard():
    found, _ = leaderboard_of("kuairand_leaderboard")
    asked = read_plan(ROOT / "pipelines/configs/compare/kuairand.yaml").models
    assert {row["model"] for row in found["rows"]} == {model.name for model in asked} - LATER
    assert found["seeds"] >= 3
    assert leaderboard.markdown(found) in (ROOT / "README.md").read_text()


def aucs(name):
    """AUC of each seed, by variant."""
    return {row["value"]: row["auc"] for row in json.loads((ROOT / f"docs/results/{name}.json").read_text())["rows"]}


def test_both_directions_of_information_flow_show_on_the_simulated_log():
    rows = aucs("flows")
    # every seed of one beats every seed of the other, not just their means
    order = [("sep", "sole"), ("n2s", "sep"), ("s2n", "sep"), ("both", "n2s"), ("both", "s2n")]
    for better, worse in order:
        assert min(rows[better]) > max(rows[worse]), (better, worse)


def test_which_parts_of_interformer_matter():
    quoted = {"flow sep", "flow s2n", "average", "mha", "no PMA", "no gates", "plain FFN", "no attention", "5 events"}
    better = {"flow sole", "flow sep", "flow s2n", "average", "plain FFN"}
    check_parts("kuairand_interformer_ablation", quoted, better, gains={"2 layers"}, digits=4)
    quoted = {"mlp", "mha", "2 layers", "4 events", "no attention", "no recent tokens"}
    check_parts("simulated_ablation", quoted, better={*quoted, "average"}, gains=set(), digits=2)


def check_parts(name, quoted, better, gains, digits):
    """The README quotes the loss of the variants `quoted`, the gain of `gains`; no seed of `better` is as good."""
    claims = (ROOT / "README.md").read_text().split("### What held")[1].split("\n## ")[0]
    variants = aucs(name)
    whole = variants.pop("interformer")
    assert {variant for variant, seeds in variants.items() if min(whole) > max(seeds)} == better
    for variant in quoted | gains:
        loss = statistics.mean(whole) - statistics.mean(variants[variant])
        assert f"{-loss if variant in gains else loss:.{digits}f}" in claims, variant


def test_the_models_beside_fuxictr():
    apart, by_group = {}, []
    for log in ("trivago", "kuairand"):
        rows = json.loads((ROOT / f"docs/results/peers_quality_{log}.json").read_text())["rows"]
        assert peers_quality.table(rows) in FIGURES
        auc = {(row["model"], row["package"]): row["auc"] for row in rows}
        gauc = {(row["model"], row["package"]): statistics.mean(row["gauc"]) for row in rows}
        for model in peers_quality.MODELS:
            by_group.append(gauc[model, "tf_interformer"] - gauc[model, "fuxictr"])
            ours, theirs = auc[model, "tf_interformer"], auc[model, "fuxictr"]
            apart[model, log] = statistics.mean(ours) - statistics.mean(theirs)
            if model == "din":
                assert abs(apart[model, log]) < max(statistics.stdev(ours), statistics.stdev(theirs))
    claim = "DCNv2's lie {:.4f} apart on trivago and {:.4f} on\nKuaiRand-Pure, ours ahead"
    assert claim.format(apart["dcn_v2", "trivago"], apart["dcn_v2", "kuairand"]) in FIGURES
    assert f"in gAUC, too, by {min(by_group):.4f} to {max(by_group):.4f}" in FIGURES


def spread(values, digits):
    return f"{statistics.mean(values):.{digits}f} ± {statistics.stdev(values):.{digits}f}"


def test_planted_effects():
    found = json.loads((ROOT / "docs/results/planted.json").read_text())
    cells = [spread([run[name] for run in found["pairs"]], 3) for name in ("combo_id", "inner_products")]
    assert f"| test AUC | {' | '.join(cells)} |" in FIGURES
    quoted = {"mask_on_binary": 3, "attention_to_binary": 3, "auc": 3, "abundance_of_large_tables": 2}
    quoted |= {"abundance_of_large_after_first_attention": 2, "abundance_of_large_after_last_layer": 2}
    for key, digits in quoted.items():
        cells = [spread([run[name][key] for run in found["collapse"]], digits) for name in ("filter", "no_filter")]
        assert f"| {' | '.join(cells)} |" in FIGURES, key
    for run in found["pairs"]:
        assert run["combo_id"] > run["inner_products"] + 0.1
    for run in found["collapse"]:
        for key in ("abundance_of_large_after_first_attention", "abundance_of_large_after_last_layer"):
            assert run["filter"][key] > run["no_filter"][key]


def test_the_cost_of_hiformers_projections():
    found = json.loads((ROOT / "docs/results/hiformer_cost.json").read_text())
    rows = found["rows"]
    assert table(rows) in FIGURES
    assert published_table(found["published"]["models"]) in FIGURES
    latency = {row["model"]: row["pruned_ms"] for row in found["published"]["models"]}
    assert 0.28 < latency["HeteroAtt, 2 layers"] / latency["Hiformer, full"] < 0.38
    assert f"a third and {latency['HeteroAtt, 2 layers'] / latency['Hiformer, low rank']:.1f} times as much" in FIGURES
    times = {row["form"]: row["score_256_ms"] for row in rows if row["fields"] == 40}
    saved = 1 - times["composite low rank, pruned"] / times["composite full, unpruned"]
    assert saved >= 0.6
    assert f"take {saved:.0%}".replace("%", " %") in FIGURES


@pytest.mark.parametrize(
    ("name", "page", "made"),
    [
        ("onnx_speed", "onnx", onnx_speed),
        ("serving_load", "server", serving_load),
        ("train_step", "speed", train_step),
        ("train_step_width_64", "speed", train_step),
        ("train_step_batch_4096", "speed", train_step),
        ("train_step_bfloat16", "speed", train_step),
        ("inference", "speed", train_step),
        ("candidates", "speed", candidates),
        ("score", "speed", score),
        ("gpu", "speed", gpu),
        ("gpu_width_256", "speed", gpu),
    ],
)
def test_tables_of_speed(name, page, made):
    found = json.loads((ROOT / f"docs/results/{name}.json").read_text())
    text = made.table(found.get("rows", found))
    assert text in (ROOT / f"docs/{page}.md").read_text()


def test_overload_lost_nothing():
    for figures in json.loads((ROOT / "docs/results/serving_load.json").read_text())["overload"]:
        assert figures["lost"] == 0
        assert figures["afterwards"] == "OK"
        assert sum(figures["outcomes"].values()) == figures["sent"]


def grown(thing, optimizer="lazy_adam"):
    rows = json.loads((ROOT / f"docs/results/growth_{thing}.json").read_text())["rows"]
    return [row for row in rows if row["optimizer"] == optimizer][-1]


def test_what_a_step_costs_as_things_grow():
    text = (ROOT / "docs/speed.md").read_text()
    assert grown("rows")["to_smallest"] < 1.2 < grown("rows", "adam")["to_smallest"]
    events = grown("events")
    assert f"grows {events['arithmetic_to_smallest']:.0f} times, the time\n{events['to_smallest']:.0f} times" in text
    for thing in ("rows", "events", "fields", "layers", "batch_size"):
        assert f"results/growth_{thing}.png" in text
    shares = [row["share"] for row in json.loads((ROOT / "docs/results/roofline.json").read_text())["rows"]]
    assert "reaches {:.0%} at width 16 and {:.0%} at width 64".format(*shares).replace("%", " %") in text
    ratio = json.loads((ROOT / "docs/results/input_pipeline.json").read_text())["input_to_training"]
    assert f"delivers {ratio:.0f} times" in text
