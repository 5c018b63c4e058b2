"""The models that unify sequences and features, in plain NumPy loops and float64, written from the equations.

One example at a time: features `[N][d]`, and each history as the list of its events, without padding. `weights` is a
nest of arrays named like the attributes of the layers.
"""

import math

from tests.reference.behaviour_sequence import attend, position, product, sigmoid, transformer_block, weighted
from tests.reference.feature_interaction import feature_tokens, flat, mixed, per_token, plus, rms, wukong
from tests.reference.hiformer import gelu
from tests.reference.interformer import SOFT, dense, layer_norm, lce, mlp, rotary, softmax, swish


def joined(histories, weights, at=0):
    """`[S_1; SEP; S_2; ...]`, `S_i = E_i W_i + b_i + P_i`, each row normed on entry."""
    join, out = weights["joins"][at], []
    for i, events in enumerate(histories):
        table = join["positions"][i]["positions"]
        for t, event in enumerate(events):
            back = position(table, len(events) - 1 - t)
            out.append(plus(mlp(event, join["maps"][i]), back))
        if i + 1 < len(histories):
            out.append([float(v) for v in join["separators"][i]])
    return [layer_norm(token, weights["sequence_norms"][at], SOFT) for token in out]


def normed_features(features, weights):
    return [layer_norm([float(v) for v in token], weights["feature_norm"], SOFT) for token in features]


def heads_attend(query, keys, values, heads):
    """Scaled attention of one query, head by head, side by side; zeros where there is no key."""
    size, out = len(query) // heads, []
    for h in range(heads):
        cut = slice(h * size, (h + 1) * size)
        shares = softmax([product(query[cut], key[cut]) / math.sqrt(size) for key in keys]) if keys else []
        out += weighted(shares, [value[cut] for value in values], size)
    return out


def unified_block(events, features, weights, heads, queries, own, causal):
    """`Z = X + MHA(RMS(X))`, `X' = Z + FFN(RMS(Z))`: events and features after the block."""
    width = len(features[0])
    norm, kernel = weights["attention_norm"], weights["key_value_kernel"]
    normed = [rms(x, norm, 1e-5) for x in events]
    keys = [dense(x, kernel[:, :width], None) for x in normed]
    values = [dense(x, kernel[:, width:], None) for x in normed]
    parts = []
    for n, token in enumerate(features):
        x = rms(token, norm, 1e-5)
        if own:
            made = dense(x, weights["feature_kernel"][n], None)
            parts.append((made[:width], made[width : 2 * width], made[2 * width :]))
        else:
            query = dense(x, weights["query_kernel"], None)
            parts.append((query, dense(x, kernel[:, :width], None), dense(x, kernel[:, width:], None)))
    after = []
    for n, token in enumerate(features):
        seen = range(n + 1) if causal else range(len(features))
        attended = heads_attend(
            parts[n][0], keys + [parts[m][1] for m in seen], values + [parts[m][2] for m in seen], heads
        )
        after.append(plus(token, dense(attended, weights["output_kernel"], None)))
    normed = [rms(x, weights["network_norm"], 1e-5) for x in after]
    moved = per_token(normed, weights["feature_network"]) if own else [mlp(x, weights["network"], gelu) for x in normed]
    after = [plus(a, b) for a, b in zip(after, moved, strict=True)]
    kept = []
    for t in range(max(len(events) - queries, 0), len(events)):
        query = dense(rms(events[t], norm, 1e-5), weights["query_kernel"], None)
        attended = heads_attend(query, keys[: t + 1], values[: t + 1], heads)
        x = plus(events[t], dense(attended, weights["output_kernel"], None))
        kept.append(plus(x, mlp(rms(x, weights["network_norm"], 1e-5), weights["network"], gelu)))
    return kept, after


def onetrans(features, histories, weights, config):
    events = joined(histories, weights)
    tokens = feature_tokens_of(normed_features(features, weights), weights["tokens"], config.get("tokenizer", "joint"))
    queries = [*config.get("pyramid", [10**6] * (config["num_layers"] - 1)), 0]
    for count, block in zip(queries, weights["blocks"], strict=True):
        own = config.get("own_weights", True)
        events, tokens = unified_block(events, tokens, block, config["num_heads"], count, own, causal=True)
    return flat([rms(x, weights["output_norm"], SOFT) for x in tokens])


def feature_tokens_of(features, weights, tokenizer):
    if tokenizer == "groups":
        return feature_tokens(features, weights)
    x, width = dense(flat(features), weights["kernel"], None), len(weights["bias"][0])
    return [plus(x[t * width : (t + 1) * width], bias) for t, bias in enumerate(weights["bias"])]


def merged(events, weights, config):
    """K neighbours side by side, after a Transformer among them, times a matrix."""
    size, out = config["num_merged_events"], []
    for start in range(0, len(events), size):
        group = events[start : start + size]
        if "inner" in weights:
            group = transformer_block(group, group, weights["inner"], config["num_heads"], leaky)
        x = flat(group) + [0.0] * (size - len(group)) * len(events[0])
        out.append(dense(x, weights["kernel"], None))
    return out


def leaky(x):
    return x if x > 0 else LEAKY * x


# As Keras has it, which rounds it to float32; the tests set it.
LEAKY = 0.2


def longer(features, histories, weights, config):
    events = joined(histories, weights)
    if "merging" in weights:
        events = merged(events, weights["merging"], config)
    tokens = normed_features(features, weights)
    tokens += [[float(v) for v in row] for row in weights.get("cls_tokens", [])]
    queries = [config["num_recent_tokens"], *[10**6] * (config["num_layers"] - 1)]
    queries[-1] = 0
    for count, block in zip(queries, weights["blocks"], strict=True):
        events, tokens = unified_block(events, tokens, block, config["num_heads"], count, own=False, causal=False)
    return flat([rms(x, weights["output_norm"], SOFT) for x in tokens])


def gated(x, weights):
    """`(swish(x W_3) * (x W_1)) W_2`."""
    both = dense(x, weights["kernel"], None)
    half = len(both) // 2
    return dense([a * swish(b) for a, b in zip(both[:half], both[half:], strict=True)], weights["output_kernel"], None)


def encoded(events, weights, config):
    """HyFormer's encoders: a Transformer, the latest events' questions to all, or each event by itself."""
    if config.get("encoder") == "swiglu":
        return [plus(x, gated(x, weights)) for x in events]
    latest = (
        events[max(len(events) - config["num_recent_events"], 0) :] if config.get("encoder") == "recent" else events
    )
    return transformer_block(latest, events, weights, config["num_heads"], gelu)


def hyformer(features, histories, weights, config):
    each = config["num_queries"]
    events = [joined([history], weights, at) for at, history in enumerate(histories)]
    x = feature_tokens(normed_features(features, weights), weights["tokens"])
    queries = []
    for j, history in enumerate(events):
        mean = [sum(column) / len(history) for column in zip(*history, strict=True)] or [0.0] * len(x[0])
        known = flat(x) + mean
        queries.append([mlp(known, weights["query_networks"][j * each + n], gelu) for n in range(each)])
    for i in range(config["num_layers"]):
        for j in range(len(events)):
            at = i * len(events) + j
            events[j] = encoded(events[j], weights["encoders"][at], config)
            answers = attend(queries[j], events[j], weights["decoders"][at], config["num_heads"])
            norm = weights["decoded_norms"][at]
            queries[j] = [layer_norm(plus(q, a), norm, SOFT) for q, a in zip(queries[j], answers, strict=True)]
        z = [token for part in queries for token in part] + x
        moved = per_token(mixed(z), weights["networks"][i])
        z = [layer_norm(plus(a, b), weights["norms"][i], SOFT) for a, b in zip(z, moved, strict=True)]
        queries = [z[j * each : (j + 1) * each] for j in range(len(events))]
        x = z[each * len(events) :]
    return flat(z)


def generalized_attention(events, summary, weights, heads):
    """GDPA: `S + head_1 || ..`, `head_h = swish(S_h K_h^T / sqrt(d)) V_h`."""
    width = len(events[0]) if events else 0
    size = width // heads
    keys = [dense(x, weights["kernel"][:, :width], None) for x in summary]
    values = [dense(x, weights["kernel"][:, width:], None) for x in summary]
    out = []
    for event in events:
        made = []
        for h in range(heads):
            cut = slice(h * size, (h + 1) * size)
            hidden = [swish(product(event[cut], key[cut]) / math.sqrt(size)) for key in keys]
            made += weighted(hidden, [value[cut] for value in values], size)
        out.append(plus(event, made))
    return out


def seed_pooling(events, weights, heads):
    """HSP: `H = MHA(LN(seeds), S, S)`, `Y = sum_k Z_k^T H W_k`."""
    seeds = [layer_norm([float(v) for v in row], weights["seed_norm"]) for row in weights["seeds"]]
    answers = attend(seeds, events, weights["attention"], heads)
    _, count, tokens = weights["token_kernels"].shape
    out = [[0.0] * len(seeds[0]) for _ in range(tokens)]
    for left, right in zip(weights["token_kernels"], weights["width_kernels"], strict=True):
        for m in range(tokens):
            token = weighted([float(left[s, m]) for s in range(count)], answers, len(seeds[0]))
            out[m] = plus(out[m], dense(token, right, None))
    return out


def neighbours(events, weights, heads, window):
    """Each event attends to those fewer than so many places away; the sum of both."""
    width, out = len(weights["output_kernel"]), []
    q, k, v = (
        [dense(x, weights["qkv_kernel"][:, i * width : (i + 1) * width], None) for x in events] for i in range(3)
    )
    for t, event in enumerate(events):
        near = [u for u in range(len(events)) if abs(t - u) < window]
        attended = heads_attend(q[t], [k[u] for u in near], [v[u] for u in near], heads)
        out.append(plus(event, dense(attended, weights["output_kernel"], None)))
    return out


def kunlun(features, histories, weights, config):
    events, x, heads = joined(histories, weights), normed_features(features, weights), config["num_heads"]
    for i in range(config["num_layers"]):
        if i % 2 == 0:
            summary = lce(x, weights["summaries"][i // 2]["kernel"])
            events = generalized_attention(events, summary, weights["personalizers"][i // 2], heads)
            events = [layer_norm(e, weights["norms"][i], SOFT) for e in events]
            pooled = seed_pooling(events, weights["poolings"][i // 2], heads)
        elif i + 1 < config["num_layers"]:
            events = neighbours(events, weights["attentions"][i // 2], heads, config["window"])
            events = [layer_norm(e, weights["norms"][i], SOFT) for e in events]
        shape = {"num_layers": 1, "rank": config["rank"]}
        x = unflat(wukong(x + pooled, {"interaction": weights["interactions"][i]}, shape), len(x[0]))
    return flat(x + pooled)


def unflat(numbers, width):
    return [numbers[i : i + width] for i in range(0, len(numbers), width)]


def tokenformer_block(x, places, weights, heads, window, causal):
    """`Z = X + sigmoid(X W_g) * MHA(RMS(X))`, `X' = Z + SwiGLU(RMS(Z))`, turned by `places`."""
    width = len(x[0])
    size = width // heads
    normed = [rms(v, weights["attention_norm"], 1e-5) for v in x]

    def turned(vector, place):
        return [v for h in range(heads) for v in rotary(vector[h * size : (h + 1) * size], place)]

    parts = [[dense(v, weights["qkv_kernel"][:, i * width : (i + 1) * width], None) for v in normed] for i in range(3)]
    queries, keys = ([turned(v, p) for v, p in zip(part, places, strict=True)] for part in parts[:2])
    out = []
    for t, token in enumerate(x):
        seen = [u for u in range(len(x)) if (u <= t or not causal) and (window is None or abs(t - u) < window)]
        attended = heads_attend(queries[t], [keys[u] for u in seen], [parts[2][u] for u in seen], heads)
        attended = dense(attended, weights["output_kernel"], None)
        gate = [sigmoid(v) for v in dense(token, weights["gate_kernel"], None)]
        z = plus(token, [a * b for a, b in zip(gate, attended, strict=True)])
        out.append(plus(z, gated(rms(z, weights["network_norm"], 1e-5), weights["network"])))
    return out


def tokenformer(features, histories, weights, config):
    events, tokens = joined(histories, weights), normed_features(features, weights)
    chosen = sorted({i for indices in config.get("targets", {}).values() for i in indices if i >= 0})
    fields = [token for i, token in enumerate(tokens) if i not in chosen]
    last = [tokens[i] for i in chosen] + [[float(v) for v in weights["answer"][0]]]
    x = fields + events + last
    places = [0] * len(fields) + [t + 1 for t in range(len(events))] + [len(events) + 1] * len(last)
    for i, window in enumerate([*[None] * config["num_full_layers"], *config["windows"]]):
        if i == config["num_full_layers"]:
            x, places = x[len(fields) :], places[len(fields) :]
        causal = config.get("causal", True)
        x = tokenformer_block(x, places, weights["blocks"][i], config["num_heads"], window, causal)
    return flat([rms(token, weights["output_norm"], SOFT) for token in x[-len(last) :]])


MODELS = {
    "hyformer": hyformer,
    "kunlun": kunlun,
    "longer": longer,
    "onetrans": onetrans,
    "tokenformer": tokenformer,
}
