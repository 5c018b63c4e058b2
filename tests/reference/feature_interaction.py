"""The feature-interaction models in plain NumPy loops and float64, written from their equations, one example at a time.

`weights` is a nest of arrays named like the attributes of the layers; tokens are lists `[N][d]` of numbers.
"""

import math

from tests.reference.dual_enhanced_attention import pair_row
from tests.reference.hiformer import gelu
from tests.reference.interformer import (
    SOFT,
    attention,
    dcn_v2,
    dense,
    dhen,
    layer_norm,
    lce,
    mlp,
    relu,
    softmax,
    unflatten,
)


def tokens_of(features, sequences, lengths, weights):
    """The features, then each history as the mean of its events times a matrix."""
    tokens = [[float(v) for v in token] for token in features]
    for s, (sequence, length) in enumerate(zip(sequences, lengths, strict=True)):
        mean = [sum(float(sequence[t][j]) for t in range(length)) / max(length, 1) for j in range(len(sequence[0]))]
        tokens.append(dense(mean, weights["pooling"]["kernels"][s], None))
    return tokens


def flat(tokens):
    return [value for token in tokens for value in token]


def times(a, b):
    return [x * y for x, y in zip(a, b, strict=True)]


def plus(a, b):
    return [x + y for x, y in zip(a, b, strict=True)]


def inner(a, b):
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def silu(x):
    return x / (1.0 + math.exp(-x))


def pairs(count):
    return [(i, j) for i in range(count) for j in range(count) if i < j]


def linear(tokens, weights):
    """`w_n . e_n` of each token."""
    return [inner(token, row) for token, row in zip(tokens, weights["linear"]["kernel"], strict=True)]


def deep(x, weights, activation=relu):
    for kernel, bias in zip(weights["kernels"], weights["biases"], strict=True):
        x = [activation(value) for value in dense(x, kernel, bias)]
    return x


def fm(tokens, weights, config):
    """`sum_{i<j} v_i * v_j`, pair by pair."""
    second = [0.0] * len(tokens[0])
    for i, j in pairs(len(tokens)):
        second = plus(second, times(tokens[i], tokens[j]))
    return linear(tokens, weights) + second


def bilinear(tokens, kernel, matrices):
    """`p_ij = (v_i W) * v_j`, matrix number m at the columns `[m d, (m + 1) d)`."""
    width = len(tokens[0])
    out = []
    for p, (i, j) in enumerate(pairs(len(tokens))):
        m = {"all": 0, "each": i, "interaction": p}[matrices]
        out.append(times(dense(tokens[i], kernel[:, m * width : (m + 1) * width], None), tokens[j]))
    return out


def fmfm(tokens, weights, config):
    return linear(tokens, weights) + [sum(p) for p in bilinear(tokens, weights["pairs"]["kernel"], "interaction")]


def afm(tokens, weights, config):
    """`sum a_ij (v_i * v_j)`, `a = softmax(h . relu((v_i * v_j) W + b))`."""
    w = weights["attention"]
    products = [times(tokens[i], tokens[j]) for i, j in pairs(len(tokens))]
    scores = []
    for product in products:
        hidden = [relu(v) for v in dense(product, w["kernel"], w["bias"])]
        scores.append(inner(hidden, w["score_kernel"][:, 0]))
    pooled = [0.0] * len(tokens[0])
    for share, product in zip(softmax(scores), products, strict=True):
        pooled = [a + share * b for a, b in zip(pooled, product, strict=True)]
    return linear(tokens, weights) + pooled


def dlrm(tokens, weights, config):
    """The products in the order around the circle of tokens, then the tokens."""
    count, seen, products = len(tokens), set(), []
    for distance in range(1, count // 2 + 1):
        for i in range(count):
            pair = frozenset((i, (i + distance) % count))
            if pair not in seen:
                seen.add(pair)
                products.append(inner(tokens[i], tokens[(i + distance) % count]))
    return products + (flat(tokens) if config.get("keep_tokens", True) else [])


def dcn(tokens, weights, config):
    """`x_{l+1} = x_0 (x_l . w_l) + b_l + x_l`."""
    start = flat(tokens)
    x = start
    for kernel, bias in zip(weights["cross"]["kernels"], weights["cross"]["biases"], strict=True):
        share = inner(x, kernel[:, 0])
        x = [x0 * share + float(b) + value for x0, b, value in zip(start, bias, x, strict=True)]
    return x + deep(start, weights["deep"])


def expert_cross(tokens, weights):
    """`x_{l+1} = sum_i G_i E_i + x_l`, `E_i = x_0 * (U_i tanh(C_i tanh(V_i^T x_l)) + b_l)`."""
    start = flat(tokens)
    x = start
    for layer, bias in enumerate(weights["biases"]):
        gates = softmax(dense(x, weights["gate_kernels"][layer], None))
        rank = weights["square_kernels"][layer].shape[1]
        total = [0.0] * len(x)
        for i, gate in enumerate(gates):
            cut = slice(i * rank, (i + 1) * rank)
            low = [math.tanh(v) for v in dense(x, weights["down_kernels"][layer][:, cut], None)]
            low = [math.tanh(v) for v in dense(low, weights["square_kernels"][layer][i], None)]
            expert = times(start, plus(dense(low, weights["up_kernels"][layer][cut], None), [float(b) for b in bias]))
            total = [t + gate * e for t, e in zip(total, expert, strict=True)]
        x = plus(x, total)
    return x


def dcn_v2_model(tokens, weights, config):
    cross = weights["cross"]
    crossed = expert_cross(tokens, cross) if config.get("num_experts") else flat(dcn_v2(tokens, cross))
    if config.get("structure") == "stacked":
        return deep(crossed, weights["deep"])
    return crossed + deep(flat(tokens), weights["deep"])


def cin(tokens, kernels):
    """`X^k_h = sum_ij W^{k,h}_ij (X^{k-1}_i * X^0_j)`, each vector summed."""
    x, out = tokens, []
    for kernel in kernels:
        after = []
        for h in range(kernel.shape[1]):
            vector = [0.0] * len(tokens[0])
            for i in range(len(x)):
                for j in range(len(tokens)):
                    weight = float(kernel[i * len(tokens) + j, h])
                    vector = plus(vector, [weight * v for v in times(x[i], tokens[j])])
            after.append(vector)
        x = after
        out += [sum(vector) for vector in x]
    return out


def xdeepfm(tokens, weights, config):
    return linear(tokens, weights) + cin(tokens, weights["cin"]["kernels"]) + deep(flat(tokens), weights["deep"])


def autoint(tokens, weights, config):
    """`X' = relu([head_1 || .. || head_H] + X W_res)`, `head_h = softmax(Q_h K_h^T) V_h`."""
    x, heads = tokens, config["num_heads"]
    for kernel in weights["attention"]["kernels"]:
        width = kernel.shape[1] // 4
        size = width // heads
        q, k, v, residual = (
            [dense(token, kernel[:, part * width : (part + 1) * width], None) for token in x] for part in range(4)
        )
        after = []
        for n in range(len(x)):
            joined = []
            for h in range(heads):
                cut = slice(h * size, (h + 1) * size)
                share = softmax([inner(q[n][cut], key[cut]) for key in k])
                joined += [sum(share[m] * v[m][cut][d] for m in range(len(x))) for d in range(size)]
            after.append([relu(value) for value in plus(joined, residual[n])])
        x = after
    return flat(x) + (deep(flat(tokens), weights["deep"]) if "deep" in weights else [])


def senet(tokens, weights):
    """`a = relu(relu(z W_1) W_2)` of the means z."""
    means = [sum(token) / len(token) for token in tokens]
    hidden = [relu(v) for v in dense(means, weights["squeeze_kernel"], None)]
    shares = [relu(v) for v in dense(hidden, weights["excite_kernel"], None)]
    return [[share * v for v in token] for share, token in zip(shares, tokens, strict=True)]


def fibinet(tokens, weights, config):
    matrices = config["matrices"]
    p = bilinear(tokens, weights["pairs"]["kernel"], matrices)
    q = bilinear(senet(tokens, weights["senet"]), weights["weighed_pairs"]["kernel"], matrices)
    return linear(tokens, weights) + flat(p) + flat(q)


def hcnet(tokens, ids, weights, config):
    """`x_ij = [c^1 || .. || c^K] W`, `m_i = sum_j a_ij x_ij`."""
    count, width, size, hashes = len(tokens), len(tokens[0]), config["codebook_size"], config.get("num_hashes", 2)
    hidden = [relu(v) for v in dense(flat(tokens), weights["shrinking"]["kernels"][0], None)]
    shares = dense(hidden, weights["shrinking"]["kernels"][1], None)
    out = [[0.0] * width for _ in tokens]
    for share, (i, j) in zip(shares, pairs(count), strict=True):
        if ids[i] == 0 or ids[j] == 0:
            continue
        code = []
        for m in range(hashes):
            row = pair_row(i, int(ids[i]), j, int(ids[j]), m, size)
            code += list(weights["codebook"][row + (0 if config.get("share_codebook", True) else m * size)])
        if "mask_kernel" in weights:
            mask = [relu(v) for v in dense(tokens[i] + tokens[j], weights["mask_kernel"], None)]
            code = times(code, dense(mask, weights["mask_output_kernel"], None))
        vector = [share * v for v in dense(code, weights["restore_kernel"], None)]
        out[i], out[j] = plus(out[i], vector), plus(out[j], vector)
    return out


def memonet(tokens, weights, config, ids):
    fields = config.get("fields") or range(len(ids))
    chosen = [tokens[i] for i in fields]
    return flat(tokens) + flat(hcnet(chosen, [ids[i] for i in fields], weights["memory"], config))


def dhen_model(tokens, weights, config):
    return flat(dhen(tokens, weights["interaction"], SOFT))


def wukong(tokens, weights, config):
    """`X' = LN([FMB(X) || LCB(X)] + X)`, `FMB(X) = reshape(MLP(LN(flatten(X X^T Y))))`."""
    w, x = weights["interaction"], tokens
    for i, right in enumerate(w["right_kernels"]):
        gram = [[inner(a, b) for b in x] for a in x]
        products = layer_norm(flat([dense(row, right, None) for row in gram]), w["fm_norms"][i])
        made = mlp(products, w["mlps"][i], relu)
        fm_tokens = unflatten(made, len(made) // len(x[0]))
        short = lce(x, w["shortcuts"][0]["kernel"]) if i == 0 and w["shortcuts"] else x
        both = fm_tokens + lce(x, w["compressions"][i]["kernel"])
        x = [layer_norm(plus(a, b), w["norms"][i], SOFT) for a, b in zip(both, short, strict=True)]
    return flat(x)


def transformer(tokens, weights, config):
    w, x = weights["interaction"], tokens
    if "position_kernel" in w:
        x = [plus(token, [float(v) for v in row]) for token, row in zip(x, w["position_kernel"], strict=True)]
    for i in range(len(w["attentions"])):
        for layer, norm in (
            (lambda z, i=i: attention(z, w["attentions"][i], config["num_heads"], None), w["attention_norms"][i]),
            (lambda z, i=i: [mlp(token, w["ffns"][i], relu) for token in z], w["ffn_norms"][i]),
        ):
            if config.get("norm") == "pre":
                x = [plus(a, b) for a, b in zip(x, layer([layer_norm(a, norm) for a in x]), strict=True)]
            else:
                x = [layer_norm(plus(a, b), norm, SOFT) for a, b in zip(x, layer(x), strict=True)]
    return flat(x)


def hstu(tokens, weights, config):
    """`X' = X + (LN(A V) * U) W_2`, `A = SiLU(Q K^T + r) / N`, `U, V, Q, K = split(SiLU(LN(X) W_1))`."""
    w, x, heads = weights["interaction"], tokens, config["num_heads"]
    count, width = len(x), len(x[0])
    size = width // heads
    for i, kernel in enumerate(w["input_kernels"]):
        made = [[silu(v) for v in dense(layer_norm(token, w["input_norms"][i]), kernel, None)] for token in x]
        u, v, q, k = ([token[part * width : (part + 1) * width] for token in made] for part in range(4))
        after = []
        for n in range(count):
            mixed = []
            for h in range(heads):
                cut = slice(h * size, (h + 1) * size)
                bias = w["biases"][i][h][n]
                share = [silu(inner(q[n][cut], k[m][cut]) + float(bias[m])) / count for m in range(count)]
                mixed += [sum(share[m] * v[m][cut][d] for m in range(count)) for d in range(size)]
            gated = times(layer_norm(mixed, w["norms"][i]), u[n])
            after.append(plus(x[n], dense(gated, w["output_kernels"][i], None)))
        x = after
    return flat(x)


def feature_tokens(tokens, weights):
    """`x_t = e_t W_t + b_t` of the parts of all features; with a global token that of all of them stands first."""
    x = flat(tokens)
    groups = len(weights["kernel"])
    made = [dense(x, weights["global_kernel"], None)] if "global_kernel" in weights else []
    for t in range(groups):
        part = x[t * len(x) // groups : (t + 1) * len(x) // groups]
        made.append(dense(part, weights["kernel"][t][: len(part)], None))
    return [plus(token, bias) for token, bias in zip(made, weights["bias"], strict=True)]


def mixed(tokens):
    """Slice h of every token, side by side."""
    size = len(tokens[0]) // len(tokens)
    return [[v for token in tokens for v in token[h * size : (h + 1) * size]] for h in range(len(tokens))]


def rms(x, weights, epsilon):
    scale = math.sqrt(sum(v * v for v in x) / len(x) + epsilon)
    return [v / scale * g for v, g in zip(x, weights["gamma"], strict=True)]


def per_token(tokens, weights):
    """A network of each token: GELU, or SwiGLU where there are gates."""
    out = []
    for t, token in enumerate(tokens):
        hidden = dense(token, weights["first_kernel"][t], weights["first_bias"][t])
        if "gate_kernel" in weights:
            gate = dense(token, weights["gate_kernel"][t], weights["gate_bias"][t])
            hidden = times([silu(v) for v in gate], hidden)
        else:
            hidden = [gelu(v) for v in hidden]
        out.append(dense(hidden, weights["second_kernel"][t], weights["second_bias"][t]))
    return out


def rankmixer(tokens, weights, config):
    """`S = LN(Mix(X) + X)`, `X' = LN(FFN_t(S) + S)`; or TokenMixer-Large, mixed back before the residual."""
    x = feature_tokens(tokens, weights["tokens"])
    for i, network in enumerate(weights["networks"]):
        before, after = weights["mixed_norms"][i], weights["norms"][i]
        if config.get("block") == "tokenmixer_large":
            h = mixed(x)
            moved = per_token([rms(v, before, 1e-5) for v in h], weights["mixed_networks"][i])
            h = mixed([plus(a, b) for a, b in zip(h, moved, strict=True)])
            moved = per_token([rms(v, after, 1e-5) for v in h], network)
            x = [plus(a, b) for a, b in zip(x, moved, strict=True)]
        else:
            s = [layer_norm(plus(a, b), before, SOFT) for a, b in zip(mixed(x), x, strict=True)]
            x = [layer_norm(plus(a, b), after, SOFT) for a, b in zip(per_token(s, network), s, strict=True)]
    if "output_norm" in weights:
        x = [rms(v, weights["output_norm"], SOFT) for v in x]
    return [sum(column) / len(x) for column in zip(*x, strict=True)]


MODELS = {
    "afm": afm,
    "autoint": autoint,
    "dcn": dcn,
    "dcn_v2": dcn_v2_model,
    "dhen": dhen_model,
    "dlrm": dlrm,
    "fibinet": fibinet,
    "fm": fm,
    "fmfm": fmfm,
    "hstu_fields": hstu,
    "memonet": memonet,
    "rankmixer": rankmixer,
    "transformer": transformer,
    "wukong": wukong,
    "xdeepfm": xdeepfm,
}
