"""Controls that tell whether a model uses its text."""

import numpy as np


def shuffle_texts(items: list[dict], seed: int = 0) -> list[dict]:
    """Give every item the sentence (or list of sentences) of an item of another image.

    A permutation: each sentence is still used once, so that the words' statistics stay as they are. The
    same for the same items and seed.

    Args:
        items: dataset items with ``img_path`` and ``text`` or ``texts``.
        seed: of the permutation.

    Returns:
        New items; the old ones stay as they are.

    Raises:
        ValueError: one image has more than half of the items, so that no such permutation exists.
    """
    images, image_of = np.unique([item['img_path'] for item in items], return_inverse=True)
    most = np.bincount(image_of).max(initial=0)
    if 2 * most > len(items):
        raise ValueError(
            f'texts cannot be shuffled between images: {len(images)} image(s), and one has {most} of {len(items)} items'
        )
    # Items of an image made neighbours, in random order; turned by the largest group, no one stays at home.
    rng = np.random.default_rng(seed)
    order = np.lexsort((rng.random(len(items)), rng.permutation(len(images))[image_of]))
    giver = np.empty(len(items), dtype=int)
    giver[order] = np.roll(order, most)
    keys = ('text', 'texts')
    return [
        {**item, **{key: items[other][key] for key in keys if key in items[other]}}
        for item, other in zip(items, giver, strict=True)
    ]
