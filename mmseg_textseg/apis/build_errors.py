"""A mistake in a config, found when the part that it describes is built: which part, and what it takes."""

import inspect
import re
import traceback
from difflib import get_close_matches
from types import FrameType

# mmengine's functions that call a class with what a config says.
BUILDERS = ('build_from_cfg', 'build_dataloader')
UNKNOWN_OPTION = re.compile(r"unexpected keyword argument '(\w+)'")


def said_of_a_part(error: Exception) -> str | None:
    """What is wrong with the config, where an error came from the construction of one of its parts.

    That is a refused value (ValueError, AssertionError), or a class or option that there is not. Another error from
    inside a constructor is no mistake of the user.

    Args:
        error: with its traceback.

    Returns:
        A sentence that names the part and its class, what is wrong, and what was expected; ``None`` for an error from
        elsewhere.
    """
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    builders = [frame for frame in frames if _builds(frame)]
    if not builders:
        return None
    called = isinstance(error, (KeyError, TypeError)) and builders[-1] is frames[-1]
    option = isinstance(error, TypeError) and UNKNOWN_OPTION.search(str(error))
    refused = isinstance(error, (AssertionError, ValueError))
    return _said(error, builders[-1]) if called or option or refused else None


def _builds(frame: FrameType) -> bool:
    return frame.f_code.co_name in BUILDERS and frame.f_globals.get('__name__', '').startswith('mmengine.')


def _said(error: Exception, frame: FrameType) -> str:
    if frame.f_code.co_name == 'build_dataloader':
        return f'a dataloader of the config cannot be built: {_with_options(error, _dataloader_options())}'
    cfg = frame.f_locals.get('cfg') or {}
    name, kind = cfg.get('type'), frame.f_locals.get('obj_cls')
    if name is None:
        return f'{_short(dict(cfg))} in the config has no type: name its class, or mend the key above it'
    if kind is None:
        registry = frame.f_locals['registry']
        known = [entry for one in (registry, registry.parent) if one is not None for entry in one.module_dict]
        near = get_close_matches(str(name), known)
        mend = f'did you mean {" or ".join(near)}?' if near else 'import the module that registers it: custom_imports'
        return f'type={name!r} in the config is the name of no {registry.name} that is registered: {mend}'
    return f"the config's {name} cannot be built: {_with_options(error, options_of(kind))}"


def _with_options(error: Exception, known: list[str]) -> str:
    """The message, for an unknown option with those that there are."""
    text = str(error.args[0]) if error.args else type(error).__name__
    match = UNKNOWN_OPTION.search(text)
    if not match or not known:
        return text
    near = get_close_matches(match[1], known, n=1)
    hint = f'did you mean {near[0]}? ' if near else ''
    return f'no option {match[1]!r}: {hint}It takes {", ".join(known)}'


def options_of(kind: type) -> list[str]:
    """Names of the options of a class, those that it hands on to its parents included."""
    names: dict[str, None] = {}
    for one in inspect.getmro(kind) if inspect.isclass(kind) else (kind,):
        init = vars(one).get('__init__') if inspect.isclass(one) else one
        if init is None:
            continue
        parameters = inspect.signature(init).parameters.values()
        names.update(dict.fromkeys(p.name for p in parameters if p.name != 'self' and p.kind is not p.VAR_KEYWORD))
        if all(p.kind is not p.VAR_KEYWORD for p in parameters):
            break
    return [name for name in names if name not in ('args', 'kwargs')]


def _dataloader_options() -> list[str]:
    from torch.utils.data import DataLoader

    return options_of(DataLoader)


def _short(value: object, most: int = 100) -> str:
    text = repr(value)
    return text if len(text) <= most else f'{text[:most]}...'
