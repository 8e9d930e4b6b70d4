"""Writes golden_kernels.h: small cases of every formula of kernels.def, computed by PyTorch.

Inputs are f32. Forward values and gradients are PyTorch's own operators and autograd in f64, except AdamW, which is
torch.optim.AdamW in f32 (foreach off). Run:  python make_kernels_golden.py > golden_kernels.h
"""

import math

import torch
import torch.nn.functional as F

torch.manual_seed(20240607)
F64 = torch.float64
lines = []


def emit(name, tensor, ctype="float"):
    flat = tensor.detach().reshape(-1).tolist()
    if ctype == "float":
        text = [f"{v:.9g}" for v in flat]
        text = [t + ("f" if "." in t or "e" in t else ".0f") for t in text]
    else:
        text = [str(int(v)) for v in flat]
    lines.append(f"static const {ctype} {name}[] = {{{', '.join(text)}}};")


def draw(*shape, scale=1.0):
    """Random values that f32 holds, as an f64 leaf."""
    return (torch.randn(*shape) * scale).to(F64).requires_grad_()


def norm():
    x, w, dy = draw(3, 7, scale=2.0), draw(7), draw(3, 7)
    y = F.rms_norm(x, (7,), w, eps=1e-2)
    y.backward(dy)
    for name, t in (("X", x), ("W", w), ("DY", dy), ("Y", y), ("DX", x.grad)):
        emit("NORM_" + name, t)


def rope():
    """Half-split as the rotate_half of Llama models, interleaved as a complex product; 4 of 6 features are rotated."""
    T, H, D, half = 3, 2, 6, 2
    pos = torch.tensor([0, 3, 7])
    angle = pos[:, None].to(F64) * torch.tensor([1.0, 0.1], dtype=F64)
    cos, sin = torch.cos(angle).float().to(F64), torch.sin(angle).float().to(F64)
    x = draw(T, H, D).detach()
    head, rest = x[..., : 2 * half], x[..., 2 * half :]
    c, s = torch.cat([cos, cos], -1)[:, None], torch.cat([sin, sin], -1)[:, None]
    rotated = torch.cat([-head[..., half:], head[..., :half]], -1)
    split = torch.cat([head * c + rotated * s, rest], -1)
    z = torch.view_as_complex(head.reshape(T, H, half, 2).contiguous()) * torch.complex(cos, sin)[:, None]
    inter = torch.cat([torch.view_as_real(z).reshape(T, H, 2 * half), rest], -1)
    emit("ROPE_COS", cos), emit("ROPE_SIN", sin), emit("ROPE_X", x)
    emit("ROPE_SPLIT", split), emit("ROPE_INTERLEAVED", inter)


def attention():
    T, H, Hkv, D, window, cap, scale = 7, 4, 2, 3, 3, 1.5, 0.8
    cu = [0, 2, 7]
    Q, K, V, dO = draw(T, H, D), draw(T, Hkv, D), draw(T, Hkv, D), draw(T, H, D)
    emit("ATT_CU", torch.tensor(cu), "int32_t")
    for name, t in (("Q", Q), ("K", K), ("V", V), ("DO", dO)):
        emit("ATT_" + name, t)
    doc = torch.tensor([0, 0, 1, 1, 1, 1, 1])
    i, j = torch.arange(T)[:, None], torch.arange(T)[None, :]
    visible = (doc[:, None] == doc[None, :]) & (j <= i)

    # Without window and cap: PyTorch's fused operator.
    q, k, v = (t.transpose(0, 1) for t in (Q, K, V))
    O = F.scaled_dot_product_attention(q, k, v, attn_mask=visible, scale=scale, enable_gqa=True).transpose(0, 1)
    grads = torch.autograd.grad(O, (Q, K, V), dO)
    emit("ATT_O", O)
    for name, g in zip(("DQ", "DK", "DV"), grads):
        emit("ATT_" + name, g)

    # With both: written out.
    kk, vv = (t.repeat_interleave(H // Hkv, 0) for t in (k, v))
    S = cap * torch.tanh(scale * q @ kk.transpose(1, 2) / cap)
    S = S.masked_fill(~(visible & (i - j < window)), -math.inf)
    O = (torch.softmax(S, -1) @ vv).transpose(0, 1)
    grads = torch.autograd.grad(O, (Q, K, V), dO)
    emit("ATT2_O", O), emit("ATT2_L", torch.logsumexp(S, -1).transpose(0, 1))
    for name, g in zip(("DQ", "DK", "DV"), grads):
        emit("ATT2_" + name, g)


def glu():
    g, u, dy = draw(12, scale=3.0), draw(12), draw(12)
    emit("GLU_G", g), emit("GLU_U", u), emit("GLU_DY", dy)
    for name, act in (("SILU", F.silu), ("GELU", lambda x: F.gelu(x, approximate="tanh"))):
        y = act(g) * u
        dg, du = torch.autograd.grad(y, (g, u), dy)
        emit(f"GLU_{name}_Y", y), emit(f"GLU_{name}_DG", dg), emit(f"GLU_{name}_DU", du)


def lora():
    """peft.tuners.lora.Linear without dropout: base(x) + lora_B(lora_A(x)) * scaling; a residual is added."""
    T, K, N, r, scale = 4, 5, 3, 2, 1.5
    X, W, A, B, R, dY = draw(T, K), draw(N, K), draw(r, K), draw(N, r), draw(T, N), draw(T, N)
    Y = F.linear(X, W) + F.linear(F.linear(X, A), B) * scale + R
    dX, dA, dB = torch.autograd.grad(Y, (X, A, B), dY)
    for name, t in (("X", X), ("W", W), ("A", A), ("B", B), ("R", R), ("DY", dY), ("Y", Y), ("DX", dX), ("DA", dA), ("DB", dB)):
        emit("LORA_" + name, t)
    emit("LORA_MERGED", W + scale * B @ A)


def head():
    T, C, V = 4, 5, 6
    X, W, weight = draw(T, C), draw(V, C), draw(2)
    index, target = torch.tensor([1, 3]), torch.tensor([5, 0])
    logits = F.linear(X[index], W)
    logp = -F.cross_entropy(logits, target, reduction="none")
    (-(weight.detach() * logp).sum()).backward()
    emit("HEAD_INDEX", index, "int32_t"), emit("HEAD_TARGET", target, "int32_t")
    for name, t in (("X", X), ("W", W), ("WEIGHT", weight), ("LOGITS", logits), ("LOGP", logp), ("DX", X.grad)):
        emit("HEAD_" + name, t)


def adamw():
    """Five steps. Gradient 0 stays 0; gradient 1 is far below epsilon; gradient 2 is large."""
    for name, betas in (("ADAM", (0.9, 0.999)), ("ADAM2", (0.875, 0.984375))):
        p = torch.randn(8).requires_grad_()
        emit(name + "_P0", p)
        steps = torch.randn(5, 8)
        steps[:, 0], steps[:, 1], steps[:, 2] = 0.0, steps[:, 1] * 1e-10, steps[:, 2] * 1e4
        emit(name + "_G", steps)
        optimizer = torch.optim.AdamW([p], lr=0.01, betas=betas, eps=1e-8, weight_decay=0.1, foreach=False)
        for g in steps:
            p.grad = g.clone()
            optimizer.step()
        state = optimizer.state[p]
        emit(name + "_P", p), emit(name + "_M", state["exp_avg"]), emit(name + "_V", state["exp_avg_sq"])


for make in (norm, rope, attention, glu, lora, head, adamw):
    make()
print("/* golden_kernels.h: expected values of t_kernels_golden.c. Written by make_kernels_golden.py with")
print(f" * PyTorch {torch.__version__.split('+')[0]}; do not edit. */")
print("#ifndef LORAC_TESTS_KERNELS_GOLDEN_KERNELS_H\n#define LORAC_TESTS_KERNELS_GOLDEN_KERNELS_H\n\n#include <stdint.h>\n")
print("\n".join(lines))
print("\n#endif")
