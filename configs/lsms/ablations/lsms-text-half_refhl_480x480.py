# LSMS (1/2), Table II: trained with whole expressions, tested with 1/2 of what each says (docs/datasets.md).
#   python tools/train.py configs/lsms/ablations/lsms-text-half_refhl_480x480.py
# The weights are the full model's: with a checkpoint of it at hand, test that.
#   python tools/test.py configs/lsms/lsms_refhl_480x480.py CHECKPOINT --out DIR --partial-text 0.5
# Paper: in Table II, whose figures are not in its text; with all of it 78.34, 70.31.
# Not run here: RefHL-Seg is private. On the phantom: docs/ablations.md.
_base_ = '../lsms_refhl_480x480.py'
test_dataloader = dict(dataset=dict(partial_text=0.5))
