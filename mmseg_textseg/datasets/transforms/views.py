"""Two views of an image with one caption, for contrastive pretraining (MPTPN, section 3.2.1)."""

from collections.abc import Callable, Iterator, Sequence

from mmcv.transforms import BaseTransform, Compose
from mmcv.transforms.utils import avoid_cache_randomness
from mmengine.registry import DefaultScope
from mmseg.registry import TRANSFORMS

from .formatting import PackTextSegInputs, channels_first

# Parts of the names of transforms that move pixels: MMSegmentation's, mmcv's, and common ones of torchvision and of
# albumentations, which Albu wraps.
MOVING = (
    *('affine', 'crop', 'elastic', 'flip', 'griddistortion', 'mosaic', 'opticaldistortion', 'pad', 'perspective'),
    *('rescale', 'resize', 'rot90', 'rotat', 'shear', 'testtimeaug', 'translat', 'transpose', 'warp'),
)


@TRANSFORMS.register_module()
@avoid_cache_randomness
class TwoViews(BaseTransform):
    """Run a photometric pipeline twice on the image; all else, the caption too, is shared.

    Both runs draw anew and start from a copy of the image; of what they return, only the image is kept. Transforms
    that move pixels are refused, because captions tell positions ("the dog on the left") and MPTPN leaves flips and
    crops out. They are known by their name, by the name of a base class, and inside of wrappers (``RandomApply``,
    ``RandomChoice``, ``Compose``, ``Albu``, ...); a nameless function that flips passes unnoticed.

    Required Keys:

    - img

    Added Keys:

    - views (list of two np.ndarray of the shape and type of img)

    Args:
        transforms: the pipeline of one view, dicts or callables. Without a default scope, names are looked up in
            MMSegmentation's registry, also inside of mmcv's wrappers.

    Raises:
        ValueError: if a transform moves pixels, or gives an image of another shape or type.
    """

    def __init__(self, transforms: Sequence[dict | Callable]) -> None:
        # mmcv's wrappers build what they hold from mmengine's root registry, which finds our transforms only by scope.
        scope = None if DefaultScope.get_current_instance() else 'mmseg'
        with DefaultScope.overwrite_default_scope(scope):
            self.transforms = Compose(transforms)
        names = dict.fromkeys(transform_names(self.transforms))
        moving = [name for name in names if any(part in name.lower() for part in MOVING)]
        if moving:
            raise ValueError(
                f'TwoViews: {", ".join(moving)} would move pixels, but both views share one caption, and captions tell '
                'positions: leave flips, crops, rotations and resizes out (a resize belongs before TwoViews)'
            )

    def transform(self, results: dict) -> dict | None:
        """Add ``results['views']``; None if the pipeline gives the sample up."""
        image = results['img']
        views = []
        for _ in range(2):
            # A view may write into its image.
            view = self.transforms({**results, 'img': image.copy()})
            if view is None:
                return None
            views.append(view['img'])
            if (views[-1].shape, views[-1].dtype) != (image.shape, image.dtype):
                raise ValueError(
                    f'TwoViews: {results.get("img_path", "the image")} is {image.dtype} of shape {image.shape}, its '
                    f'view {views[-1].dtype} of shape {views[-1].shape}; views change colours only (RandomGrayscale '
                    'needs keep_channels=True)'
                )
        results['views'] = views
        return results

    def __repr__(self) -> str:
        return f'{self.__class__.__name__}(transforms={self.transforms})'


@TRANSFORMS.register_module()
class PackViews(PackTextSegInputs):
    """PackTextSegInputs for the two views of an image.

    Required Keys:

    - views (list of two np.uint8, H x W x 3)
    - the optional keys of PackTextSegInputs; ``img`` is not packed

    Added Keys:

    - inputs (list of two torch.Tensor, uint8, 3 x H x W)
    - data_samples (SegDataSample, as PackTextSegInputs makes it)

    Args:
        meta_keys: as in PackTextSegInputs.

    Raises:
        ValueError: if there are no two views of one size, uint8 with three channels; and as PackTextSegInputs.
    """

    def transform(self, results: dict) -> dict:
        """Pack ``results``."""
        views = results.get('views', ())
        kinds = [(view.shape, str(view.dtype)) for view in views]
        if len(views) != 2 or kinds[0] != kinds[1] or kinds[0] != ((*views[0].shape[:2], 3), 'uint8'):
            raise ValueError(
                f'PackViews: {results.get("img_path", "sample")} has views {kinds}; expected two of one shape '
                'H x W x 3 in uint8, as TwoViews gives'
            )
        packed = super().transform({key: value for key, value in results.items() if key != 'img'})
        packed['inputs'] = [channels_first(view) for view in views]
        return packed


def transform_names(transform: object) -> Iterator[str]:
    """Names of a transform, of its base classes and of all that it holds."""
    if isinstance(transform, (list, tuple)):
        held = transform
    elif isinstance(transform, dict):  # Albu keeps its configs
        kind, held = transform.get('type', ''), transform.get('transforms', ())
        yield kind if isinstance(kind, str) else kind.__name__
    else:
        held = getattr(transform, 'transforms', ())
        # A class that moves pixels may be subclassed under any name.
        yield from (kind.__name__ for kind in type(transform).__mro__)
        yield getattr(transform, '__name__', '')
    for one in held if isinstance(held, (list, tuple)) else (held,):
        yield from transform_names(one)
