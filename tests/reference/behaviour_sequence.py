"""The behaviour-sequence models in plain NumPy loops and float64, written from the equations, nothing faster.

One history at a time, as the list of its events: there is no padding here. `weights` is a nest of arrays named like
the attributes of the layer. Each function returns what the sequence comes to, a list of numbers.
"""

import math

from tests.reference.interformer import SOFT, dense, layer_norm, mlp, relu, softmax, swish


def sigmoid(x):
    return 0.5 * (1.0 + math.tanh(x / 2.0))


def silu(x):
    return x * sigmoid(x)


def leaky_relu(x, slope):
    return x if x > 0 else slope * x


def add(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def times(a, b):
    return [x * y for x, y in zip(a, b, strict=True)]


def product(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True))


def weighted(shares, vectors, width):
    out = [0.0] * width
    for share, vector in zip(shares, vectors, strict=True):
        out = add(out, [share * value for value in vector])
    return out


def position(table, back):
    return [float(value) for value in table[min(back, len(table) - 1)]]


def positions_of(events, weights):
    """The latest event has row 0."""
    return [position(weights["positions"], len(events) - 1 - t) for t in range(len(events))]


def target_attention(events, target, weights, normalize, context=None):
    """DIN, Eq. 3."""
    scores = []
    for t, event in enumerate(events):
        difference = [a - b for a, b in zip(target, event, strict=True)]
        x = target + event + difference + times(target, event) + (context[t] if context else [])
        hidden = [swish(value) for value in mlp(x, weights["mlp"], swish)]
        scores.append(dense(hidden, weights["score_kernel"], None if normalize else weights["score_bias"])[0])
    if normalize and events:
        scores = softmax(scores)
    return weighted(scores, events, len(target))


def din(events, target, weights):
    return target_attention(events, target, weights, normalize=False)


def gru(events, weights, attention, size):
    """DIEN's GRU, and with an attention AUGRU; all states."""
    state, states = [0.0] * size, []
    for event, share in zip(events, attention, strict=True):
        gates = dense(event, weights["kernel"], weights["bias"])
        recurrent = dense(state, weights["rnn"]["cell"]["recurrent_kernel"], None)
        new = []
        for i in range(size):
            update = share * sigmoid(gates[i] + recurrent[i])
            reset = sigmoid(gates[size + i] + recurrent[size + i])
            candidate = math.tanh(gates[2 * size + i] + reset * recurrent[2 * size + i])
            new.append((1.0 - update) * state[i] + update * candidate)
        state = new
        states.append(state)
    return states


def dien(events, target, weights):
    if not events:
        return [0.0] * len(target)
    interests = gru(events, weights["extractor"], [1.0] * len(events), len(target))
    shares = softmax([product(dense(h, weights["attention_kernel"], None), target) for h in interests])
    return gru(interests, weights["evolution"], shares, len(target))[-1]


def next_event_loss(histories, states):
    """DIEN's auxiliary loss with the events of the row before as the wrong ones; the mean over all neighbours."""
    total, pairs = 0.0, 0
    for i, (events, hidden) in enumerate(zip(histories, states, strict=True)):
        other = histories[i - 1]
        for t in range(len(events) - 1):
            total -= math.log(sigmoid(product(hidden[t], events[t + 1])))
            pairs += 1
            if t + 1 < len(other):
                total -= math.log(1.0 - sigmoid(product(hidden[t], other[t + 1])))
    return total / max(pairs, 1)


def attend(queries, keys, weights, heads, causal=False, joined=True):
    """Multi-head attention; without joining a list of heads for each query."""
    if not keys:
        return [[0.0] * len(query) for query in queries]
    width = len(keys[0])
    size = width // heads
    if "qkv_kernel" in weights:
        q = [dense(x, weights["qkv_kernel"][:, :width], None) for x in queries]
        k = [dense(x, weights["qkv_kernel"][:, width : 2 * width], None) for x in keys]
        v = [dense(x, weights["qkv_kernel"][:, 2 * width :], None) for x in keys]
    else:
        q = [dense(x, weights["query_kernel"], None) for x in queries]
        k = [dense(x, weights["kv_kernel"][:, :width], None) for x in keys]
        v = [dense(x, weights["kv_kernel"][:, width:], None) for x in keys]
    out = []
    for t in range(len(queries)):
        seen = range(t + 1) if causal else range(len(keys))
        apart = []
        for h in range(heads):
            cut = slice(h * size, (h + 1) * size)
            shares = softmax([product(q[t][cut], k[u][cut]) / math.sqrt(size) for u in seen])
            apart.append(weighted(shares, [v[u][cut] for u in seen], size))
        joint = [value for part in apart for value in part]
        out.append(dense(joint, weights["output_kernel"], None) if joined else apart)
    return out


def transformer_block(x, keys, weights, heads, activation, causal=False):
    attended = attend(x, keys, weights["attention"], heads, causal)
    out = []
    for token, other in zip(x, attended, strict=True):
        token = layer_norm(add(token, other), weights["attention_norm"], SOFT)
        out.append(
            layer_norm(add(token, mlp(token, weights["feed_forward"], activation)), weights["output_norm"], SOFT)
        )
    return out


def bst(events, target, weights, heads, pooling, slope):
    tokens = [*events, target]
    x = [token + place for token, place in zip(tokens, positions_of(tokens, weights["positions"]), strict=True)]
    for block in weights["blocks"]:
        x = transformer_block(x, x, block, heads, lambda value: leaky_relu(value, slope))
    if pooling == "target":
        return x[-1]
    return weighted([1.0 / len(x)] * len(x), x, len(x[0]))


def dmin(events, target, weights, interests, heads, slope):
    width = len(target)
    if not events:
        return [0.0] * (interests * width)
    refined = transformer_block(
        events, events, weights["refiner"], heads, lambda value: leaky_relu(value, slope), causal=True
    )
    apart = attend(refined, refined, weights["extractor"], interests, joined=False)
    places = positions_of(events, weights["positions"])
    out = []
    for h in range(interests):
        x = []
        for token, parts in zip(refined, apart, strict=True):
            token = layer_norm(
                add(token, dense(parts[h], weights["head_kernels"][h], None)), weights["head_norm"], SOFT
            )
            hidden = [relu(v) for v in dense(token, weights["hidden_kernels"][h], weights["hidden_biases"][h, 0])]
            hidden = dense(hidden, weights["output_kernels"][h], weights["output_biases"][h, 0])
            x.append(layer_norm(add(token, hidden), weights["output_norm"], SOFT))
        out += target_attention(x, target, weights["target_attention"], True, places)
    return out


def dmr_user(events, places, weights, size, count):
    """The user's vector from the first `count` events."""
    scores = []
    for event, place in zip(events[:count], places, strict=False):
        hidden = dense(event + place, weights["event_kernel"][:, :size], weights["event_bias"][:size])
        scores.append(dense([math.tanh(v) for v in hidden], weights["user_query"], None)[0])
    pooled = weighted(softmax(scores) if scores else [], events[:count], weights["output_item_kernel"].shape[0])
    return [silu(v) for v in mlp(pooled, weights["user_mlp"])]


def dmr(events, target, weights):
    size = weights["user_query"].shape[0]
    places = positions_of(events, weights["positions"])
    user = dmr_user(events, places, weights, size, len(events))
    user_relevance = product(user, dense(target, weights["output_item_kernel"], None))
    scores = []
    for event, place in zip(events, places, strict=True):
        hidden = dense(event + place, weights["event_kernel"][:, size:], weights["event_bias"][size:])
        hidden = add(hidden, dense(target, weights["target_kernel"], None))
        scores.append(dense([math.tanh(v) for v in hidden], weights["item_query"], None)[0])
    interest = weighted(softmax(scores) if scores else [], events, len(target))
    return [*interest, user_relevance, sum(scores)]


def dmr_loss(histories, weights):
    """The last event, told by the others, against that of the row before."""
    size = weights["user_query"].shape[0]
    total, count = 0.0, 0
    for i, events in enumerate(histories):
        if len(events) < 2:
            continue
        count += 1
        user = dmr_user(events, positions_of(events, weights["positions"]), weights, size, len(events) - 1)
        total -= math.log(sigmoid(product(user, dense(events[-1], weights["output_item_kernel"], None))))
        if histories[i - 1]:
            wrong = dense(histories[i - 1][-1], weights["output_item_kernel"], None)
            total -= math.log(1.0 - sigmoid(product(user, wrong)))
    return total / max(count, 1)


def transact(events, target, weights, heads, recents):
    width = 2 * len(target)
    x = [event + target for event in events]
    for block in weights["blocks"]:
        x = transformer_block(x, x, block, heads, relu)
    out = []
    for back in range(recents):
        out += x[-1 - back] if back < len(x) else [0.0] * width
    highest = [max(token[j] for token in x) for j in range(width)] if x else [0.0] * width
    return out + mlp(highest, weights["pooled_map"])


def dmt(events, target, weights, heads):
    x = [add(event, place) for event, place in zip(events, positions_of(events, weights["positions"]), strict=True)]
    for block in weights["encoder"]:
        x = transformer_block(x, x, block, heads, relu)
    query = [target]
    for block in weights["decoder"]:
        query = transformer_block(query, x, block, heads, relu)
    return query[0]


def hstu(events, target, weights, heads):
    x = [*events, target]
    width = len(target)
    size = width // heads
    for block in weights["blocks"]:
        mixed = []
        for token in x:
            normal = layer_norm(token, block["input_norm"])
            mixed.append([silu(v) for v in dense(normal, block["kernel"], None)])
        u, v, q, k = ([m[i * width : (i + 1) * width] for m in mixed] for i in range(4))
        out = []
        for t in range(len(x)):
            attended = []
            for h in range(heads):
                cut = slice(h * size, (h + 1) * size)
                shares = []
                for s in range(t + 1):
                    bias = float(block["distance_bias"][min(t - s, len(block["distance_bias"]) - 1)])
                    shares.append(silu(product(q[t][cut], k[s][cut]) + bias) / len(x))
                attended += weighted(shares, [v[s][cut] for s in range(t + 1)], size)
            gated = times(layer_norm(attended, block["attended_norm"]), u[t])
            out.append(add(x[t], dense(gated, block["output_kernel"], None)))
        x = out
    return x[-1]
