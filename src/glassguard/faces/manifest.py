"""Columns of the tables that belong to aligned faces.

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
``source``: where the picture comes from (path below the folder, or ``drawn:<person>/<number>``);
``sha256``: of the file's bytes, of the pixels for a drawn picture; ``width``, ``height``: of the
picture before alignment, pixels; eyes: pixel coordinates in the aligned picture, left and right
as seen by the viewer (``left_eye_x < right_eye_x``); ``aligned_by``: :data:`ALIGNED_BY`."""

EYES = ("left_eye_x", "left_eye_y", "right_eye_x", "right_eye_y")
"""The columns that make up 2 x 2 eyes: left and right, x and y."""

ALIGNED_BY = ("landmarks", "detector", "crop", "drawn")
"""By landmarks that came with the picture, by those that the detector found, by the crop alone, or
since the picture was drawn."""

REJECTED_COLUMNS = ("source", "reason")
"""Every given picture that is not used, and why."""
