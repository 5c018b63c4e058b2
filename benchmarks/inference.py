"""Scoring by InterFormer at 1, 100 and 1000 rows, beside the same model in plain PyTorch and in plain Keras.

`python -m benchmarks.inference --output inference.json`: every model in a process of its own, measured in turns.
"""

from benchmarks.train_step import main

if __name__ == "__main__":
    main("score", (1, 100, 1000))
