"""Dual Enhanced Attention in plain NumPy loops and float64, one example at a time, and its hash in Python ints."""

import math
from hashlib import sha256

import numpy as np

from tests.reference.interformer import SOFT, dense, layer_norm, mlp, softmax

P = 46337


def constant(name):
    return 1 + int.from_bytes(sha256(name.encode()).digest()[:8], "big") % (P - 1)


def pair_row(i, id_i, j, id_j, codebook, size):
    """The row of one codebook for one pair: Horner's scheme, cubed, twice."""
    if i > j:
        i, id_i, j, id_j = j, id_j, i, id_i
    value = 0
    for k in range(2):
        a, c = (constant(f"{letter}/{codebook}/{k}") for letter in "ac")
        h = 0
        for limb in (i + 1, j + 1, id_i % P, id_i // P % P, id_j % P, id_j // P % P):
            h = (h * a + limb + c) % P
        value = value * P + h**3 % P
    return value % size


def combo(tokens, ids, weights, *, heads, codebooks, size, gate, fields=None):
    """`u_ij` and `A_ij`, every ordered pair by itself: `u = sum_m g_m u^m`, `A = u W_c + b_c`."""
    count = len(tokens)
    table = weights["codebooks"]
    dim = table.shape[1]
    fields = range(count) if fields is None else fields
    pairs = np.zeros((count, count, dim))
    scores = np.zeros((heads, count, count))
    for i in fields:
        for j in fields:
            if ids[i] == 0 or ids[j] == 0:
                continue
            low, high = min(i, j), max(i, j)
            rows = [m * size + pair_row(low, int(ids[low]), high, int(ids[high]), m, size) for m in range(codebooks)]
            codes = [table[row] for row in rows]
            if "gate_kernel" in weights:
                known = [float(v) for code in codes for v in code] + [*tokens[low], *tokens[high]]
                logits = dense(known, weights["gate_kernel"], None)
                if gate == "softmax":
                    gates = [[g] * dim for g in softmax(logits)]
                else:
                    gates = [[1 / (1 + math.exp(-logits[m * dim + k])) for k in range(dim)] for m in range(codebooks)]
            else:
                gates = [[1.0] * dim]
            u = [sum(gates[m][k] * codes[m][k] for m in range(codebooks)) for k in range(dim)]
            pairs[i, j] = u
            scores[:, i, j] = dense(u, weights["score_kernel"], weights["score_bias"])
    return pairs, scores


def abundance(matrix):
    """The sum of the singular values divided by the largest, by NumPy's singular value decomposition."""
    singular = np.linalg.svd(np.asarray(matrix, "float64"), compute_uv=False)
    return singular.sum() / singular.max()


def log_mask(scores, abundances, strengths, *, temperature, threshold_on="abundance", pair="min", hard=False):
    """`log M_ij` per head for one example."""
    heads, count, _ = scores.shape
    out = np.zeros((heads, count, count))
    for h in range(heads):
        values = np.zeros((count, count))
        for i in range(count):
            for j in range(count):
                a, b = abundances[i], abundances[j]
                values[i, j] = scores[h, i, j] if threshold_on == "score" else min(a, b) if pair == "min" else a * b
        groups = [[(i, j) for j in range(count) if j != i] for i in range(count)]
        if threshold_on == "abundance":
            groups = [[pair for group in groups for pair in group]]
        for group in groups:
            inside = [values[i, j] for i, j in group]
            sign = 1 if threshold_on == "score" else -1
            threshold = np.mean(inside) + sign * strengths[h] * np.std(inside)
            logs = {(i, j): -math.log1p(math.exp(-(values[i, j] - threshold) / temperature)) for i, j in group}
            top = max(logs.values())
            for i, j in group:
                out[h, i, j] = (-1e30 if values[i, j] < threshold else 0.0) if hard else logs[i, j] - top
    return out


def dual_enhanced_attention(tokens, ids, weights, *, heads, fusion, codebooks, size, gate, temperature, abundances):
    """One example: `softmax(fuse(A_combo, A_qk) + log M) V W_out`, with the pairs' embeddings where they are wanted."""
    count, width = tokens.shape
    size_of_head = width // heads
    projected = [dense(token, weights["qkv_kernel"], None) for token in tokens]
    pairs, remembered = combo(tokens, ids, weights["combo"], heads=heads, codebooks=codebooks, size=size, gate=gate)
    scores = np.zeros((heads, count, count))
    for i in range(count):
        for j in range(count):
            products = []
            for h in range(heads):
                total = 0.0
                for k in range(size_of_head):
                    total += projected[i][h * size_of_head + k] * projected[j][width + h * size_of_head + k]
                products.append(total / math.sqrt(size_of_head))
            if fusion == "gated":
                (of_pair, of_product), bias = weights["gate_kernel"], weights["gate_bias"]
                logits = [
                    of_pair[h] * remembered[h, i, j] + of_product[h] * products[h] + bias[h] for h in range(heads)
                ]
            elif fusion == "weighted_sum":
                logits = weights["balance"]
            for h in range(heads):
                if fusion == "multiply":
                    scores[h, i, j] = remembered[h, i, j] * products[h]
                else:
                    g = 1 / (1 + math.exp(-logits[h]))
                    scores[h, i, j] = g * remembered[h, i, j] + (1 - g) * products[h]
    strengths = [math.log1p(math.exp(raw)) for raw in weights["collapse_avoiding"]["raw_strength"]]
    scores = scores + log_mask(scores, abundances, strengths, temperature=temperature)
    out = []
    for i in range(count):
        joined = []
        for h in range(heads):
            share = softmax(list(scores[h, i]))
            cut = slice(h * size_of_head, (h + 1) * size_of_head)
            part = np.zeros(size_of_head)
            for j in range(count):
                part += share[j] * np.array(projected[j][2 * width :][cut])
                if "pair_kernel" in weights:
                    part += share[j] * np.array(dense(pairs[i, j], weights["pair_kernel"][:, cut], None))
            joined += list(part)
        out.append(dense(joined, weights["output_kernel"], None))
    return np.array(out)


def block(tokens, ids, weights, **config):
    """`Z = LN(X + DEA(X))`, `Y = LN(Z + MLP(Z))`."""
    mixed = dual_enhanced_attention(tokens, ids, weights["attention"], **config)
    out = []
    for token, addition in zip(tokens, mixed, strict=True):
        z = layer_norm([a + b for a, b in zip(token, addition, strict=True)], weights["attention_norm"], SOFT)
        y = [a + b for a, b in zip(z, mlp(z, weights["ffn"]), strict=True)]
        out.append(layer_norm(y, weights["ffn_norm"], SOFT))
    return np.array(out)
