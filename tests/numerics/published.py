"""DQ-BART written down from its formulas in plain torch, for tests to compare with; imports nothing of the project."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

CLIP = 2.5  # of weights, embeddings and activations alike
ACTIVATION_BITS = 8
PADDING_ID = 1
POSITION_OFFSET = 2
IGNORED_LABEL = -100


class _StraightThrough(torch.autograd.Function):
    """A quantizer whose gradient is the identity strictly inside the clip, and zero at the clip and beyond."""

    @staticmethod
    def forward(ctx: Any, latent: Tensor, quantizer: Callable[[Tensor], Tensor]) -> Tensor:
        """Clip, then quantize; whatever scale the quantizer finds on its way is a constant to autograd."""
        ctx.save_for_backward(latent)
        return quantizer(latent.clamp(-CLIP, CLIP))

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None]:
        """Let the gradient through where -CLIP < latent < CLIP."""
        (latent,) = ctx.saved_tensors
        return grad.masked_fill((latent >= CLIP) | (latent <= -CLIP), 0.0), None


def symmetric(values: Tensor, bits: int, by_row: bool) -> Tensor:
    """Round to the levels -(2^(bits-1) - 1) .. 2^(bits-1) - 1, the outermost one being the largest magnitude."""
    largest = values.abs().amax(dim=-1, keepdim=True) if by_row else values.abs().max()
    scale = (2 ** (bits - 1) - 1) / largest
    return torch.round(values * scale) / scale


def ternary(values: Tensor, by_row: bool) -> Tensor:
    """Map to {-alpha, 0, alpha}: zero up to 0.7 of the mean magnitude, alpha the mean magnitude of what is above."""
    mean = values.norm(p=1, dim=1, keepdim=True) / values.shape[1] if by_row else values.norm(p=1) / values.numel()
    threshold = 0.7 * mean
    above, below = (values > threshold).to(values.dtype), (values < -threshold).to(values.dtype)
    kept = (values.abs() > threshold).to(values.dtype)
    magnitudes = (kept * values).abs()
    over = {"dim": 1, "keepdim": True} if by_row else {}
    alpha = magnitudes.sum(**over) / kept.sum(**over)
    return alpha * above - alpha * below


def quantize_weight(weight: Tensor, bits: int, by_row: bool) -> Tensor:
    """Quantize a weight: ternary at 2 bits, else symmetric; one scale for a matrix, or by row for an embedding."""
    if bits == 2:
        return _StraightThrough.apply(weight, lambda values: ternary(values, by_row))
    return _StraightThrough.apply(weight, lambda values: symmetric(values, bits, by_row))


def quantize_activation(activation: Tensor) -> Tensor:
    """Quantize an activation to 8 bits with one scale for the whole tensor, padding included."""
    return _StraightThrough.apply(activation, lambda values: symmetric(values, ACTIVATION_BITS, by_row=False))


class Published:
    """A DQ-BART student (bits 8 or 2) or its plain teacher (bits 32) over the state dict of a BART with a tied head.

    Only the attention probabilities are dropped, by `drop` if given (it gets batch x heads x targets x sources).
    """

    def __init__(
        self,
        state: Mapping[str, Tensor],
        heads: int,
        bits: int,
        dropout: float = 0.0,
        drop: Callable[[Tensor], Tensor] | None = None,
    ) -> None:
        self.state, self.heads, self.bits = state, heads, bits
        self.drop = drop if drop is not None else lambda probabilities: functional.dropout(probabilities, dropout)
        self.attention: dict[str, list[Tensor]] = {}
        self.hidden: dict[str, list[Tensor]] = {}

    def __call__(self, input_ids: Tensor, attention_mask: Tensor, decoder_input_ids: Tensor) -> Tensor:
        """Return the logits (batch x targets x vocabulary), and keep every attention map and hidden state."""
        self.attention = {f"{kind}_attention": [] for kind in ("encoder", "decoder", "cross")}
        self.hidden = {"encoder_hidden": [], "decoder_hidden": []}
        table = self.state["model.shared.weight"]
        lowest = torch.finfo(table.dtype).min
        padding = (1 - attention_mask[:, None, None, :].to(table.dtype)) * lowest
        length = decoder_input_ids.shape[1]
        future = torch.full((length, length), -torch.inf, dtype=table.dtype, device=table.device).triu(1)

        encoded = self._embed("encoder", input_ids)
        for prefix in self._layers("encoder"):
            encoded = self._attend(f"{prefix}.self_attn", "encoder_attention", encoded, encoded, padding)
            encoded = self._feed_forward(prefix, encoded)
            self.hidden["encoder_hidden"].append(encoded)

        decoded = self._embed("decoder", decoder_input_ids)
        for prefix in self._layers("decoder"):
            decoded = self._attend(f"{prefix}.self_attn", "decoder_attention", decoded, decoded, future)
            decoded = self._attend(f"{prefix}.encoder_attn", "cross_attention", decoded, encoded, padding)
            decoded = self._feed_forward(prefix, decoded)
            self.hidden["decoder_hidden"].append(decoded)
        return functional.linear(decoded, table) + self.state["final_logits_bias"]

    def _layers(self, stack: str) -> list[str]:
        """Name the layers of a stack in order."""
        start = f"model.{stack}.layers."
        indices = {int(name[len(start) :].split(".")[0]) for name in self.state if name.startswith(start)}
        return [f"{start}{index}" for index in sorted(indices)]

    def _embed(self, stack: str, ids: Tensor) -> Tensor:
        """Add quantized token and plain position embeddings and normalise; the padding row gets no gradient here."""
        table = self.state["model.shared.weight"]
        if self.bits != 32:
            table = quantize_weight(table, self.bits, by_row=True)
        tokens = functional.embedding(ids, table, padding_idx=PADDING_ID)
        positions = self.state[f"model.{stack}.embed_positions.weight"]
        places = torch.arange(ids.shape[1], device=ids.device) + POSITION_OFFSET
        embedded = self._norm(f"model.{stack}.layernorm_embedding", tokens + functional.embedding(places, positions))
        self.hidden[f"{stack}_hidden"].append(embedded)
        return embedded

    def _norm(self, name: str, values: Tensor) -> Tensor:
        """Apply a LayerNorm, in full precision always."""
        return functional.layer_norm(
            values, values.shape[-1:], self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        )

    def _linear(self, name: str, values: Tensor) -> Tensor:
        """Apply a linear layer, weight and input quantized in a student, the bias added in full precision."""
        weight, bias = self.state[f"{name}.weight"], self.state[f"{name}.bias"]
        if self.bits == 32:
            return functional.linear(values, weight, bias)
        return functional.linear(quantize_activation(values), quantize_weight(weight, self.bits, by_row=False)) + bias

    def _activation(self, values: Tensor) -> Tensor:
        """Quantize an operand of attention in a student."""
        return values if self.bits == 32 else quantize_activation(values)

    def _split(self, values: Tensor) -> Tensor:
        """Split batch x time x width into batch x heads x time x head width."""
        return values.unflatten(-1, (self.heads, -1)).transpose(1, 2).contiguous()

    def _attend(self, name: str, kind: str, queries_of: Tensor, keys_of: Tensor, mask: Tensor) -> Tensor:
        """Attend, add the residual and normalise; the map kept is that before dropout and quantization."""
        scaling = (queries_of.shape[-1] // self.heads) ** -0.5
        queries = self._activation(self._split(self._linear(f"{name}.q_proj", queries_of) * scaling))
        keys = self._activation(self._split(self._linear(f"{name}.k_proj", keys_of)))
        values = self._activation(self._split(self._linear(f"{name}.v_proj", keys_of)))
        probabilities = torch.softmax(queries @ keys.transpose(-1, -2) + mask, dim=-1)
        self.attention[kind].append(probabilities)
        mixed = self._activation(self.drop(probabilities)) @ values
        attended = self._linear(f"{name}.out_proj", mixed.transpose(1, 2).flatten(2))
        return self._norm(f"{name}_layer_norm", queries_of + attended)

    def _feed_forward(self, prefix: str, values: Tensor) -> Tensor:
        """Apply the two linear layers about an exact GELU, add the residual and normalise."""
        inner = functional.gelu(self._linear(f"{prefix}.fc1", values))
        return self._norm(f"{prefix}.final_layer_norm", values + self._linear(f"{prefix}.fc2", inner))


def losses(
    student: Published,
    student_logits: Tensor,
    teacher: Published,
    teacher_logits: Tensor,
    labels: Tensor,
    maps: Mapping[str, Any],
    as_released: bool,
) -> dict[str, Tensor]:
    """Name every term of the objective; maps["encoder"][i] and maps["decoder"][i] are the teacher's layer for i."""
    mse = functional.mse_loss
    terms = {
        "task_loss": functional.cross_entropy(
            student_logits.flatten(0, 1), labels.flatten(), ignore_index=IGNORED_LABEL
        ),
        "logits_loss": mse(student_logits, teacher_logits.detach()),
    }
    for kind, stack in (("encoder", "encoder"), ("decoder", "decoder"), ("cross", "decoder")):
        pairs = [(own, maps[stack][i]) for i, own in enumerate(student.attention[f"{kind}_attention"])]
        theirs = teacher.attention[f"{kind}_attention"]
        terms[f"{kind}_attention_loss"] = sum(mse(own, theirs[j].detach()) for own, j in pairs)
    for stack in ("encoder", "decoder"):
        own_states, theirs = student.hidden[f"{stack}_hidden"], teacher.hidden[f"{stack}_hidden"]
        pairs = [(own, 0 if i == 0 else maps[stack][i - 1] + 1) for i, own in enumerate(own_states)]
        terms[f"{stack}_hidden_loss"] = sum(mse(own, theirs[j].detach()) for own, j in pairs)
    if as_released:  # a loop meant for layers runs over the batch: one mean for each example, summed
        last = zip(student.hidden["encoder_hidden"][-1], teacher.hidden["encoder_hidden"][-1], strict=True)
        terms["encoder_last_hidden_loss"] = sum(mse(own, its.detach()) for own, its in last)
    return terms


class PublishedAdamW(torch.optim.Optimizer):
    """AdamW of transformers 4.17: eps joins sqrt(v) before the bias correction, decay comes after the update."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-6,
        weight_decay: float = 0.0,
    ) -> None:
        super().__init__(params, {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay})

    @torch.no_grad()
    def step(self, closure: None = None) -> None:  # type: ignore[override]
        """Update every parameter that has a gradient."""
        for group in self.param_groups:
            beta1, beta2 = group["betas"]
            for p in (p for p in group["params"] if p.grad is not None):
                state = self.state[p]
                if not state:
                    state.update(step=0, mean=torch.zeros_like(p), square=torch.zeros_like(p))
                state["step"] += 1
                state["mean"].mul_(beta1).add_(p.grad, alpha=1 - beta1)
                state["square"].mul_(beta2).addcmul_(p.grad, p.grad, value=1 - beta2)
                size = group["lr"] * math.sqrt(1 - beta2 ** state["step"]) / (1 - beta1 ** state["step"])
                p.addcdiv_(state["mean"], state["square"].sqrt().add_(group["eps"]), value=-size)
                p.add_(p, alpha=-group["lr"] * group["weight_decay"])


def published_num_warmup(num_steps: int, ratio: float = 0.05) -> int:
    """Count the warm-up steps as the training script does: rounded down."""
    return int(ratio * num_steps)


def published_schedule(step: int, num_steps: int, num_warmup: int) -> float:
    """Give the learning rate's factor at the optimiser's step `step`, counted from 0 (with warm-up, the first is 0)."""
    if step < num_warmup:
        return step / max(1, num_warmup)
    return max(0.0, (num_steps - step) / max(1, num_steps - num_warmup))
