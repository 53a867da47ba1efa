"""DQ-BART written out from paper and released code: a BART in plain functions over a state dict.

It shares no code with the product: what `recipe=dqbart` trains is held against it.
"""

import torch
from torch import nn
from torch.nn import functional as F


class Clipped(torch.autograd.Function):
    """Quantised values forward; backward the upstream gradient where the value lies within +-2.5."""

    @staticmethod
    def forward(ctx, x, levels):
        ctx.save_for_backward(x)
        return levels(x.clamp(-2.5, 2.5))

    @staticmethod
    def backward(ctx, gradient):
        (x,) = ctx.saved_tensors
        return gradient * (x.abs() <= 2.5), None


def eight(x):
    scale = 127 / x.abs().max()
    return torch.round(x * scale) / scale


def twn(x):
    """One threshold and level for the whole tensor."""
    above = x.abs() > 0.7 * x.abs().mean()
    return x.sign() * above * (x.abs() * above).sum() / above.sum()


def rows(levels):
    return lambda table: torch.stack([levels(row) if row.any() else row for row in table])


class Published:
    """Forward pass of a student (bits 8 or 2) or a plain teacher (bits 32)."""

    def __init__(self, state, heads, bits):
        self.state, self.heads, self.bits = state, heads, bits
        self.attention = {"encoder_attention": [], "decoder_attention": [], "cross_attention": []}
        self.hidden = {"encoder_hidden": [], "decoder_hidden": []}

    def activation(self, x):
        return x if self.bits == 32 else Clipped.apply(x, eight)

    def weight(self, w, levels=lambda f: f):
        if self.bits == 32:
            return w
        return Clipped.apply(w, levels(twn if self.bits == 2 else eight))

    def linear(self, x, name):
        return F.linear(self.activation(x), self.weight(self.state[f"{name}.weight"]), self.state[f"{name}.bias"])

    def norm(self, x, name):
        return F.layer_norm(x, x.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"])

    def attend(self, x, memory, mask, name, kind):
        def split(y):
            return y.unflatten(-1, (self.heads, -1)).transpose(1, 2)

        width = x.size(-1) // self.heads
        # Contiguous, as the product's: another order of the sums would round ties differently.
        q = split(self.linear(x, f"{name}.q_proj")) * width**-0.5
        k, v = (split(self.linear(memory, f"{name}.{one}_proj")) for one in "kv")
        q, k, v = (self.activation(one.contiguous()) for one in (q, k, v))
        scores = q @ k.transpose(-1, -2) + mask
        probabilities = scores.softmax(-1)
        self.attention[kind].append(probabilities)
        mixed = self.activation(probabilities) @ v
        return self.linear(mixed.transpose(1, 2).flatten(2), f"{name}.out_proj")

    def feed_forward(self, x, layer):
        return self.linear(F.gelu(self.linear(x, f"{layer}.fc1")), f"{layer}.fc2")

    def embed(self, ids, side):
        table = self.weight(self.state["model.shared.weight"], rows)
        positions = self.state[f"model.{side}.embed_positions.weight"][2 : 2 + ids.size(1)]
        return self.norm(F.embedding(ids, table, padding_idx=1) + positions, f"model.{side}.layernorm_embedding")

    def layers(self, side):
        return 1 + max(int(name.split(".")[3]) for name in self.state if name.startswith(f"model.{side}.layers"))

    def __call__(self, input_ids, attention_mask, decoder_input_ids):
        dtype = self.state["final_logits_bias"].dtype
        hide = torch.finfo(dtype).min
        source_mask = (1.0 - attention_mask[:, None, None, :].to(dtype)) * hide
        length = decoder_input_ids.size(1)
        causal = torch.full((length, length), hide, dtype=dtype).triu(1)
        x = self.embed(input_ids, "encoder")
        self.hidden["encoder_hidden"].append(x)
        for i in range(self.layers("encoder")):
            layer = f"model.encoder.layers.{i}"
            attended = self.attend(x, x, source_mask, f"{layer}.self_attn", "encoder_attention")
            x = self.norm(x + attended, f"{layer}.self_attn_layer_norm")
            x = self.norm(x + self.feed_forward(x, layer), f"{layer}.final_layer_norm")
            self.hidden["encoder_hidden"].append(x)
        memory, x = x, self.embed(decoder_input_ids, "decoder")
        self.hidden["decoder_hidden"].append(x)
        for i in range(self.layers("decoder")):
            layer = f"model.decoder.layers.{i}"
            attended = self.attend(x, x, causal, f"{layer}.self_attn", "decoder_attention")
            x = self.norm(x + attended, f"{layer}.self_attn_layer_norm")
            crossed = self.attend(x, memory, source_mask, f"{layer}.encoder_attn", "cross_attention")
            x = self.norm(x + crossed, f"{layer}.encoder_attn_layer_norm")
            x = self.norm(x + self.feed_forward(x, layer), f"{layer}.final_layer_norm")
            self.hidden["decoder_hidden"].append(x)
        # The head reads the embedding before quantisation, its input is not quantised either.
        return x @ self.state["model.shared.weight"].T + self.state["final_logits_bias"]


def losses(student, student_logits, teacher, teacher_logits, labels, maps, as_released):
    """Every term of the released loss by name."""
    mse, terms = nn.MSELoss(), {}
    terms["task_loss"] = nn.CrossEntropyLoss()(student_logits.view(-1, student_logits.size(-1)), labels.view(-1))
    terms["logits_loss"] = mse(student_logits, teacher_logits)
    for kind, mine in student.attention.items():
        layers = maps["encoder" if kind.startswith("encoder") else "decoder"]
        terms[f"{kind}_loss"] = sum(mse(a, teacher.attention[kind][j]) for a, j in zip(mine, layers, strict=True))
    for kind, mine in student.hidden.items():
        layers = [0, *(j + 1 for j in maps[kind.split("_")[0]])]
        terms[f"{kind}_loss"] = sum(mse(a, teacher.hidden[kind][j]) for a, j in zip(mine, layers, strict=True))
    if as_released:
        pairs = zip(student.hidden["encoder_hidden"][-1], teacher.hidden["encoder_hidden"][-1], strict=True)
        terms["encoder_last_hidden_loss"] = sum(mse(a, b) for a, b in pairs)
    return terms
