"""Hiformer in plain NumPy loops and float64, written from the equations of arXiv 2311.05884, nothing faster.

One example at a time, tokens `[L][d]`; `weights` is a nest of arrays named like the attributes of the layers.
"""

import math

import numpy as np


def vector_times(x, matrix):
    """`y_j = sum_i x_i W_ij`."""
    y = [0.0] * matrix.shape[1]
    for j in range(matrix.shape[1]):
        for i in range(matrix.shape[0]):
            y[j] += float(x[i]) * float(matrix[i, j])
    return y


def dot(x, y):
    return sum(float(a) * float(b) for a, b in zip(x, y, strict=True))


def softmax(scores):
    top = max(scores)
    exp = [math.exp(s - top) for s in scores]
    return [e / sum(exp) for e in exp]


# Of a norm where tokens enter or residuals join, and of any other.
SOFT, USUAL = 1.0, 1e-5


def layer_norm(x, weights, epsilon=USUAL):
    x = [float(v) for v in x]
    mean = sum(x) / len(x)
    variance = sum((v - mean) ** 2 for v in x) / len(x)
    scale = 1.0 / math.sqrt(variance + epsilon)
    return [
        (v - mean) * scale * float(g) + float(b) for v, g, b in zip(x, weights["gamma"], weights["beta"], strict=True)
    ]


def gelu(x):
    return 0.5 * x * (1.0 + math.tanh(math.sqrt(2.0 / math.pi) * (x + 0.044715 * x**3)))


def composite(tokens, weights, heads, width):
    """`[k_1 || ... || k_M] = concat(e) K_h` for each head: the vectors `[H][M][width]`.

    Of low rank, `[K_1 || ... || K_H] = L R`, or `K_h = L_h R_h` where `R` has an axis for the heads.
    """
    everything = [float(v) for token in tokens for v in token]
    out = []
    for h in range(heads):
        if "kernel" in weights:
            columns = weights["kernel"].shape[1] // heads
            flat = vector_times(everything, weights["kernel"][:, h * columns : (h + 1) * columns])
        elif weights["right_kernel"].ndim == 2:
            columns = weights["right_kernel"].shape[1] // heads
            left = vector_times(everything, weights["left_kernel"])
            flat = vector_times(left, weights["right_kernel"][:, h * columns : (h + 1) * columns])
        else:
            rank = weights["right_kernel"].shape[1]
            left = vector_times(everything, weights["left_kernel"][:, h * rank : (h + 1) * rank])
            flat = vector_times(left, weights["right_kernel"][h])
        vectors = [flat[m * width : (m + 1) * width] for m in range(len(flat) // width)]
        if "bias" in weights:
            vectors = [
                [v + float(b) for v, b in zip(vector, weights["bias"][h, m], strict=True)]
                for m, vector in enumerate(vectors)
            ]
        out.append(vectors)
    return out


def own_projection(tokens, kernels, heads, widths):
    """Each token by its own matrix, whose columns are `[part of head 1 || ... || part of head H]`.

    A head's part holds `widths` columns each for a key, a value, ...; returns one `[H][L][width]` for each.
    """
    per_head = sum(widths)
    out = []
    start = 0
    for width in widths:
        out.append(
            [
                [
                    vector_times(token, kernel[:, h * per_head + start : h * per_head + start + width])
                    for token, kernel in zip(tokens, kernels, strict=True)
                ]
                for h in range(heads)
            ]
        )
        start += width
    return out


def attention(tokens, weights, heads, key_dim, value_dim, queries=None):
    """Sections 3.3 and 3.4; the weights say which projections there are."""
    count = queries or len(tokens)
    if "query" in weights:
        q = composite(tokens, weights["query"], heads, key_dim)
    else:
        (q,) = own_projection(tokens[len(tokens) - count :], weights["query_kernel"], heads, [key_dim])
    if "key" in weights:
        k = composite(tokens, weights["key"], heads, key_dim)
        v = composite(tokens, weights["value"], heads, value_dim)
    else:
        k, v = own_projection(tokens, weights["key_value_kernel"], heads, [key_dim, value_dim])
    out = []
    for i in range(count):
        joined = []
        for h in range(heads):
            shares = softmax([dot(q[h][i], key) / math.sqrt(key_dim) for key in k[h]])
            for e in range(value_dim):
                joined.append(sum(share * value[e] for share, value in zip(shares, v[h], strict=True)))
        out.append(vector_times(joined, weights["output_kernel"][i]))
    return out


def feed_forward(tokens, weights):
    """Eq. 4: `GELU(o W1_i + b1_i) W2_i + b2_i`."""
    out = []
    for i, token in enumerate(tokens):
        hidden = vector_times(token, weights["first_kernel"][i])
        hidden = [gelu(v + float(b)) for v, b in zip(hidden, weights["first_bias"][i], strict=True)]
        output = vector_times(hidden, weights["second_kernel"][i])
        out.append([v + float(b) for v, b in zip(output, weights["second_bias"][i], strict=True)])
    return out


def add(xs, ys):
    return [[float(a) + float(b) for a, b in zip(x, y, strict=True)] for x, y in zip(xs, ys, strict=True)]


def block(tokens, weights, heads, key_dim, value_dim, norm="post", queries=None):
    own = tokens[len(tokens) - (queries or len(tokens)) :]

    def normed(xs, name):
        return [layer_norm(x, weights[name], USUAL if norm == "pre" else SOFT) for x in xs]

    def attend(xs):
        return attention(xs, weights["attention"], heads, key_dim, value_dim, queries)

    if norm == "pre":
        x = add(own, attend(normed(tokens, "attention_norm")))
        return add(x, feed_forward(normed(x, "feed_forward_norm"), weights["feed_forward"]))
    x = normed(add(own, attend(tokens)), "attention_norm")
    return normed(add(x, feed_forward(x, weights["feed_forward"])), "feed_forward_norm")


def hiformer(features, sequences, lengths, weights, heads, key_dim, value_dim, norm="post", prune=True):
    """The representations `[t][d]` of one example; sequences by the mean of their events."""
    tokens = [[float(v) for v in token] for token in features]
    for s, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        mean = [sum(float(sequence[t][j]) for t in range(length)) / max(length, 1) for j in range(sequence.shape[1])]
        tokens.append(vector_times(mean, weights["pooling"]["kernels"][s]))
    tasks = len(weights["task_tokens"])
    tokens += [[float(v) for v in token] for token in np.asarray(weights["task_tokens"])]
    if "token_norm" in weights:
        tokens = [layer_norm(token, weights["token_norm"], SOFT) for token in tokens]
    for i, block_weights in enumerate(weights["blocks"]):
        queries = tasks if prune and i == len(weights["blocks"]) - 1 else None
        tokens = block(tokens, block_weights, heads, key_dim, value_dim, norm, queries)
    tokens = tokens[len(tokens) - tasks :]
    return [layer_norm(token, weights["output_norm"], SOFT) for token in tokens] if norm == "pre" else tokens
