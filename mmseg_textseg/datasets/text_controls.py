"""Controls that tell whether a model uses its text."""

from collections.abc import Sequence

import numpy as np

from .packed_list import PackedList


def shuffle_texts(items: Sequence[dict], seed: int = 0) -> PackedList:
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
    paths = [item['img_path'] for item in items]
    images = {path: number for number, path in enumerate(sorted(set(paths)))}
    image_of = np.array([images[path] for path in paths], dtype=int)
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
    texts = [{key: item[key] for key in ('text', 'texts') if key in item} for item in items]
    return PackedList({**item, **texts[other]} for item, other in zip(items, giver, strict=True))
