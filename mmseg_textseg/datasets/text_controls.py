"""Controls that tell whether a model uses its text; docs/text_audit.md."""

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np

from .annotations import AnnotationRow
from .contradiction import Contradict
from .packed_list import PackedList
from .paraphrase import Paraphrase

TextChange = Callable[[str, AnnotationRow], str]


class Empty:
    """No words: the model gets special tokens alone."""

    def __call__(self, text: str, row: AnnotationRow) -> str:
        """The empty sentence."""
        return ''


# Changes of single sentences, by the name that TextSegDataset takes.
TEXT_CHANGES: dict[str, Callable[..., TextChange]] = dict(empty=Empty, contradict=Contradict, paraphrase=Paraphrase)


def make_text_change(option: str | dict) -> TextChange:
    """A change of sentences from a name in ``TEXT_CHANGES``, or a dict with ``type`` and the options of its class.

    Raises:
        ValueError: an unknown name.
    """
    options = dict(type=option) if isinstance(option, str) else dict(option)
    name = options.pop('type', None)
    if name not in TEXT_CHANGES:
        raise ValueError(f'change_text names {name!r}; known: {", ".join(TEXT_CHANGES)}')
    return TEXT_CHANGES[name](**options)


def same_text(items: Sequence[dict]) -> PackedList:
    """Give every item the most frequent sentence of the set (of several the first by letter).

    Args:
        items: dataset items with ``text`` or ``texts``, of which the first counts.

    Returns:
        New items; the old ones stay as they are.
    """
    counts = Counter(item['text'] if 'text' in item else item['texts'][0] for item in items)
    text = min(counts, key=lambda sentence: (-counts[sentence], sentence), default='')
    return PackedList({**item, **({'text': text} if 'text' in item else {'texts': [text]})} for item in items)


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
