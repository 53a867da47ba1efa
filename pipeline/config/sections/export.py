"""What jobs that use a finished student have in common."""

from __future__ import annotations

VARIANTS = ("exact", "fast", "openvino")  # of exported students
AS_TRAINED = "exact"  # the arithmetic that a student was trained and scored with
MODEL = "a student: run id or name, name@alias or name/version of a registered one, models:/..., runs:/..., or a folder"
