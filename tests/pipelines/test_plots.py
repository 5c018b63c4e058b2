"""Every picture is a complete, readable file that says what its axes are."""

from itertools import pairwise

import numpy as np
import pytest
from matplotlib.figure import Figure
from PIL import Image

from pipelines import plots

HISTORY = [
    {"epoch": 1, "loss": 0.7, "val_loss": 0.6, "val_auc": 0.60},
    {"epoch": 2, "loss": 0.5, "val_loss": 0.5, "val_auc": 0.70},
    {"epoch": 3, "loss": 0.4, "val_loss": 0.55, "val_auc": 0.68},
]


@pytest.fixture
def figures(monkeypatch):
    """The figures as they are saved, to look at what no file shows."""
    saved = []
    save = Figure.savefig

    def record(figure, *given, **options):
        saved.append(figure)
        save(figure, *given, **options)

    monkeypatch.setattr(Figure, "savefig", record)
    return saved


@pytest.fixture
def predictions():
    generator = np.random.default_rng(1)
    probabilities = generator.beta(1, 5, 3000).astype("float32")
    return (generator.random(3000) < probabilities).astype("float32"), probabilities


def labels_of(figure):
    return [(axes.get_xlabel(), axes.get_ylabel()) for axes in figure.axes]


def texts_of(axes):
    return [text.get_text() for text in axes.texts]


def is_picture(path):
    with Image.open(path) as picture:
        picture.verify()
        return picture.format == "PNG" and min(picture.size) > 300


def test_learning_curves(tmp_path, figures):
    path = plots.learning_curves(HISTORY, tmp_path / "new" / "curves.png", best_possible={"auc": 0.75})
    assert path == tmp_path / "new" / "curves.png"
    assert is_picture(path)
    assert labels_of(figures[0]) == [("epoch", "log loss (nats)"), ("epoch", "AUC")]
    loss, auc = figures[0].axes
    assert sorted(texts_of(loss)) == ["training", "validation"]
    assert sorted(texts_of(auc)) == ["best possible", "validation"]
    assert loss.get_title("right") == "best epoch 2: 0.5000"
    assert auc.get_title("right") == "best epoch 2: 0.7000"
    np.testing.assert_allclose(loss.lines[0].get_xydata(), [[1, 0.7], [2, 0.5], [3, 0.4]])


def test_learning_curves_by_task(tmp_path, figures):
    history = [
        {"click_loss": 0.5, "val_click_loss": 0.4, "val_click_auc": 0.7, "val_like_loss": 0.2},
        {"click_loss": 0.4, "val_click_loss": 0.3, "val_click_auc": 0.8, "val_like_loss": 0.1},
    ]
    assert is_picture(plots.learning_curves(history, tmp_path / "curves.png", tasks=("click", "like")))
    titles = [axes.get_title("left") for axes in figures[0].axes]
    assert titles == ["click: loss", "click: AUC", "like: loss", "like: AUC"]
    assert texts_of(figures[0].axes[3]) == ["not recorded"]


def test_learning_curves_mark_the_epoch_that_was_kept(tmp_path, figures):
    plots.learning_curves(HISTORY, tmp_path / "curves.png", best_epoch=3)
    assert figures[0].axes[1].get_title("right") == "best epoch 3: 0.6800"


@pytest.mark.parametrize("history", [HISTORY[:1], [{"loss": 0.5}], [{"val_auc": float("nan"), "loss": 1.0}] * 2])
def test_learning_curves_of_short_and_broken_runs(tmp_path, history):
    assert is_picture(plots.learning_curves(history, tmp_path / "curves.png"))


def test_names_at_line_ends_do_not_overlap(tmp_path, figures):
    close = [{"loss": 0.9, "val_loss": 0.9}, {"loss": 0.5, "val_loss": 0.5}]
    plots.learning_curves(close, tmp_path / "curves.png", best_possible={"loss": 0.5})
    axes = figures[0].axes[0]
    boxes = sorted((text.get_window_extent() for text in axes.texts), key=lambda box: box.y0)
    assert len(boxes) == 3
    assert all(upper.y0 >= lower.y1 for lower, upper in pairwise(boxes))


def test_calibration_curve(tmp_path, figures, predictions):
    assert is_picture(plots.calibration_curve(*predictions, tmp_path / "calibration.png", bins=10))
    assert labels_of(figures[0]) == [("", "observed rate"), ("predicted probability", "examples")]
    curve, counts = figures[0].axes
    assert any("10 quantile bins" in text for text in texts_of(curve))
    shown = sum(bar.get_height() for bar in counts.patches)
    assert shown == (predictions[1] <= curve.get_xlim()[1]).sum()


def test_score_histogram(tmp_path, figures, predictions):
    assert is_picture(plots.score_histogram(*predictions, tmp_path / "scores.png"))
    assert labels_of(figures[0]) == [("predicted probability", "share of its class (%)")]
    names = [text.get_text() for text in figures[0].axes[0].get_legend().get_texts()]
    positives = int(predictions[0].sum())
    assert names == [f"negative ({3000 - positives:,})", f"positive ({positives:,})"]


def test_roc_curve_encloses_the_auc(tmp_path, figures, predictions):
    assert is_picture(plots.roc_curve(*predictions, tmp_path / "roc.png"))
    axes = figures[0].axes[0]
    assert labels_of(figures[0]) == [("false positive rate", "true positive rate")]
    x, y = axes.lines[-1].get_xydata().T
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    area = np.trapezoid(y, x)
    assert area == pytest.approx(float(texts_of(axes)[0].removeprefix("AUC ")), abs=1e-3)


def test_roc_curve_gives_ties_a_diagonal(tmp_path, figures):
    plots.roc_curve([0, 1, 0, 1], [0.5, 0.5, 0.5, 0.5], tmp_path / "roc.png")
    np.testing.assert_array_equal(figures[0].axes[0].lines[-1].get_xydata(), [[0, 0], [1, 1]])


@pytest.mark.parametrize("plot", [plots.calibration_curve, plots.score_histogram, plots.roc_curve])
def test_one_panel_per_task(tmp_path, figures, predictions, plot):
    labels, probabilities = predictions
    truths = {"click": labels, "never": np.zeros(3000)}
    plot(truths, {"never": probabilities, "click": probabilities[:, None]}, tmp_path / "tasks.png")
    titles = [axes.get_title("left") for axes in figures[0].axes]
    assert [title for title in titles if title] == ["click", "never"]


@pytest.mark.parametrize("plot", [plots.calibration_curve, plots.score_histogram, plots.roc_curve])
@pytest.mark.parametrize("value", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("label", [0, 1])
def test_constant_predictions_and_single_classes(tmp_path, plot, value, label):
    assert is_picture(plot([label, label], [value, value], tmp_path / "constant.png"))


@pytest.mark.parametrize("plot", [plots.calibration_curve, plots.score_histogram, plots.roc_curve])
def test_tasks_and_lengths_must_agree(tmp_path, plot):
    with pytest.raises(ValueError, match=r"same tasks, at least one. Received: \['a'\] and \['b'\]"):
        plot({"a": [0, 1]}, {"b": [0.1, 0.2]}, tmp_path / "x.png")
    with pytest.raises(ValueError, match="both be arrays or both be dicts"):
        plot({"a": [0, 1]}, [0.1, 0.2], tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"Received: 2 and 3 for task 'a'"):
        plot({"a": [0, 1]}, {"a": [0.1, 0.2, 0.3]}, tmp_path / "x.png")


@pytest.mark.parametrize("plot", [plots.calibration_curve, plots.score_histogram])
def test_probabilities_must_be_probabilities(tmp_path, plot):
    with pytest.raises(ValueError, match=r"`probabilities` must lie in \[0, 1\]"):
        plot([0, 1], [0.1, 1.2], tmp_path / "x.png")


def test_history_must_hold_something(tmp_path):
    with pytest.raises(ValueError, match="`history` must hold at least one epoch"):
        plots.learning_curves([], tmp_path / "x.png")
    with pytest.raises(ValueError, match=r"`history` must hold `a_loss`, .* Received: keys \['loss'\]"):
        plots.learning_curves([{"loss": 1.0}], tmp_path / "x.png", tasks=["a"])
    with pytest.raises(ValueError, match=r"`best_epoch` must be an epoch of `history`. Received: 9"):
        plots.learning_curves(HISTORY, tmp_path / "x.png", best_epoch=9)


def test_a_failed_write_leaves_the_old_picture_and_no_rubbish(tmp_path, monkeypatch):
    path = plots.learning_curves(HISTORY, tmp_path / "curves.png")
    before = path.read_bytes()

    def break_off(figure, name, **options):
        name.write_bytes(b"half")
        raise OSError("disk full")

    monkeypatch.setattr(Figure, "savefig", break_off)
    with pytest.raises(OSError, match="disk full"):
        plots.learning_curves(HISTORY[:2], path)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".svg", ".pdf", ""])
def test_other_formats_by_ending(tmp_path, ending):
    assert plots.learning_curves(HISTORY, tmp_path / f"curves{ending}").stat().st_size > 1000


@pytest.mark.parametrize("count", [3, 12])
def test_spread(tmp_path, figures, count):
    values = {f"variant {i}": [0.7 + 0.01 * i, 0.72 + 0.01 * i] for i in range(count)}
    assert is_picture(plots.spread(values, tmp_path / "spread.png", "test AUC", "variant"))
    (axes,) = figures[0].axes
    assert texts_of(axes) == [f"{0.71 + 0.01 * i:.4f}" for i in range(count)]
    ticks = axes.get_xticklabels() if count == 3 else axes.get_yticklabels()
    assert [tick.get_text() for tick in ticks] == list(values)
