"""Language-vision loss of LViT (III-C): masks of images without labels, guided by labelled ones of a like sentence."""

from collections import deque

import torch
import torch.nn.functional as F
from mmseg.registry import MODELS
from torch import Tensor, nn

from ..losses.binary import binary_terms


def most_similar(texts: Tensor, known: Tensor) -> Tensor:
    """For each text the known one of the largest TextSim, the cosine.

    Args:
        texts: (U, C).
        known: (K, C), K of at least 1; of equal ones the first.

    Returns:
        Indices into ``known``, (U,).
    """
    return (F.normalize(texts, dim=1) @ F.normalize(known, dim=1).T).argmax(1)


def lv_loss(prob: Tensor, contrastive: Tensor) -> Tensor:
    """L_LV = 1 - ImgSim(p, c), ImgSim the cosine of both masks as vectors, mean over images.

    Args:
        prob: predicted probabilities p (U, H, W).
        contrastive: labels c (U, H, W) of 0 and 1. An empty one has no direction: it adds 1 and no gradient.
    """
    return (1 - F.cosine_similarity(prob.flatten(1), contrastive.flatten(1), dim=1)).mean()


@MODELS.register_module()
class LVLoss(nn.Module):
    """L_LV of the unlabelled images of a batch; for ``LViTHead(loss_lv=...)``.

    The contrastive label of an image is the mask of the labelled image with the most similar sentence,

        c = mask of argmax_k cos(t, t_k),    L_LV = 1 - cos(p, c),

    t the mean of a sentence's tokens. The labelled images are the last ``bank_size`` that training met, the batch's
    included; they are kept on this module while training (each process has its own), and in the checkpoints of
    ``TextSegRunner``. Their text is that of the moment when they were met, which is exact where the text encoder is
    frozen.

    Args:
        bank_size: labelled images to choose among.
        loss_weight: alpha, 0.1 in the paper.
        loss_name: key in the log.
    """

    def __init__(self, bank_size: int = 64, loss_weight: float = 0.1, loss_name: str = 'loss_lv'):
        super().__init__()
        if bank_size < 1:
            raise ValueError(f'bank_size must be at least 1, got {bank_size}')
        self.bank: deque[tuple[Tensor, Tensor]] = deque(maxlen=bank_size)  # text (C,), mask (H, W) bool
        self.loss_weight = loss_weight
        self.loss_name = loss_name

    def forward(
        self, logits: Tensor, target: Tensor, text: Tensor, labelled: Tensor, ignore_index: int | None = 255
    ) -> Tensor:
        """Weighted scalar loss; 0 where no image is unlabelled, or none with a label was met yet.

        Args:
            logits: (B, 1, H, W), or (B, 2, H, W) with the foreground second.
            target: masks (B, H, W); those of unlabelled images are not looked at.
            text: pooled sentences (B, C).
            labelled: (B,) bool.
            ignore_index: of ``target``; counts as background in a contrastive label.
        """
        logit, truth, _ = binary_terms(logits, target, ignore_index=ignore_index)
        # In bfloat16 the cosines of sentences, all near 1, would be the same.
        with torch.autocast(logit.device.type, enabled=False):
            text = text.detach().to(torch.promote_types(text.dtype, torch.float32))
            self.bank.extend((text[i], truth[i].bool()) for i in labelled.nonzero().squeeze(1).tolist())
            if not self.bank or bool(labelled.all()):
                return logit.sum() * 0
            known = torch.stack([one.to(text) for one, _ in self.bank])
            chosen = most_similar(text[~labelled], known).tolist()
            masks = torch.stack([_resized(self.bank[i][1].to(logit), logit.shape[1:]) for i in chosen])
            return self.loss_weight * lv_loss(logit[~labelled].sigmoid(), masks)

    def resume_state(self) -> list[tuple[Tensor, Tensor]]:
        """The bank, for a checkpoint."""
        return list(self.bank)

    def resume_from(self, state: list[tuple[Tensor, Tensor]]) -> None:
        """Take the bank of the training that is gone on with."""
        self.bank.clear()
        self.bank.extend(state)


def _resized(mask: Tensor, size: torch.Size) -> Tensor:
    """A mask (H, W) at another size, by nearest neighbours."""
    return mask if mask.shape == size else F.interpolate(mask[None, None], size=size, mode='nearest-exact')[0, 0]
