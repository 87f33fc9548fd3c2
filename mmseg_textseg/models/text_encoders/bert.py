"""BERT as the text encoder: pretrained by name or folder, or small and from scratch."""

import hashlib
import json
import os

import numpy as np
import torch
from mmengine.logging import print_log
from mmseg.registry import MODELS
from torch import Tensor

from ...tokenization import TokenizerSource, fingerprint, load_tokenizer, vocab_source
from ..layers.strict_init import StrictInitModule
from ..text_features import TextFeatures
from .errors import TextEncoderError
from .text_cache import TextCache, matmul_precision

# What a checkpoint keeps of BertConfig, so that the encoder can be built again.
ARCH_KEYS = (
    'hidden_size',
    'num_hidden_layers',
    'num_attention_heads',
    'intermediate_size',
    'vocab_size',
    'max_position_embeddings',
    'type_vocab_size',
    'hidden_act',
    'layer_norm_eps',
    'hidden_dropout_prob',
    'attention_probs_dropout_prob',
)
# What BertConfig says of where it comes from.
NO_SHAPE = ('_name_or_path', 'architectures', 'dtype', 'torch_dtype', 'transformers_version')
# Hub names whose shape is BertConfig's default, 768 wide: building a model must not touch the network.
BERT_BASE = ('bert-base-uncased', 'google-bert/bert-base-uncased')


@MODELS.register_module()
class BertTextEncoder(StrictInitModule):
    """Last hidden state of BERT (LSMS III-B: 12 layers, 768 wide, trained with the rest).

    Building it needs neither network nor weights; ``init_weights`` loads them.

    Args:
        pretrained: hub name or local folder with a BERT; None trains one from scratch.
        tokenizer: a source as in :mod:`mmseg_textseg.tokenization`. Default: that of ``pretrained``.
            Its vocabulary is kept in the state dict, so that a checkpoint is complete by itself.
        arch: ``transformers.BertConfig`` arguments, e.g. ``dict(hidden_size=128, num_hidden_layers=2,
            num_attention_heads=2, intermediate_size=256)``. Needed from scratch, or to shape a hub
            name whose config is not cached.
        frozen: no gradient, no dropout, no autograd graph; kept so by ``train()``. A sentence is then encoded once,
            and its features are kept in memory (:class:`TextCache`).
        cache: folder that keeps the features of a frozen encoder for later runs too, e.g. ``'work_dirs/text_cache'``.
            It may be shared by runs, models and processes: features are found by weights, shape and vocabulary.
        init_cfg: ``dict(type='StrictPretrained', checkpoint=..., prefix='text_encoder.')`` takes the weights that
            another run trained, e.g. MPTPN's stage 1, instead of those of ``pretrained``.
    """

    def __init__(
        self,
        pretrained: str | None = 'bert-base-uncased',
        tokenizer: TokenizerSource | None = None,
        arch: dict | None = None,
        frozen: bool = False,
        cache: str | None = None,
        init_cfg: dict | None = None,
    ):
        super().__init__(init_cfg)
        from transformers import BertModel

        if pretrained is None and (tokenizer is None or arch is None):
            raise TextEncoderError(
                'BertTextEncoder(pretrained=None) trains from scratch and needs tokenizer= (for example '
                "dict(build_from='train.jsonl')) and arch= (for example dict(hidden_size=128, num_hidden_layers=2, "
                'num_attention_heads=2, intermediate_size=256))'
            )
        if frozen and pretrained is None and init_cfg is None:
            raise TextEncoderError('BertTextEncoder(frozen=True, pretrained=None) would freeze random weights')
        if cache is not None and not frozen:
            raise TextEncoderError(
                f'BertTextEncoder(cache={cache!r}) needs frozen=True: features of an encoder that is trained change '
                'with every step. Set model.text_encoder.frozen=True, or cache=None'
            )
        self.pretrained = pretrained
        self.tokenizer_source = pretrained if tokenizer is None else tokenizer
        config = self._config(pretrained, self.tokenizer_source, dict(arch or {}))
        self.bert = BertModel(config, add_pooling_layer=False)
        self.out_channels: int = config.hidden_size
        self.frozen = frozen
        self.cache = TextCache(cache) if frozen else None
        self._asked = True  # the mode that train() was last asked for
        if frozen:
            self.requires_grad_(False)
            self.eval()

    @staticmethod
    def _config(pretrained: str | None, tokenizer: TokenizerSource, arch: dict):
        from transformers import AutoConfig, BertConfig

        if pretrained is None:
            return BertConfig(**{**arch, 'vocab_size': len(load_tokenizer(tokenizer)), 'pad_token_id': 0})
        try:
            config = AutoConfig.from_pretrained(pretrained, local_files_only=True, trust_remote_code=False, **arch)
        except (OSError, ValueError) as error:
            if os.path.isdir(pretrained) or not (arch or pretrained in BERT_BASE):
                raise TextEncoderError(
                    f"no BERT config.json to be read for text encoder '{pretrained}' "
                    f'({str(error).splitlines()[0]}). For a hub name that is not cached yet give its shape as '
                    'arch=dict(hidden_size=..., num_hidden_layers=..., num_attention_heads=..., '
                    'intermediate_size=..., vocab_size=...); for a folder check that it holds config.json.'
                ) from error
            config = BertConfig(**arch)
        if config.model_type != 'bert':
            raise TextEncoderError(
                f"text encoder '{pretrained}' is a {config.model_type!r} model; BertTextEncoder takes BERT ones"
            )
        return config

    @property
    def fingerprint(self) -> str:
        """Names the vocabulary this encoder was built for."""
        return fingerprint(self.tokenizer_source)

    def init_weights(self) -> None:
        """Load pretrained weights; from scratch, ``transformers`` has drawn them at construction.

        Raises:
            TextEncoderError: the weights cannot be had, or do not fill every parameter.
        """
        if self.is_init:
            return
        if self.init_cfg is not None:
            super().init_weights()
            return
        if self.pretrained is None:
            return
        from transformers import BertModel
        from transformers.utils import logging

        verbosity = logging.get_verbosity()
        # Its report of unused keys (the pooler) reads like a failure; what matters is checked below.
        logging.set_verbosity_error()
        try:
            loaded, report = BertModel.from_pretrained(
                self.pretrained, add_pooling_layer=False, config=self.bert.config, output_loading_info=True
            )
        except (OSError, ValueError, RuntimeError) as error:
            raise TextEncoderError(
                f"weights of text encoder '{self.pretrained}' are neither a local folder nor to be had from the hub "
                f'({str(error).splitlines()[0]}). Set model.text_encoder.pretrained to a folder with a BERT, '
                'or to None with a tokenizer and an arch: docs/text_encoders.md'
            ) from error
        finally:
            logging.set_verbosity(verbosity)
        absent = sorted(report['missing_keys'])
        if absent:
            raise TextEncoderError(
                f"the weights in '{self.pretrained}' do not fill its own config: absent {', '.join(absent[:5])}"
                f'{f" and {len(absent) - 5} more" if len(absent) > 5 else ""}. Is the download complete, and is '
                'config.json (or arch=) of the same model?'
            )
        self.bert.load_state_dict(loaded.state_dict(), strict=True)
        self.is_init = True
        print_log(f"text encoder: {len(loaded.state_dict())} tensors from '{self.pretrained}'", logger='current')

    def train(self, mode: bool = True) -> 'BertTextEncoder':
        """Switch dropout; a frozen encoder stays in evaluation mode."""
        if self.cache is not None and mode != self._asked:
            self.cache.write()  # between training and validation; the Runner calls it before each iteration too
        self._asked = mode
        return super().train(mode and not self.frozen)

    def forward(self, ids: Tensor, mask: Tensor) -> TextFeatures:
        """Encode a batch.

        Args:
            ids: token ids (B, T), int64.
            mask: (B, T) bool, True = a real token.

        Returns:
            TextFeatures with tokens (B, T, C); padding positions are zero.
        """
        with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
            # A row without any token would leave its softmax nothing to sum over; its output is zeroed below.
            attend = mask | ~mask.any(1, keepdim=True)
            tokens = self.bert(input_ids=ids, attention_mask=attend.long()).last_hidden_state
            return TextFeatures.from_tokens(tokens * mask.unsqueeze(-1).to(tokens.dtype), mask)

    def null(self, batch: int, length: int = 20, like: Tensor | None = None) -> TextFeatures:
        """Features of ``batch`` sentences without tokens, for tensor mode (FLOPs, export)."""
        like = self.bert.embeddings.word_embeddings.weight if like is None else like
        return TextFeatures.empty(batch, length, self.out_channels, like)

    def identity(self) -> dict:
        """All that features depend on: shape, weights, vocabulary and precision. Reads every weight."""
        config, weights = self.bert.config.to_diff_dict(), hashlib.sha256()
        for name, value in self.bert.state_dict().items():
            weights.update(f'{name} {value.dtype} {tuple(value.shape)}'.encode())
            weights.update(value.detach().cpu().flatten().view(torch.uint8).numpy())
        return dict(
            arch={key: value for key, value in config.items() if key not in NO_SHAPE},
            weights=weights.hexdigest(),
            tokenizer=self.fingerprint,
            precision=matmul_precision(),
        )

    def get_extra_state(self) -> Tensor:
        """What it takes to build this encoder again: vocabulary and shape, as bytes in a uint8 tensor."""
        config = self.bert.config.to_dict()
        state = dict(
            pretrained=self.pretrained,
            tokenizer=vocab_source(self.tokenizer_source),
            arch={key: config[key] for key in ARCH_KEYS},
            fingerprint=self.fingerprint,
        )
        return torch.from_numpy(np.frombuffer(json.dumps(state).encode(), dtype=np.uint8).copy())

    def set_extra_state(self, state: Tensor) -> None:
        """Refuse a checkpoint of another vocabulary.

        Raises:
            TextEncoderError: token ids would mean other words than they did in training.
        """
        stored = read_encoder(state)
        ours, theirs = self.fingerprint, stored['fingerprint']
        # A hub name and a folder cannot be compared without the network; the weights compare their sizes.
        both_named = isinstance(stored['tokenizer'], str) and isinstance(self.tokenizer_source, str)
        comparable = not both_named or ours.startswith('vocab:') == theirs.startswith('vocab:')
        # The hub knows some models by two names: 'bert-base-uncased', 'google-bert/bert-base-uncased'.
        names = [name.removeprefix('pretrained:').split('/')[-1] for name in (ours, theirs)]
        if comparable and names[0] != names[1]:
            raise TextEncoderError(
                f'the checkpoint was trained with vocabulary {theirs}, the model is built with {ours}. Load it through '
                'tools/test.py, tools/predict.py or TextSegInferencer, which take the vocabulary from the checkpoint, '
                'or keep the training text that the tokenizer was built from unchanged. To go on training from it with '
                'other text, keep its vocabulary: model.text_encoder.tokenizer=dict(vocab=...) of its dumped config.'
            )


def read_encoder(state: Tensor) -> dict:
    """pretrained, tokenizer, arch and fingerprint out of a checkpoint's ``text_encoder._extra_state``."""
    return json.loads(bytes(state.to(torch.uint8).cpu().numpy()).decode())
