"""Loss of MPTPN's stage 1 (3.2.1, Algorithm 1), SimSiam's."""

import torch
import torch.nn.functional as F
from torch import Tensor


def simsiam_loss(p1: Tensor, y2: Tensor, p2: Tensor, y1: Tensor) -> Tensor:
    """L = D(p1, stopgrad(y2)) + D(p2, stopgrad(y1)), D the negative cosine, mean over the batch.

    Args:
        p1, p2: predictions from the first and second view, (B, C).
        y1, y2: encodings of the views, (B, C); no gradient flows into them.

    Returns:
        Scalar between -2 (the views agree) and 2.
    """
    # In bfloat16 the cosines of the last phase, all near 1, would be the same.
    p1, y2, p2, y1 = (x.to(torch.promote_types(x.dtype, torch.float32)) for x in (p1, y2.detach(), p2, y1.detach()))
    return -(F.cosine_similarity(p1, y2, dim=1) + F.cosine_similarity(p2, y1, dim=1)).mean()
