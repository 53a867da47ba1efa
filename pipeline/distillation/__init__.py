"""Layer maps, losses and the objective of distillation-aware training."""
