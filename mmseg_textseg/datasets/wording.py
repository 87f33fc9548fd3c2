"""Small matters of spelling when words of a sentence are exchanged or taken out."""

import re
from collections.abc import Callable, Iterable

# Neither a part of a word nor of one with a hyphen: 'clear' is not in 'nuclear', nor 'round' in 'round-shaped'.
_START, _END = r'(?<![\w-])', r'(?![\w-])'
_ARTICLE = re.compile(r'\b(an?)(\s+)$', re.IGNORECASE)


def capital(words: str) -> str:
    """The words with a capital first letter."""
    return words[:1].upper() + words[1:]


def like(new: str, old: str) -> str:
    """``new`` with capitals where ``old`` has them: all, the first, or none."""
    if len(old) > 1 and old.isupper():
        return new.upper()
    return capital(new) if old[:1].isupper() else new


def agree(before: str, word: str) -> str:
    """The text before a word, with "a" or "an" as the word wants it where it ends in one."""
    match = _ARTICLE.search(before)
    if not match:
        return before
    vowel = re.match(r'(?!one|uni)[aeiou]|8|11(?!\d)', word, re.IGNORECASE)
    return before[: match.start()] + match[1][0] + ('n' if vowel else '') + match[2]


def whole_words(phrases: Iterable[str]) -> re.Pattern:
    """Pattern of any of some phrases as whole words, in any case; ``*`` in a phrase is any word part."""
    longest_first = sorted(phrases, key=len, reverse=True)
    forms = [re.escape(phrase).replace(r'\*', r'\w+').replace(r'\ ', r'\s+') for phrase in longest_first]
    return re.compile(f'{_START}(?:{"|".join(forms)}){_END}' if forms else r'(?!)', re.IGNORECASE)


def exchange(text: str, pattern: re.Pattern, new: Callable[[str], str]) -> str:
    """A sentence with every match of a pattern exchanged, capitals and articles kept right.

    Args:
        text: the sentence.
        pattern: what is exchanged.
        new: from a match, in lower case and with single spaces, to what stands in its place.
    """
    pieces, end = [], 0
    for match in pattern.finditer(text):
        word = like(new(' '.join(match[0].lower().split())), match[0])
        pieces += [agree(text[end : match.start()], word), word]
        end = match.end()
    return ''.join([*pieces, text[end:]])
