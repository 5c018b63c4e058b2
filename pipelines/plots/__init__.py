"""Pictures of a training run and of its predictions, as files.

Every function draws one file and returns its path. Nothing goes through pyplot, so there is no global state
and no display; the file appears under its name only once it is complete. Functions on predictions take one
task (two arrays) or several (two dicts of arrays by task), and draw one panel per task.
"""

from pipelines.plots.calibration_curve import calibration_curve
from pipelines.plots.learning_curves import learning_curves
from pipelines.plots.roc_curve import roc_curve
from pipelines.plots.score_histogram import score_histogram
from pipelines.plots.spread import spread

__all__ = ["calibration_curve", "learning_curves", "roc_curve", "score_histogram", "spread"]
