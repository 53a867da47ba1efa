"""The one error that means: the user can fix this."""


class UserError(Exception):
    """A mistake in configuration, data or environment that the person who started the job can mend.

    Jobs print it as one paragraph on stderr and exit with code 2.

    Args:
        given: what was given.
        allowed: what would have been accepted.
        change: what to change.
    """

    def __init__(self, given: str, allowed: str, change: str) -> None:
        self.given, self.allowed, self.change = given, allowed, change
        sentences = (given, f"Allowed: {allowed}", f"Change: {change}")
        super().__init__(" ".join(text if text.endswith((".", "?")) else f"{text}." for text in sentences))

    def __reduce__(self) -> tuple[type["UserError"], tuple[str, str, str]]:
        # Ray pickles exceptions on their way from a worker to the driver.
        return type(self), (self.given, self.allowed, self.change)


class NonFiniteError(ArithmeticError):
    """A tensor or a loss term became NaN or infinite."""
