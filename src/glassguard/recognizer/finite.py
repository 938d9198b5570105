"""Numbers that are not finite, named by the picture that they belong to."""

from collections.abc import Sequence

from torch import Tensor

MOST_NAMED = 10


class NotFiniteError(ValueError):
    """Some pictures have infinities or NaN where numbers belong.

    Args:
        what: of the pictures is not finite.
        pictures: their indices, from 0 on.
    """

    def __init__(self, what: str, pictures: Sequence[int]) -> None:
        self.what, self.pictures = what, list(pictures)
        named = ", ".join(map(str, self.pictures[:MOST_NAMED]))
        rest = len(self.pictures) - MOST_NAMED
        more = f" and {rest} more" if rest > 0 else ""
        several = "s" if len(self.pictures) > 1 else ""
        super().__init__(f"{what}: not finite at picture{several} {named}{more}")

    def counted_from(self, first: int) -> "NotFiniteError":
        """The same error where the pictures are part of a set and begin at index ``first``."""
        return NotFiniteError(self.what, [first + one for one in self.pictures])


def together(errors: Sequence[NotFiniteError]) -> NotFiniteError:
    """One error for several batches: what the first says, of the pictures of all that say it."""
    what = errors[0].what
    return NotFiniteError(
        what, [one for error in errors if error.what == what for one in error.pictures]
    )


def require_finite(
    what: str, values: Tensor, points: int = 1, *, pictures: Sequence[int] | None = None
) -> Tensor:
    """Refuse infinities and NaN.

    Args:
        what: the values are.
        values: points · N x ..., the N pictures of the first point first.
        points: taken of each picture.
        pictures: N numbers by which the error calls the pictures; from 0 on when None.

    Returns:
        ``values``.

    Raises:
        NotFiniteError: there are such values; it names the pictures.
    """
    finite = values.detach().isfinite()
    if not finite.all():
        whole = finite.flatten(1).all(dim=1).unflatten(0, (points, -1)).all(dim=0)
        found = whole.logical_not().nonzero()[:, 0].tolist()
        raise NotFiniteError(what, found if pictures is None else [pictures[one] for one in found])
    return values
