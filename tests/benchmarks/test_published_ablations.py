"""The paper's ablations beside ours."""

import json

import pytest

from benchmarks.published_ablations import PUBLISHED, differences, main, table


def ablation(**scores):
    rows = {"interformer": [0.8, 0.81], **{name: [0.8, 0.81] for name in PUBLISHED}, **scores}
    return {"rows": [{"value": name, "auc": seeds} for name, seeds in rows.items()]}


def test_differences_tell_whether_they_are_beyond_the_seeds():
    found = differences(
        ablation(**{"no PMA": [0.79, 0.795], "mlp": [0.79, 0.805], "mha": [0.82, 0.83], "dot": [0.5, 0.5]})
    )
    assert found["no PMA"] == (pytest.approx(-0.0125), True)
    assert found["mlp"] == (pytest.approx(-0.0075), False)
    assert found["mha"] == (pytest.approx(0.02), True)
    assert found["average"] == (0.0, False) and found["dot"][1]


def test_the_table_has_the_papers_columns_and_ours():
    lines = table({"here": ablation(**{"no PMA": [0.79, 0.795]}), "there": ablation()}).splitlines()
    assert lines[0] == "| variant | AmazonElectronics, published | TaobaoAds, published | here | there |"
    assert "| flow sole | -0.0125 | -0.0040 | +0.0000 | +0.0000 |" in lines
    assert "| no PMA | -0.0029 | -0.0035 | **-0.0125** | +0.0000 |" in lines
    assert len(lines) == 2 + len(PUBLISHED)


def test_the_command(tmp_path, capsys):
    good, other = tmp_path / "good.json", tmp_path / "other.json"
    good.write_text(json.dumps(ablation()))
    other.write_text(json.dumps({"rows": [{"value": "interformer", "auc": [0.5]}]}))
    assert main([f"log={good}"]) == 0
    assert capsys.readouterr().out.startswith("| variant | AmazonElectronics, published | TaobaoAds, published | log |")
    for argument, message in {
        str(good): "give LOG=FILE",
        f"log={tmp_path / 'none.json'}": "none.json",
        f"log={other}": "Missing: flow sole",
    }.items():
        assert main([argument]) == 2
        assert message in capsys.readouterr().err
