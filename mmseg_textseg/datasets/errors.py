"""What can be wrong with the file of a picture."""


class PictureError(ValueError):
    """A picture, mask or volume that cannot be used: the message names the file, what was expected, and the mend."""
