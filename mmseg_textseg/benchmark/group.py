"""What is timed: several ways to do one job."""

from collections.abc import Callable
from dataclasses import dataclass, field


@dataclass
class Group:
    """Contenders that do the same job, timed in turn in one process.

    Args:
        name: key in the report, e.g. ``'encoder/480/1'``.
        job: what a call does, a sentence for the table.
        contenders: name -> a call without arguments; what is built before is not timed.
        reference: which contender the others' ratios are against (reference time / contender time).
        axis: values of what was swept, e.g. ``dict(pixels=230400, batch=1)``; they draw the growth of the cost.
        traced: False where a call cannot be looked into, as compiled code or other processes: operations and memory of
            tensors are not counted.
    """

    name: str
    job: str
    contenders: dict[str, Callable[[], object]]
    reference: str
    axis: dict[str, float] = field(default_factory=dict)
    traced: bool = True

    def __post_init__(self) -> None:
        if self.reference not in self.contenders:
            raise ValueError(f'{self.name}: reference {self.reference!r} is not among {", ".join(self.contenders)}')
