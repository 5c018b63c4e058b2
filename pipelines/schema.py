"""`python -m pipelines.schema`: what `pipelines.own_log` was called before."""

import sys

from pipelines.own_log.__main__ import main

if __name__ == "__main__":
    sys.exit(main())
