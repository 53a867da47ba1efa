"""Who is measured by the benchmarks `runtime` and `encoder`: other runtimes, and ours in every variant."""

from __future__ import annotations

import copy
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from pipeline.benchmarking.engines.engine import installed
from pipeline.config.sections.benchmark import EncoderBenchmarkConfig, EncoderShapeConfig, RuntimeBenchmarkConfig
from pipeline.config.sections.export import AS_TRAINED
from pipeline.config.sections.recipe import QuantizationConfig
from pipeline.export.onnx.graphs.nbits import KERNEL_BITS
from pipeline.models.families import family_of
from pipeline.models.student import meta_model
from pipeline.quantization.prepare import quantized_weights
from pipeline.quantization.scheme import NOT_QUANTIZED, scheme_of

if TYPE_CHECKING:
    from transformers import PretrainedConfig

FLOAT = "32-32-32"


@dataclass(frozen=True, kw_only=True)
class Contender:
    """One model in one runtime.

    Args:
        name: for people.
        depth: encoder-decoder layers; of an encoder alone its layers.
        engine: runtime that runs it.
        form: of its file: fp32 and bf16 (transformers), float32 and int8 (CTranslate2), or an exported variant.
        scheme: of the exported ones.
        options: of the engine.
    """

    name: str
    depth: str
    engine: str
    form: str
    scheme: str = FLOAT
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Where its file lies, below the folder of the models; OpenVINO reads what ONNX Runtime reads."""
        kind = {"torch": "transformers", "ctranslate2": "ctranslate2"}.get(self.engine, f"onnx {self.scheme}")
        return f"{self.depth}/{kind} {self.form}".replace(" ", "-")


TEACHER, STUDENT = "teacher, transformers fp32", "transformers fp32"


def contenders_of(
    settings: RuntimeBenchmarkConfig, depth: str, teacher_depth: str, family: str
) -> tuple[list[Contender], dict[str, str]]:
    """All that are measured at a depth, the teacher first; and those left out, with the reason.

    Where the depth is the teacher's, the teacher is the student in fp32, too.
    """
    found = [Contender(name=TEACHER, depth=teacher_depth, engine="torch", form="fp32")]
    if depth != teacher_depth:
        found.append(Contender(name=STUDENT, depth=depth, engine="torch", form="fp32"))
    if settings.baselines:
        found += [
            Contender(name="transformers bf16", depth=depth, engine="torch", form="bf16"),
            Contender(name="ONNX Runtime fp32", depth=depth, engine="onnxruntime", form="exact"),
            *(
                Contender(
                    name=f"CTranslate2 {name}",
                    depth=depth,
                    engine="ctranslate2",
                    form=form,
                    options={"compute_type": form},
                )
                for name, form in (("fp32", "float32"), ("int8", "int8"))
            ),
        ]
    for scheme in settings.schemes:
        for variant in settings.variants:
            ours = Contender(name=f"{scheme} {variant}", depth=depth, engine="onnxruntime", form=variant, scheme=scheme)
            found.append(ours)
            if variant == "openvino":
                found.append(
                    Contender(
                        name=f"{ours.name}, by OpenVINO", depth=depth, engine="openvino", form=variant, scheme=scheme
                    )
                )
    left_out = {}
    for contender in found:
        if not installed(contender.engine):
            left_out[contender.name] = f"{contender.engine} is not installed"
        elif contender.engine == "ctranslate2" and family != "bart":
            left_out[contender.name] = f"its file is made for BART only, not for {family}"
    return [contender for contender in found if contender.name not in left_out], left_out


def encoder_contenders(settings: EncoderBenchmarkConfig, shape: EncoderShapeConfig) -> list[Contender]:
    """One shape in every runtime: transformers and ONNX Runtime in fp32, then as it is packed."""
    depth = str(shape.layers)
    found = [
        Contender(
            name=f"{shape.name}, transformers {attention}",
            depth=depth,
            engine="torch",
            form="fp32",
            options={"attention": attention},
        )
        for attention in settings.attentions
    ]
    found.append(Contender(name=f"{shape.name}, ONNX Runtime fp32", depth=depth, engine="onnxruntime", form=AS_TRAINED))
    return found + [
        Contender(
            name=f"{shape.name}, {scheme} {variant}", depth=depth, engine="onnxruntime", form=variant, scheme=scheme
        )
        for scheme in shape.schemes
        for variant in settings.variants
    ]


def weight_bytes_per_token(
    contender: Contender, model_config: PretrainedConfig, quantization: QuantizationConfig
) -> float:
    """Bytes of weights that one decoding step has to read, scales left out.

    Keys and values of the source are computed once, before the first step. Exact products read whole bytes: what is
    stored in fewer bits is widened when the file is loaded.
    """
    family, config = family_of(model_config), copy.deepcopy(model_config)
    assert family.decoder is not None
    for stack, layers in zip(family.stacks, contender.depth.split("-"), strict=True):
        setattr(config, stack.setting, int(layers))
    model = meta_model(config)
    sites = family.sites(model)
    once = {name for site in sites.attentions if site.kind == "cross" for name in (site.key, site.value)}
    names = [n for n in sites.linears if n.startswith(f"{family.decoder.prefix}.") and n not in once]
    names += [sites.lm_head] if sites.lm_head else []
    quantized = quantized_weights(sites, scheme_of(contender.scheme, quantization))

    def bits(name: str) -> float:
        if contender.engine in ("torch", "ctranslate2"):
            return {"fp32": 32, "float32": 32, "bf16": 16, "int8": 8}[contender.form]
        if name not in quantized:
            return NOT_QUANTIZED
        return 8 if contender.form == "exact" else KERNEL_BITS[quantized[name]]

    return sum(int(model.get_submodule(name).weight.numel()) * bits(name) for name in names) / 8
