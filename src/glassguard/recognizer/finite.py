"""Numbers that are not finite, named by their picture."""

from collections.abc import Sequence
from itertools import chain

from torch import Tensor

MOST_NAMED = 10


class NotFiniteError(ValueError):
    """The numbers called ``what`` are infinite or NaN at ``pictures`` (indices from 0 on)."""

    def __init__(self, what: str, pictures: Sequence[int]) -> None:
        self.what, self.pictures = what, list(pictures)
        named = ", ".join(map(str, self.pictures[:MOST_NAMED]))
        rest = len(self.pictures) - MOST_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        several = "s" if len(self.pictures) > 1 else ""
        super().__init__(f"{what}: not finite at picture{several} {named}{more}")

    def counted_from(self, first: int) -> "NotFiniteError":
        """The same error for pictures that start at index ``first`` of a set."""
        return NotFiniteError(self.what, [first + one for one in self.pictures])


def together(errors: Sequence[NotFiniteError]) -> NotFiniteError:
    """One error for several batches: the first's, with the pictures of all that say so."""
    what = errors[0].what
    same = (error.pictures for error in errors if error.what == what)
    return NotFiniteError(what, list(chain.from_iterable(same)))


def require_finite(
    what: str, values: Tensor, points: int = 1, *, pictures: Sequence[int] | None = None
) -> Tensor:
    """Return ``values`` unless some are infinite or NaN.

    Args:
        what: name of the values.
        values: points · N x ..., the N pictures of the first point first.
        points: number of points per picture.
        pictures: N numbers by which the error calls the pictures; from 0 on when None.

    Raises:
        NotFiniteError: some are; names the pictures.
    """
    finite = values.detach().isfinite()
    if not finite.all():
        whole = finite.flatten(1).all(dim=1).unflatten(0, (points, -1)).all(dim=0)
        found = whole.logical_not().nonzero()[:, 0].tolist()
        raise NotFiniteError(what, found if pictures is None else [pictures[one] for one in found])
    return values
