"""InterFormer in plain PyTorch, as one would write it from the paper: the peer of the speed benchmarks.

It has the arrangement of `tf_interformer.backbones.InterFormer` with its defaults (DHEN, residuals, soft norms,
questions of the candidate), an `nn.Embedding` per vocabulary and a tower, so that `load_ranker` can give it the weights
of a `Ranker` and both must then score alike.
"""

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from tf_interformer import Ranker


def norm(dim: int) -> nn.LayerNorm:
    """A norm that leaves quiet tokens quiet."""
    return nn.LayerNorm(dim, eps=1.0)


def mlp(widths: list[int], activation: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """Dense layers with an activation between them."""
    layers: list[nn.Module] = []
    for i, (a, b) in enumerate(pairwise(widths)):
        layers += [nn.Linear(a, b)] + ([activation()] if i < len(widths) - 2 else [])
    return nn.Sequential(*layers)


class Compression(nn.Module):
    """LCE: tokens as weighted sums of tokens."""

    def __init__(self, tokens: int, outputs: int) -> None:
        super().__init__()
        self.linear = nn.Linear(tokens, outputs, bias=False)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.linear(x.transpose(1, 2)).transpose(1, 2)


class Dhen(nn.Module):
    """One layer of DHEN: inner products and a low-rank cross layer side by side."""

    def __init__(self, tokens: int, dim: int, rank: int) -> None:
        super().__init__()
        self.register_buffer("pairs", torch.triu_indices(tokens, tokens, 1), persistent=False)
        self.dot = nn.Linear(tokens * (tokens - 1) // 2, tokens * dim)
        self.down = nn.Linear(tokens * dim, rank, bias=False)
        self.up = nn.Linear(rank, tokens * dim)
        self.ensemble = Compression(2 * tokens, tokens)
        self.shortcut = nn.Linear(dim, dim)
        self.norm = norm(dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        batch, tokens, dim = x.shape
        products = torch.bmm(x, x.transpose(1, 2))[:, self.pairs[0], self.pairs[1]]
        dots = self.dot(products).view(batch, tokens, dim)
        flat = x.reshape(batch, tokens * dim)
        cross = (flat * self.up(self.down(flat)) + flat).view(batch, tokens, dim)
        return self.norm(self.ensemble(torch.cat([dots, cross], 1)) + self.shortcut(x))


class InteractionArch(nn.Module):
    """Equation 7."""

    def __init__(self, tokens: int, summary: int, dim: int, rank: int) -> None:
        super().__init__()
        self.interaction = Dhen(tokens + summary, dim, rank)
        self.mlp = nn.Linear((tokens + summary) * dim, tokens * dim)
        self.norm = norm(dim)

    def forward(self, x: torch.Tensor, summary: torch.Tensor) -> torch.Tensor:
        mixed = self.interaction(torch.cat([x, summary], 1))
        return self.norm(x + self.mlp(mixed.flatten(1)).view_as(x))


def rotate(x: torch.Tensor, positions: torch.Tensor) -> torch.Tensor:
    """Rotary positions `[B, T]` on `[B, H, T, size]`."""
    size = x.shape[-1]
    frequency = 10000.0 ** (-torch.arange(0, size, 2, dtype=torch.float64, device=x.device) / size)
    angles = positions[:, None, :, None].to(x.dtype) * frequency.to(x.dtype)
    cos, sin = angles.cos(), angles.sin()
    a, b = x.chunk(2, -1)
    return torch.cat([a * cos - b * sin, b * cos + a * sin], -1)


class SequenceArch(nn.Module):
    """Equations 8 and 9: personalized FFN, then attention with rotary positions."""

    def __init__(self, summary: int, dim: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.hyper = nn.Parameter(torch.randn(summary, dim) * (summary * dim) ** -0.5)
        self.qkv = nn.Linear(dim, 3 * dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)
        self.ffn_norm, self.mha_norm = norm(dim), norm(dim)

    def forward(
        self, sequence: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, summary: torch.Tensor
    ) -> torch.Tensor:
        weights = summary.transpose(1, 2) @ self.hyper  # W_PFFN, [B, D, D]
        sequence = self.ffn_norm(sequence + sequence @ weights.transpose(1, 2))
        batch, time, dim = sequence.shape
        qkv = self.qkv(sequence).view(batch, time, 3, self.heads, dim // self.heads)
        query, key, value = qkv.permute(2, 0, 3, 1, 4)
        query, key = rotate(query, positions), rotate(key, positions)
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=mask[:, None, None, :])
        return self.mha_norm(sequence + self.output(attended.transpose(1, 2).reshape(batch, time, dim)))


class PoolingByAttention(nn.Module):
    """Equation 4, with learned seeds or with queries made of the candidate; nothing from an empty history."""

    def __init__(self, tokens: int, dim: int, heads: int, target: int = 0) -> None:
        super().__init__()
        self.heads, self.tokens = heads, tokens
        self.seeds = nn.Parameter(torch.randn(0 if target else tokens, dim))
        self.query = nn.Linear(target, tokens * dim, bias=False) if target else None
        self.key = nn.Linear(dim, dim, bias=False)
        self.value = nn.Linear(dim, dim, bias=False)
        self.output = nn.Linear(dim, dim, bias=False)

    def forward(self, sequence: torch.Tensor, mask: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        batch, _, dim = sequence.shape

        def split(x: torch.Tensor) -> torch.Tensor:
            return x.view(x.shape[0], -1, self.heads, dim // self.heads).transpose(1, 2)

        some = mask.any(1)
        seen = mask | ~some[:, None]
        queries = self.seeds[None] if self.query is None else self.query(target).view(batch, self.tokens, dim)
        seeds = split(queries).expand(batch, -1, -1, -1)
        key, value = split(self.key(sequence)), split(self.value(sequence))
        pooled = F.scaled_dot_product_attention(seeds, key, value, attn_mask=seen[:, None, None, :])
        return self.output(pooled.transpose(1, 2).reshape(batch, -1, dim)) * some[:, None, None]


class Gate(nn.Module):
    """A norm, then equation 10 with the identity."""

    def __init__(self, dim: int) -> None:
        super().__init__()
        self.norm = norm(dim)
        self.gate = nn.Linear(dim, dim)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.norm(x)
        return x * self.gate(x)


class CrossArch(nn.Module):
    """Equations 10 and 11."""

    def __init__(
        self, tokens: int, dim: int, heads: int, cls: int, pma: int, recent: int, asked: tuple[int, int]
    ) -> None:
        super().__init__()
        self.recent = recent
        self.compression = Compression(tokens, cls) if cls else None
        self.feature_gate = Gate(dim) if cls else nn.Identity()
        self.pma = PoolingByAttention(pma, dim, heads)
        self.target = PoolingByAttention(asked[0], dim, heads, asked[1] * dim) if asked[0] else None
        self.sequence_gate = Gate(dim)

    def forward(
        self,
        x: torch.Tensor,
        sequence: torch.Tensor,
        mask: torch.Tensor,
        target: torch.Tensor,
        cls: torch.Tensor | None,
    ) -> tuple[torch.Tensor | None, torch.Tensor]:
        features = None if self.compression is None else self.feature_gate(self.compression(x))
        wanted = mask.sum(1, keepdim=True) - 1 - torch.arange(self.recent, device=x.device)
        recent = sequence.gather(1, wanted.clamp(min=0)[:, :, None].expand(-1, -1, sequence.shape[2]))
        recent = recent * (wanted >= 0)[:, :, None]
        parts = [features if cls is None else cls, self.pma(sequence, mask, target), recent]
        parts += [] if self.target is None else [self.target(sequence, mask, target)]
        return features, self.sequence_gate(torch.cat(parts, 1))


class TorchInterFormer(nn.Module):
    """Columns as the `Preprocessor` of `ranker` makes them in, the first task's logit `[B, 1]` out.

    Args:
        ranker: The `Ranker` whose schema and sizes are taken over; it has an InterFormer with DHEN, no dropout, no
            multi-valued feature and tables of one width.
    """

    def __init__(self, ranker: Ranker) -> None:
        super().__init__()
        backbone, schema, dim = ranker.backbone, ranker.schema, ranker.embedder.dim
        self.schema = schema
        self.tables = nn.ModuleDict(
            {name: nn.Embedding(owner.num_ids, dim, padding_idx=0) for name, owner in schema.tables.items()}
        )
        tokens = len(schema.categoricals)
        self.dense = nn.Linear(len(schema.numerics), dim) if schema.numerics else None
        tokens += self.dense is not None
        width = sum(len(sequence.fields) for sequence in schema.sequences) * dim
        self.mask = mlp([width, width, width], nn.ReLU)
        self.merge = nn.Linear(width, dim, bias=False)
        self.feature_norm, self.sequence_norm = norm(dim), norm(dim)
        cls, heads = backbone.num_summary_tokens, backbone.num_heads
        pma, recent = backbone.num_pma_tokens, backbone.num_recent_tokens
        self.candidate = sorted({i for chosen in backbone.targets.values() for i in chosen if i >= 0})
        asked = (backbone.num_target_tokens if self.candidate else 0, len(self.candidate))
        rank = backbone.interaction_arches[0].interaction.rank
        layers = range(backbone.num_layers)
        # The last one summarises the history alone: the head sees the feature tokens themselves.
        self.crosses = nn.ModuleList(
            CrossArch(tokens, dim, heads, made, pma, recent, asked) for made in (*(cls for _ in layers), 0)
        )
        summary = cls + pma + recent + asked[0]
        self.interactions = nn.ModuleList(InteractionArch(tokens, summary, dim, rank) for _ in layers)
        self.sequences = nn.ModuleList(SequenceArch(cls, dim, heads) for _ in layers)
        self.cls = cls
        self.tower = mlp([(tokens + summary) * dim, *ranker.tower_units, 1])

    def forward(self, columns: Mapping[str, torch.Tensor]) -> torch.Tensor:
        tokens = [self.dense(torch.stack([columns[f.name] for f in self.schema.numerics], 1))] if self.dense else []
        tokens += [self.tables[self.schema.table_of(f.name)](columns[f.name]) for f in self.schema.categoricals]
        x = self.feature_norm(torch.stack(tokens, 1))
        events, lengths = [], []
        for sequence in sorted(self.schema.sequences, key=lambda s: s.name):
            keys = [sequence.column(f.name) for f in sequence.fields]
            embedded = torch.cat([self.tables[self.schema.table_of(key)](columns[key]) for key in keys], -1)
            events.append(embedded)
            lengths.append(columns[sequence.length_column])
        time = max(e.shape[1] for e in events)
        longest = torch.stack(lengths).amax(0)
        steps = torch.arange(time, device=longest.device)
        shifted = [_shifted(e, steps - (longest - n)[:, None], n) for e, n in zip(events, lengths, strict=True)]
        joined = torch.cat(shifted, -1)
        mask = steps < longest[:, None]
        sequence = self.sequence_norm(self.merge(joined * self.mask(joined)))

        target = x[:, self.candidate].flatten(1)
        cls = None
        with_cls = torch.cat([mask.new_ones(len(mask), self.cls), mask], 1)
        # The CLS tokens stand right behind the last event.
        behind = mask.sum(1, keepdim=True) + torch.arange(self.cls, device=mask.device)
        positions = torch.cat([behind, steps.expand(len(mask), -1)], 1)
        for cross, interaction, arch in zip(self.crosses, self.interactions, self.sequences, strict=False):
            features, summary = cross(x, sequence, mask, target, cls)
            cls = features if cls is None else cls
            both = arch(torch.cat([cls, sequence], 1), with_cls, positions, features)
            x = interaction(x, summary)
            cls, sequence = both[:, : self.cls], both[:, self.cls :]
        _, summary = self.crosses[-1](x, sequence, mask, target, cls)
        return self.tower(torch.cat([x, summary], 1).flatten(1))

    def load_ranker(self, ranker: Ranker) -> None:
        """Take the weights of a ranker of this arrangement."""
        backbone = ranker.backbone
        for name, table in self.tables.items():
            column = next(key for key in ranker.embedder.columns if self.schema.table_of(key) == name)
            rows = np.array(ranker.embedder.rows_of(column))
            rows[0] = 0
            _assign(table.weight, rows)
        if self.dense is not None:
            _load_dense(self.dense, ranker.embedder.dense)
        for i, layer in enumerate(self.mask[::2]):
            _load_dense(layer, backbone.merge.mask, i)
        _assign(self.merge.weight, _array(backbone.merge.kernel).T)
        _load_norm(self.feature_norm, backbone.feature_norm)
        _load_norm(self.sequence_norm, backbone.sequence_norm)
        for cross, theirs in zip(self.crosses, [*backbone.cross_arches, backbone.final_cross_arch], strict=True):
            if cross.compression is not None:
                _assign(cross.compression.linear.weight, _array(theirs.compression.kernel).T)
            for name in ("feature", "sequence") if cross.compression is not None else ("sequence",):
                _load_norm(getattr(cross, f"{name}_gate").norm, getattr(theirs, f"{name}_norm"))
                _load_dense(getattr(cross, f"{name}_gate").gate, getattr(theirs, f"{name}_gate").mlp)
            _assign(cross.pma.seeds, _array(theirs.pma.seeds))
            _load_pooling(cross.pma, theirs.pma, ("key", "value", "output"))
            if cross.target is not None:
                _load_pooling(cross.target, theirs.target, ("query", "key", "value", "output"))
        for arch, theirs in zip(self.sequences, backbone.sequence_arches, strict=True):
            _assign(arch.hyper, _array(theirs.ffn.hyper_kernel))
            _assign(arch.qkv.weight, _array(theirs.mha.qkv_kernel).T)
            _assign(arch.output.weight, _array(theirs.mha.output_kernel).T)
            _load_norm(arch.ffn_norm, theirs.ffn_norm)
            _load_norm(arch.mha_norm, theirs.mha_norm)
        for arch, theirs in zip(self.interactions, backbone.interaction_arches, strict=True):
            _load_dense(arch.mlp, theirs.mlp)
            _load_norm(arch.norm, theirs.norm)
            _load_dhen(arch.interaction, theirs.interaction)
        for i, layer in enumerate(self.tower[::2]):
            _load_dense(layer, ranker.towers[self.schema.tasks[0]], i)


def _shifted(events: torch.Tensor, source: torch.Tensor, length: torch.Tensor) -> torch.Tensor:
    """Events moved to the right, so that the last of all histories meet; zeros where there is none."""
    place = source.clamp(0, events.shape[1] - 1)[:, :, None].expand(-1, -1, events.shape[2])
    there = (source >= 0) & (source < length[:, None])
    return events.gather(1, place) * there[:, :, None]


def _load_dhen(mine: Dhen, theirs: Any) -> None:
    (dot,), (cross,) = theirs.dots, theirs.crosses
    count = mine.ensemble.linear.weight.shape[0]
    # The Keras layer has the pairs in another order: neighbours of the circle first.
    place = {
        frozenset((i, (i + distance) % count)): None for distance in range(1, count // 2 + 1) for i in range(count)
    }
    order = {pair: row for row, pair in enumerate(place)}
    rows = [order[frozenset(pair)] for pair in mine.pairs.T.tolist()]
    _assign(mine.dot.weight, _array(dot.kernel)[rows].T)
    _assign(mine.dot.bias, _array(dot.bias))
    _assign(mine.down.weight, _array(cross.down_kernels[0]).T)
    _assign(mine.up.weight, _array(cross.up_kernels[0]).T)
    _assign(mine.up.bias, _array(cross.biases[0]))
    _assign(mine.ensemble.linear.weight, _array(theirs.ensembles[0].kernel).T)
    _load_dense(mine.shortcut, theirs.shortcuts[0])
    _load_norm(mine.norm, theirs.norms[0])


def _load_pooling(mine: PoolingByAttention, theirs: Any, names: tuple[str, ...]) -> None:
    for name in names:
        _assign(getattr(mine, name).weight, _array(getattr(theirs, f"{name}_kernel")).T)


def _load_dense(mine: nn.Linear, theirs: Any, layer: int = 0) -> None:
    _assign(mine.weight, _array(theirs.kernels[layer]).T)
    _assign(mine.bias, _array(theirs.biases[layer]))


def _load_norm(mine: nn.LayerNorm, theirs: Any) -> None:
    _assign(mine.weight, _array(theirs.gamma))
    _assign(mine.bias, _array(theirs.beta))


def _array(weight: Any) -> np.ndarray:
    return np.asarray(weight.numpy())


def _assign(parameter: torch.Tensor, value: np.ndarray) -> None:
    if tuple(parameter.shape) != value.shape:
        raise ValueError(f"a weight of shape {tuple(parameter.shape)} cannot take one of shape {value.shape}")
    with torch.no_grad():
        parameter.copy_(torch.from_numpy(np.ascontiguousarray(value)))
