"""Whether quantizer settings, bits and schedules go together: known from the settings alone, without torch."""

from __future__ import annotations

from pipeline.config.errors import UserError
from pipeline.config.sections.recipe import ACTIVATION_BITS, WEIGHT_BITS, QuantizationConfig
from pipeline.config.sections.sweep import SCHEME_PATTERN

NOT_QUANTIZED = 32
CHANGE_SCHEDULE = "change recipe.schedule"


def bits_of(name: str) -> tuple[float, float, float]:
    """Bits of weights, embeddings and activations of a scheme `W-E-A`."""
    match = SCHEME_PATTERN.fullmatch(name)
    assert match is not None, name  # the schema has checked it
    weights, embeddings, activations = (float(bits) for bits in match.groups())
    return weights, embeddings, activations


def is_plain(name: str) -> bool:
    """Whether a scheme quantizes nothing at all."""
    return bits_of(name) == (NOT_QUANTIZED,) * 3


def check_settings(name: str, quantization: QuantizationConfig) -> None:
    """Refuse settings that a scheme would ignore.

    Raises:
        UserError: a clip or published arithmetic for quantizers that know neither, or bits that a module cannot have.
    """
    if not is_plain(name):
        weights, embeddings, _ = bits_of(name)
        _check_used(quantization, weights, embeddings, quantization.position_bits)


def schedule_entries(schedule: list[str]) -> list[tuple[str, float, str]]:
    """The entries `until=W-E-A` of a schedule as (entry, until, W-E-A).

    Raises:
        UserError: an entry that is none, or ends that do not rise.
    """
    entries: list[tuple[str, float, str]] = []
    for entry in schedule:
        number, _, name = entry.partition("=")
        until = _number(number)
        if until is None or not SCHEME_PATTERN.fullmatch(name):
            raise UserError(
                f"recipe.schedule entry '{entry}'", "until=W-E-A such as 0.3=32-32-32 or 500=8-8-8", CHANGE_SCHEDULE
            )
        if entries and (until <= entries[-1][1] or (until < 1) != (entries[-1][1] < 1)):
            raise UserError(
                f"recipe.schedule={schedule}", "rising ends, all parts below 1 or all steps", CHANGE_SCHEDULE
            )
        _check_bits(entry, name)
        entries.append((entry, until, name))
    return entries


def patterns_of(quantization: QuantizationConfig) -> list[tuple[str, float]]:
    """The settings `bits` as (pattern, bits).

    Raises:
        UserError: an entry that is not `pattern=bits`, or bits that a weight cannot have.
    """
    patterns = []
    for entry in quantization.bits:
        pattern, _, number = entry.rpartition("=")
        if not pattern or number not in {f"{bits:g}" for bits in WEIGHT_BITS}:
            raise UserError(
                f"recipe.quantization.bits entry '{entry}'",
                f"pattern=bits with one of {WEIGHT_BITS}",
                "change recipe.quantization.bits",
            )
        patterns.append((pattern, float(number)))
    return patterns


def _check_used(quantization: QuantizationConfig, weights: float, embeddings: float, positions: float) -> None:
    """Refuse a clip or published arithmetic for quantizers that know neither."""
    bits = {bits for _, bits in patterns_of(quantization)}
    used = {quantization.weights.at(b) for b in {weights, *bits} - {NOT_QUANTIZED}}
    used |= {quantization.embeddings.at(b) for b in {embeddings, positions, *bits} - {NOT_QUANTIZED}}
    if quantization.activation_granularity == "learned":
        used |= {"elastic"}
    if quantization.clip_value is not None and (deaf := used - {"symmetric", "asymmetric", "twn"}):
        raise UserError(
            f"recipe.quantization.clip_value={quantization.clip_value} with the quantizer '{min(deaf)}'",
            "a clip goes with twn, symmetric and asymmetric",
            "set recipe.quantization.clip_value=null, or another quantizer",
        )
    if quantization.as_published:
        published = {"probabilities": "signed", "post_activation": "symmetric"}
        odd = [f"{name}={value}" for name in published if (value := getattr(quantization, name)) != published[name]]
        odd += sorted(f"the quantizer {name}" for name in used - {"symmetric", "twn"})
        granularities = (quantization.weight_granularity, quantization.embedding_granularity)
        odd += [name for name in granularities if name.startswith("group")]
        if odd:
            raise UserError(
                f"recipe.quantization.as_published with {odd[0]}",
                "twn and symmetric, signed probabilities, a scale per row or tensor",
                "set recipe.quantization.as_published=false, or what it goes with",
            )


def _check_bits(entry: str, name: str) -> None:
    *weights, activations = (float(bits) for bits in name.split("-"))
    for given, allowed in ((weights, WEIGHT_BITS), ([activations], ACTIVATION_BITS)):
        if not set(given) <= set(allowed):
            raise UserError(f"recipe.schedule entry '{entry}'", f"bits of {allowed}", CHANGE_SCHEDULE)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 < number < 1 or (number >= 1 and number.is_integer()) else None
