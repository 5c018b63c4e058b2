"""The same InterFormer in plain PyTorch, eager and compiled."""

import itertools
import math
import time
from collections.abc import Callable
from typing import Any

import torch

from benchmarks import standard_work
from benchmarks.gpu import models
from benchmarks.gpu.cases import Case
from benchmarks.peers.torch_interformer import TorchInterFormer

Run = Callable[[int], None]


class TorchSide:
    """Makes and runs cases; of whole training steps of InterFormer only.

    Args:
        small: Whether nothing is compiled.

    Attributes:
        runs: Peer -> function that does so many steps and waits for the last.
    """

    def __init__(self, small: bool) -> None:
        self.small = small
        self.runs: dict[str, Run] = {}
        self.device = "cuda" if torch.cuda.is_available() else "cpu"
        self.facts = {"device": torch.cuda.get_device_name() if self.device == "cuda" else "cpu"}
        # As JAX does by itself.
        torch.set_float32_matmul_precision("high")

    def make(self, case: Case) -> dict[str, dict[str, Any]]:
        """Make a case ready to run; returns facts by peer, `{"error": ...}` where one fails."""
        found: dict[str, dict[str, Any]] = {}
        for peer in ("torch", "torch_compiled")[: 1 if self.small else 2]:
            try:
                found[peer] = self._peer(case, peer)
            except Exception as error:
                found[peer] = {"error": f"{type(error).__name__}: {error}"[:500]}
        return found

    def drop(self) -> None:
        self.runs.clear()
        torch.compiler.reset()
        if self.device == "cuda":
            torch.cuda.empty_cache()

    def _peer(self, case: Case, peer: str) -> dict[str, float]:
        torch.manual_seed(0)
        ranker = models.ranker(case)
        model = TorchInterFormer(ranker).to(self.device)
        network: Any = torch.compile(model) if peer == "torch_compiled" else model
        optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, fused=self.device == "cuda")
        loss_of = torch.nn.BCEWithLogitsLoss()
        label = ranker.schema.tasks[0]

        def tensors(columns: Any, labels: Any) -> Any:
            ids = {name: torch.from_numpy(x.astype("int64")).to(self.device) for name, x in columns.items()}
            return ids, torch.from_numpy(labels[label]).to(self.device)

        made = standard_work.arrays(ranker.schema, count=2, size=case.rows)
        turns = itertools.cycle([tensors(*batch) for batch in made])

        def step() -> Any:
            columns, labels = next(turns)
            optimizer.zero_grad()
            with torch.autocast(self.device, torch.bfloat16, enabled=case.dtype == "bfloat16"):
                logits = network(columns)
            loss = loss_of(logits.float(), labels)
            loss.backward()
            optimizer.step()
            return loss

        def run(count: int) -> None:
            for _ in range(count):
                loss = step()
            if not math.isfinite(loss.item()):  # waits
                raise ValueError(f"the loss is {loss.item()}")

        started = time.perf_counter()
        run(1)
        self.runs[peer] = run
        return {"compile_seconds": time.perf_counter() - started}
