"""Columns of the tables that stand beside aligned faces, in one place.

A row of ``manifest.csv`` describes the row of the same number in the file of pictures.
"""

SPLITS = ("train", "val", "test")

COLUMNS = (
    "image_id",
    "identity",
    "split",
    "source",
    "sha256",
    "width",
    "height",
    "left_eye_x",
    "left_eye_y",
    "right_eye_x",
    "right_eye_y",
    "aligned_by",
)
"""``image_id``: unique text; ``identity``: name of the person; ``split``: one of :data:`SPLITS`;
``source``: where the picture came from (path below the folder, or ``drawn:<person>/<number>``);
``sha256``: of the file's bytes, of the pixels for a drawn picture; ``width``, ``height``: of the
picture before alignment, pixels; eyes: pixel coordinates in the aligned picture, left and right
as seen by the viewer (``left_eye_x < right_eye_x``); ``aligned_by``: :data:`ALIGNED_BY`."""

EYES = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")
"""The columns that make up 2 x 2 eyes: left and right, x and y."""

ALIGNED_BY = ("landmarks", "detector", "crop", "drawn")
"""By landmarks that came with the picture or that the detector found, by the crop alone, or by how
the picture was drawn."""

REJECTED_COLUMNS = ("source", "reason")
"""Every picture that was given and is not used, and why."""
