"""InterFormer in plain NumPy loops and float64, written from the equations of arXiv 2411.09852, nothing faster.

Columns of the paper are rows here: tokens `[N][d]`. The printed form: no residual, no norm but DHEN's own; and the
package's default, which adds soft norms, residuals and the candidate's questions. One example at a time; `weights` is a
nest of arrays named like the attributes of the layers.
"""

import math

import numpy as np


def dense(x, kernel, bias):
    """`y_j = sum_i x_i W_ij + b_j`."""
    y = [0.0] * kernel.shape[1]
    for j in range(kernel.shape[1]):
        total = 0.0 if bias is None else float(bias[j])
        for i in range(kernel.shape[0]):
            total += float(x[i]) * float(kernel[i, j])
        y[j] = total
    return y


def swish(x):
    return x * 0.5 * (1.0 + math.tanh(x / 2.0))


def relu(x):
    return max(x, 0.0)


def mlp(x, weights, activation=swish):
    last = len(weights["kernels"]) - 1
    for i, (kernel, bias) in enumerate(zip(weights["kernels"], weights["biases"], strict=True)):
        x = dense(x, kernel, bias)
        if i < last:
            x = [activation(value) for value in x]
    return x


def lce(tokens, kernel):
    """A.2.1: `X W` with `X` in `R^{d x N}`: output token m is the sum of the tokens n times `W_nm`."""
    width = len(tokens[0])
    out = []
    for m in range(kernel.shape[1]):
        token = [0.0] * width
        for n in range(kernel.shape[0]):
            for j in range(width):
                token[j] += float(kernel[n, m]) * tokens[n][j]
        out.append(token)
    return out


def gating(tokens, weights, sigma="identity"):
    """Eq. 10: `sigma(X * MLP(X))`; the usual gated linear unit is `X * sigmoid(MLP(X))`."""

    def sigmoid(v):
        return 1.0 / (1.0 + math.exp(-v))

    act = {"identity": lambda v: v, "tanh": math.tanh, "sigmoid": sigmoid}
    out = []
    for token in tokens:
        pairs = list(zip(token, mlp(token, weights["mlp"]), strict=True))
        out.append([a * sigmoid(b) for a, b in pairs] if sigma == "glu" else [act[sigma](a * b) for a, b in pairs])
    return out


def masknet_merge(sequences, lengths, weights, alignment="recent"):
    """Eq. 6: per time step, `MLP_lce(S * MLP_mask(S))`; histories side by side, absent events zero.

    `"recent"`: the last events of all histories stand at the last time step.
    """
    merged = []
    for t in range(max(lengths)):
        event = []
        for sequence, length in zip(sequences, lengths, strict=True):
            at = t - (max(lengths) - length) if alignment == "recent" else t
            event += [float(v) for v in sequence[at]] if 0 <= at < length else [0.0] * len(sequence[0])
        mask = mlp(event, weights["mask"], relu)
        merged.append(dense([a * b for a, b in zip(event, mask, strict=True)], weights["kernel"], None))
    return merged


def softmax(scores):
    top = max(scores)
    exp = [math.exp(s - top) for s in scores]
    return [e / sum(exp) for e in exp]


def rotary(vector, position):
    """RoFormer: the pair (i, i + d/2) turned by `position / 10000^(2i/d)`."""
    half = len(vector) // 2
    out = [0.0] * len(vector)
    for i in range(half):
        angle = position / 10000.0 ** (2 * i / len(vector))
        a, b = vector[i], vector[i + half]
        out[i] = a * math.cos(angle) - b * math.sin(angle)
        out[i + half] = b * math.cos(angle) + a * math.sin(angle)
    return out


def attention(tokens, weights, heads, positions):
    """Eq. 3 over the tokens given; `positions[t]` is the rotary position of token t, or None."""
    width = len(tokens[0])
    size = width // heads
    projected = [dense(token, weights["qkv_kernel"], None) for token in tokens]
    out = []
    for t in range(len(tokens)):
        joined = []
        for h in range(heads):

            def part(u, kind, h=h):
                start = kind * width + h * size
                vector = projected[u][start : start + size]
                return rotary(vector, positions[u]) if positions is not None and kind < 2 else vector

            query = part(t, 0)
            scores = [
                sum(a * b for a, b in zip(query, part(u, 1), strict=True)) / math.sqrt(size) for u in range(len(tokens))
            ]
            share = softmax(scores)
            for j in range(size):
                joined.append(sum(share[u] * part(u, 2)[j] for u in range(len(tokens))))
        out.append(dense(joined, weights["output_kernel"], None))
    return out


def pma(tokens, weights, heads):
    """Eq. 4: `MHA(Q, K, V)` with learnable Q, and K, V from the behaviours."""
    seeds = weights["seeds"]
    width = seeds.shape[1]
    size = width // heads
    if not tokens:
        return [[0.0] * width for _ in seeds]
    keys = [dense(token, weights["key_kernel"], None) for token in tokens]
    values = [dense(token, weights["value_kernel"], None) for token in tokens]
    out = []
    for seed in seeds:
        joined = []
        for h in range(heads):
            cut = slice(h * size, (h + 1) * size)
            share = softmax(
                [sum(float(a) * b for a, b in zip(seed[cut], key[cut], strict=True)) / math.sqrt(size) for key in keys]
            )
            for j in range(h * size, (h + 1) * size):
                joined.append(sum(s * value[j] for s, value in zip(share, values, strict=True)))
        out.append(dense(joined, weights["output_kernel"], None))
    return out


def pma_block(tokens, weights, heads):
    """Set Transformer, Eqs. 6 and 7: `H = LN(Q + MHA(Q, S, S))`, `LN(H + rFF(H))`, with soft norms."""
    out = []
    for seed, token in zip(weights["seeds"], pma(tokens, weights, heads), strict=True):
        hidden = layer_norm([float(a) + b for a, b in zip(seed, token, strict=True)], weights["attention_norm"], SOFT)
        more = mlp(hidden, weights["feed_forward"])
        out.append(layer_norm([a + b for a, b in zip(hidden, more, strict=True)], weights["output_norm"], SOFT))
    return out


def target_pooling(target, tokens, weights, heads):
    """Eq. 4 with queries `x_target W_Q` of the candidate in place of seeds."""
    width = weights["key_kernel"].shape[0]
    flat = dense(target, weights["query_kernel"], weights.get("seed_queries"))
    seeds = np.array(flat).reshape(-1, width)
    return pma(tokens, {**weights, "seeds": seeds}, heads)


def recent(tokens, count, width):
    """The latest first, zeros where there are no more."""
    return [list(tokens[-1 - i]) if i < len(tokens) else [0.0] * width for i in range(count)]


def pffn(summary, tokens, hyper):
    """A.2.2: `W_PFFN = X_sum W`, `PFFN = W_PFFN S`, with the d x d matrix written out."""
    width = len(summary[0])
    matrix = [[0.0] * width for _ in range(width)]
    for i in range(width):
        for j in range(width):
            for n in range(len(summary)):
                matrix[i][j] += summary[n][i] * float(hyper[n, j])
    return [[sum(matrix[i][j] * token[j] for j in range(width)) for i in range(width)] for token in tokens]


def dot(tokens, weights, shared=0):
    """Inner products of the pairs: first all neighbours of the circle, then all tokens two apart, ...

    Where the last tokens are shared: those pairs of the others, those of each with the shared ones, and, by a kernel of
    their own, the pairs of these.
    """
    own, others = tokens[: len(tokens) - shared], tokens[len(tokens) - shared :]
    products = circle(own) + [inner(a, b) for a in own for b in others]
    made = dense(products, weights["kernel"], weights["bias"])
    if shared > 1:
        made = [a + b for a, b in zip(made, dense(circle(others), weights["shared_kernel"], None), strict=True)]
    return unflatten(made, len(tokens))


def circle(tokens):
    count = len(tokens)
    products = []
    seen = set()
    for distance in range(1, count // 2 + 1):
        for i in range(count):
            j = (i + distance) % count
            if frozenset((i, j)) not in seen:
                seen.add(frozenset((i, j)))
                products.append(inner(tokens[i], tokens[j]))
    return products


def inner(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def dcn_v2(tokens, weights, shared=0):
    """`x_{l+1} = x_0 * (W x_l + b) + x_l`, `W` full or of low rank."""
    start = [value for token in tokens for value in token]
    x = list(start)
    for i, bias in enumerate(weights["biases"]):
        mixed = dense(x, weights["down_kernels"][i], None) if weights["down_kernels"] else x
        mixed = dense(mixed, weights["up_kernels"][i], None)
        x = [x0 * (m + float(b)) + value for x0, m, b, value in zip(start, mixed, bias, x, strict=True)]
    return unflatten(x, len(tokens))


# Of a norm where tokens enter or residuals join, and of any other.
SOFT, USUAL = 1.0, 1e-5


def layer_norm(token, weights, epsilon=USUAL):
    mean = sum(token) / len(token)
    variance = sum((value - mean) ** 2 for value in token) / len(token)
    return [
        float(g) * (value - mean) / math.sqrt(variance + epsilon) + float(b)
        for value, g, b in zip(token, weights["gamma"], weights["beta"], strict=True)
    ]


def dhen(tokens, weights, epsilon=USUAL, shared=0):
    """`X' = Norm(Ensemble_i Interaction_i(X) + ShortCut(X))`, DOT and DCN side by side, then LCE.

    Without a shortcut's weights it is the identity.
    """
    for i in range(len(weights["dots"])):
        modules = dot(tokens, weights["dots"][i], shared if i == 0 else 0) + dcn_v2(tokens, weights["crosses"][i])
        ensemble = lce(modules, weights["ensembles"][i]["kernel"])
        short = [mlp(token, weights["shortcuts"][i]) for token in tokens] if weights["shortcuts"] else tokens
        tokens = [
            layer_norm([a + b for a, b in zip(x, y, strict=True)], weights["norms"][i], epsilon)
            for x, y in zip(ensemble, short, strict=True)
        ]
    return tokens


INTERACTIONS = {"dot": dot, "dcn_v2": dcn_v2, "dhen": dhen}


def unflatten(flat, count):
    width = len(flat) // count
    return [list(flat[i * width : (i + 1) * width]) for i in range(count)]


def interaction_arch(tokens, summary, weights, interaction):
    """Eq. 7: `MLP(Interaction([X || S_sum]))`, reshaped to X."""
    mixed = interaction(tokens + summary, weights["interaction"])
    return unflatten(mlp([v for token in mixed for v in token], weights["mlp"]), len(tokens))


def interformer(features, sequences, lengths, weights, *, layers, interaction, heads, recents, final_summary):
    """Algorithm 1 for one example: the flattened `[X_sum || S_sum]`."""
    x = [[float(v) for v in token] for token in features]
    width = len(x[0])
    behaviours = masknet_merge(sequences, lengths, weights["merge"])

    def x_sum(cross):
        return gating(lce(x, cross["compression"]["kernel"]), cross["feature_gate"])

    def s_sum(cross, cls):
        tokens = cls + pma(behaviours, cross["pma"], heads) + recent(behaviours, recents, width)
        return gating(tokens, cross["sequence_gate"])

    crosses = [*weights["cross_arches"], weights["final_cross_arch"]]
    cls = x_sum(crosses[0])
    for layer in range(layers):
        features_summary = cls if layer == 0 else x_sum(crosses[layer])
        sequence_summary = s_sum(crosses[layer], cls)
        if final_summary == "algorithm1" and layer == layers - 1:
            return np.array(features_summary + sequence_summary).reshape(-1)
        arch = weights["sequence_arches"][layer]
        joined = pffn(features_summary, cls + behaviours, arch["ffn"]["hyper_kernel"])
        joined = attention(joined, arch["mha"], heads, list(range(len(joined))))
        x = interaction_arch(x, sequence_summary, weights["interaction_arches"][layer], INTERACTIONS[interaction])
        cls, behaviours = joined[: len(cls)], joined[len(cls) :]
    return np.array(x_sum(crosses[layers]) + s_sum(crosses[layers], cls)).reshape(-1)


def soft(tokens, norm):
    return [layer_norm(token, norm, SOFT) for token in tokens]


def join(tokens, branch, norm):
    """Where a residual joins."""
    return soft([[a + b for a, b in zip(x, y, strict=True)] for x, y in zip(tokens, branch, strict=True)], norm)


def soft_interaction(tokens, summary, arch, interaction, shared=()):
    """An Interaction Arch with its residual."""
    soft_dhen = {**INTERACTIONS, "dhen": lambda tokens, weights, shared: dhen(tokens, weights, SOFT, shared)}

    def interact(tokens, weights):
        return soft_dhen[interaction](tokens, weights, len(shared))

    return join(tokens, interaction_arch(tokens, summary + list(shared), arch, interact), arch["norm"])


def soft_sequence(summary, cls, behaviours, arch, heads, ages=None):
    """A Sequence Arch with its residuals: the CLS tokens and the events that come out; by their ages, if given."""
    joined = cls + behaviours
    joined = join(joined, pffn(summary, joined, arch["ffn"]["hyper_kernel"]), arch["ffn_norm"])
    # The last event is one step away from the first CLS token, whatever the length of the history.
    positions = [len(behaviours) + i for i in range(len(cls))] + list(range(len(behaviours)))
    if ages is not None:
        positions = [0.0] * len(cls) + [-age for age in ages]
    joined = join(joined, attention(joined, arch["mha"], heads, positions), arch["mha_norm"])
    return joined[: len(cls)], joined[len(cls) :]


def youngest(ages, lengths, count):
    """Of the events that meet in each of `count` merged ones the least age."""
    back = range(count, 0, -1)
    return [min(float(a[n - b]) for a, n in zip(ages, lengths, strict=True) if n >= b) for b in back]


def soft_summary(tokens, cross):
    """X_sum."""
    return gating(soft(lce(tokens, cross["compression"]["kernel"]), cross["feature_norm"]), cross["feature_gate"])


def interformer_by_default(
    features, sequences, lengths, weights, *, targets, layers, interaction, heads, recents, ages=None
):
    """What the package makes of it: residuals, norms with an epsilon of one where they join and where tokens enter,
    positions counted back from the last event, questions of the candidate, `[X || S_sum]` for the head.
    """

    x = soft([[float(v) for v in token] for token in features], weights["feature_norm"])
    width = len(x[0])
    behaviours = soft(masknet_merge(sequences, lengths, weights["merge"]), weights["sequence_norm"])
    target = [value for i in targets for value in x[i]]
    ages = ages and youngest(ages, lengths, len(behaviours))

    def s_sum(cross, cls):
        tokens = cls + pma(behaviours, cross["pma"], heads) + recent(behaviours, recents, width)
        tokens = tokens + target_pooling(target, behaviours, cross["target"], heads)
        return gating(soft(tokens, cross["sequence_norm"]), cross["sequence_gate"])

    cls = soft_summary(x, weights["cross_arches"][0])
    for layer in range(layers):
        cross = weights["cross_arches"][layer]
        features_summary = cls if layer == 0 else soft_summary(x, cross)
        sequence_summary = s_sum(cross, cls)
        arch = weights["sequence_arches"][layer]
        cls, behaviours = soft_sequence(features_summary, cls, behaviours, arch, heads, ages)
        x = soft_interaction(x, sequence_summary, weights["interaction_arches"][layer], interaction)
    return np.array(x + s_sum(weights["final_cross_arch"], cls)).reshape(-1)


def interformer_by_request(
    features,
    sequences,
    lengths,
    compared,
    weights,
    *,
    candidate,
    asking,
    told,
    layers,
    interaction,
    heads,
    recents,
    ages=None,
):
    """The request form: the user's tokens and events change as in a model without the candidate, whose own tokens see
    them, or their summary if that is `told`, and what its questions find in the events. `compared` holds for each
    sequence what is told of its events, or None.
    """
    x = soft([[float(v) for v in token] for token in features], weights["feature_norm"])
    theirs = [x[i] for i in candidate]
    places = [candidate.index(i) for i in asking]
    users = [token for i, token in enumerate(x) if i not in candidate]
    behaviours = soft(masknet_merge(sequences, lengths, weights["merge"]), weights["sequence_norm"])
    width = len(behaviours[0]) if behaviours else len(x[0])
    # Of the latest events first, as histories are merged.
    seen = [[0.0] * 2 * width for _ in behaviours]
    kernels = iter(weights["compared_events"]["kernels"])
    positions = weights["recency"]["positions"]
    for values, length in zip(compared, lengths, strict=True):
        if values is not None:
            kernel = next(kernels)
            for back in range(1, length + 1):
                more = dense([float(v) for v in values[length - back]], kernel, None)
                seen[-back] = [a + b for a, b in zip(seen[-back], more, strict=True)]
    ages = ages and youngest(ages, lengths, len(behaviours))
    users = users or [[sum(column) / len(behaviours) for column in zip(*behaviours, strict=True)]]

    def s_sum(cross, cls):
        tokens = cls + pma(behaviours, cross["pma"], heads) + recent(behaviours, recents, width)
        return gating(soft(tokens, cross["sequence_norm"]), cross["sequence_gate"])

    def answer(block):
        events = []
        for t, (event, own) in enumerate(zip(behaviours, seen, strict=True)):
            recent = [a + float(b) for a, b in zip(event, positions[len(behaviours) - 1 - t], strict=True)]
            events.append([value * (1 + own[i]) + own[width + i] for i, value in enumerate(recent)])
        target = [value for place in places for value in theirs[place]]
        pooled = target_pooling(target, events, block["target_pooling"], heads)
        return gating(soft(pooled, block["norm"]), block["gate"])

    cls = soft_summary(users, weights["user_blocks"][0]["cross_arch"])
    for layer in range(layers):
        block, own = weights["user_blocks"][layer], weights["candidate_blocks"][layer]
        features_summary = cls if layer == 0 else soft_summary(users, block["cross_arch"])
        summary = s_sum(block["cross_arch"], cls)
        shared = (soft_summary(users, block["cross_arch"]) if told == "summary" else users) + summary
        theirs = soft_interaction(theirs, answer(own), own["interaction_arch"], interaction, shared)
        users = soft_interaction(users, summary, block["interaction_arch"], interaction)
        cls, behaviours = soft_sequence(features_summary, cls, behaviours, block["sequence_arch"], heads, ages)
    final = weights["final_cross_arch"]
    last = soft_summary(users, final) if told == "summary" else users
    return np.array(theirs + answer(weights["candidate_blocks"][layers]) + last + s_sum(final, cls)).reshape(-1)
