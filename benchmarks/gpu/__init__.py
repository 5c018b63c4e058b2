"""The layers and whole training steps on a GPU: see `python -m benchmarks.gpu --help`."""
