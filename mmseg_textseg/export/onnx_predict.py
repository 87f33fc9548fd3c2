"""Segment a picture by a sentence:  python predict.py IMAGE ["the sentence"] MASK.png

Needs numpy, opencv-python, onnxruntime, tokenizers and the files of this folder. A text-free model takes no sentence.
"""

import json
import sys
from pathlib import Path

import cv2
import numpy as np
import onnxruntime

FOLDER = Path(__file__).resolve().parent
ABOUT = json.loads((FOLDER / 'export.json').read_text(encoding='utf-8'))
SESSION = onnxruntime.InferenceSession(str(FOLDER / ABOUT['model']), providers=['CPUExecutionProvider'])


def probabilities(picture: np.ndarray, sentences: list[str]) -> list[np.ndarray]:
    """A picture (H, W, 3), BGR uint8, and N sentences to N maps (H, W): how likely each pixel is meant."""
    small = cv2.resize(picture, ABOUT['image_size'][::-1])[..., ::-1].transpose(2, 0, 1).astype(np.float32)
    feed = {'image': np.stack([small] * max(1, len(sentences)))}
    if sentences:
        from tokenizers import Tokenizer

        encoded = Tokenizer.from_file(str(FOLDER / 'tokenizer.json')).encode_batch(sentences)
        feed['token_ids'] = np.array([e.ids for e in encoded], dtype=np.int64)
        feed['token_mask'] = np.array([e.attention_mask for e in encoded], dtype=bool)
    logits = [cv2.resize(one, picture.shape[1::-1]) for one in SESSION.run(['logit'], feed)[0]]
    return [0.5 + 0.5 * np.tanh(one / 2) for one in logits]  # the sigmoid, without overflow


if __name__ == '__main__':
    if len(sys.argv) != (4 if ABOUT['text'] else 3):
        sys.exit(__doc__)
    picture = cv2.imread(sys.argv[1])
    if picture is None:
        sys.exit(f'{sys.argv[1]} is not a picture that OpenCV reads')
    mask = probabilities(picture, sys.argv[2:-1])[0] > ABOUT['threshold']
    if not cv2.imwrite(sys.argv[-1], mask.astype(np.uint8) * 255):
        sys.exit(f'{sys.argv[-1]} could not be written')
