"""Words of a sentence that say an attribute ("large", "in the left lobe"), and the sentence without them."""

import re

from . import direction_lexicon as directions
from .direction_finding import scan
from .text_lexicon import Lexicon
from .wording import agree, capital, whole_words

DIRECTION_ATTRIBUTES = ('side', 'height', 'center')
# Left out together under one name.
GROUPS = {'place': DIRECTION_ATTRIBUTES}

_NOUNS = r'(?:shape|outline|contour|boundary|boundaries|border|borders|margin|margins|edge|edges|size|density)'
_PARTS = rf'(?:{"|".join(sorted(directions.PARTS | {"lobe", "lobes"}))})'
_DIRECTION = rf'\b(?:{"|".join(sorted(directions.DIRECTING))})\b'
_FUNCTION = rf'(?:{"|".join(sorted(directions.FUNCTION_WORDS))})'
_PHRASE_ENDS = rf'(?=\s*(?:[,.;:)]|$)|\s+{_FUNCTION}\b)'
# What is gone is \0 until its surroundings are mended, in this order.
_MENDING = tuple(
    (re.compile(pattern, re.IGNORECASE), new)
    for pattern, new in (
        # 'upper left', 'upper-left', and lists of places: 'at the top, top, center'.
        (rf'({_DIRECTION})[\s-]\0', r'\1'),
        (rf'\0[\s-](?={_DIRECTION})', ''),
        (r'\0(?:\s*,?\s+(?:and\s+|or\s+)?\0)+', '\0'),
        (rf'\0\s*,\s*(?:and\s+|or\s+)?(?={_DIRECTION})', ''),
        (rf'({_DIRECTION}),?\s+(?:and\s+|or\s+)?\0(?=\s+{_FUNCTION}\b|\s*[,.;]|$)', r'\1'),
        (r'\bthe\s+\0(?=\s+of\b)', 'one'),  # 'the largest of the two'
        # 'a round shape', 'in the left lobe of the liver', 'at the top'.
        (rf'(?:\b(?:an?|the)\s+)?\0\s+{_NOUNS}\b', '\0'),
        (
            rf',?\s*\b(?:located\s+)?(?:in|at|on|near)\s+(?:the\s+)?\0(?:\s+{_PARTS})?'
            rf'(?:\s+of\s+(?:the\s+)?\w+)?{_PHRASE_ENDS}(?:,(?=\s+with\b))?',
            '',
        ),
        # 'with A, B, and C'.
        (r'\bwith\s+\0\s*(?:,\s*)?(?:and\s+)?(?=[^\W_])', 'with '),
        (r',?\s*\bwith\s+\0', ''),
        (r',?\s*(?:\band\s+)?\0(?=\s*[,.;]|\s*$)', ''),
        (r'\0\s*(?:,\s*(?:and\s+)?|\band\s+)', ''),
    )
)
_LEFT = re.compile(r'\0[\s-]*(\w*)')


class AttributeWords:
    """Finds words of attributes, and takes them out of a sentence.

    Attributes are ``side`` (left, right), ``height`` (upper, lower), ``center``, and those of a lexicon. Words that
    relate to another thing ("left of the vessel") are none.

    Args:
        lexicon: words of the other attributes.
    """

    def __init__(self, lexicon: Lexicon) -> None:
        self._patterns = {name: whole_words(words) for name, words in lexicon.attributes.items()}
        self.names = (*DIRECTION_ATTRIBUTES, *GROUPS, *self._patterns)

    def find(self, text: str) -> dict[str, list[tuple[int, int]]]:
        """Attribute -> places ``(start, end)`` of its words, in the order in which a sentence says them."""
        found: dict[str, list[tuple[int, int]]] = {}
        for word, parts in scan(text, frozenset()):
            if word.kind == 'relation':
                continue
            if word.direction == {'center'} and word.kind == 'place':
                found.setdefault('center', []).append((word.start, word.end))
            for part in parts:
                name = 'height' if part.direction in directions.VERTICAL else 'side'
                found.setdefault(name, []).append((part.start, part.end))
        for name, pattern in self._patterns.items():
            places = [match.span() for match in pattern.finditer(text)]
            if places:
                found.setdefault(name, []).extend(places)
        return dict(sorted(found.items(), key=lambda item: min(item[1])))

    def leave_out(self, text: str, names: set[str]) -> str:
        """The sentence without what it says of some attributes; itself where nothing would remain.

        Args:
            text: the sentence.
            names: of attributes, or of groups of them (``place``).
        """
        names = {name for given in names for name in GROUPS.get(given, (given,))}
        places = sorted(place for name, found in self.find(text).items() if name in names for place in found)
        if not places:
            return text
        pieces, end = [], 0
        for start, stop in places:
            pieces += [text[end : max(start, end)], '\0']
            end = max(end, stop)
        words = ''.join([*pieces, text[end:]])
        for pattern, new in _MENDING:
            words = pattern.sub(new, words)
        while match := _LEFT.search(words):
            words = agree(words[: match.start()], match[1]) + match[1] + words[match.end() :]
        words = re.sub(r'\s+(?=[,.;])', '', ' '.join(words.split())).lstrip(',;. ')
        if not re.search(r'[^\W_]', words):
            return text
        return capital(words) if text[:1].isupper() else words
