"""What an evaluation cannot go on with."""


class EvaluationError(ValueError):
    """An option or a sample that cannot be evaluated; names it, what was expected, and the mend."""
