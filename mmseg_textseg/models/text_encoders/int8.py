"""Linear layers of a text encoder in 8-bit integers, for prediction on a CPU."""

import warnings

import torch
from torch import nn

from .errors import TextEncoderError
from .text_cache import TextCache


def quantize_text_encoder(encoder: nn.Module) -> nn.Module:
    """Replace the linear layers of a loaded text encoder by dynamically quantised ones, in place.

    Weights become int8 with a scale an output channel, activations are quantised as they come. Embeddings, norms and
    softmax stay in float32. The model is for prediction from then on: it gives no state dict and takes none, so that
    no checkpoint is changed by it.

    Args:
        encoder: e.g. :class:`BertTextEncoder`, with its weights, on the CPU, in float32.

    Returns:
        ``encoder``, in evaluation mode and without gradients.

    Raises:
        TextEncoderError: another device or precision, quantised already, or a PyTorch without int8 for this CPU.
    """
    weights = list(encoder.parameters())
    devices, dtypes = {w.device.type for w in weights}, {w.dtype for w in weights}
    if devices != {'cpu'} or dtypes != {torch.float32}:
        found = ', '.join(sorted(devices | {str(dtype) for dtype in dtypes}))
        raise TextEncoderError(
            f'an int8 text encoder runs on a CPU and is made of float32 weights, found {found}: '
            "give device='cpu' (--device cpu), or leave out text_int8 (--text-int8)"
        )
    if not any(isinstance(module, nn.Linear) for module in encoder.modules()):
        raise TextEncoderError(f'{type(encoder).__name__} has no float linear layer: is it quantised already?')
    try:
        from torch.ao.quantization import per_channel_dynamic_qconfig, quantize_dynamic
    except ImportError as error:  # deprecated in favour of torchao
        raise TextEncoderError(
            f'PyTorch {torch.__version__} has no dynamic quantisation any more; leave out text_int8 (--text-int8)'
        ) from error
    if set(torch.backends.quantized.supported_engines) <= {'none'}:
        raise TextEncoderError('this PyTorch has no int8 engine for this CPU; leave out text_int8 (--text-int8)')
    with warnings.catch_warnings():
        warnings.simplefilter('ignore')  # of its deprecation, and of its own reduced range
        quantize_dynamic(encoder, {nn.Linear: per_channel_dynamic_qconfig}, inplace=True)
    encoder.requires_grad_(False)
    encoder.cache = TextCache()  # files are of the float weights
    encoder.register_state_dict_pre_hook(_refuse)
    encoder.register_load_state_dict_pre_hook(_refuse)
    return encoder


def _refuse(*_) -> None:
    raise TextEncoderError('an int8 text encoder is for prediction: save or load the float model, then quantise it')
