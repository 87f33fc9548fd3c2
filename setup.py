"""Package metadata. The MMSegmentation stack is an extra, never a hard requirement (docs/install.md)."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent


def read_version() -> str:
    """Read the version without importing the package, which would need torch and a stack."""
    text = (ROOT / 'mmseg_textseg' / 'version.py').read_text(encoding='utf-8')
    match = re.search(r"^__version__ = '([^']+)'", text, re.MULTILINE)
    if match is None:
        raise RuntimeError("mmseg_textseg/version.py: expected a line like __version__ = '0.1.0'")
    return match.group(1)


setup(
    name='mmseg_textseg',
    version=read_version(),
    description='Text-guided image segmentation as a plugin of MMSegmentation',
    license='Apache-2.0',
    python_requires='>=3.10',
    packages=find_packages(include=['mmseg_textseg*']),
    package_data={'mmseg_textseg.datasets.expressions': ['templates/*.yaml']},
    install_requires=[
        'torch>=2.8',
        'transformers>=4.41',
        'tokenizers',
        'safetensors',
        'huggingface_hub',
        'einops',
        'numpy',
        'opencv-python',
        'pillow',
        'scipy',
        'openpyxl',
        'prettytable',
        'tqdm',
    ],
    extras_require={
        # Both stacks own site-packages/{mmengine,mmcv,mmseg}, so exactly one of these two.
        # Before 1.4, onedl-mmsegmentation imports mmcv.ops, which no wheel of onedl-mmcv on PyPI has compiled.
        'onedl': ['onedl-mmengine>=0.10.8', 'onedl-mmcv>=2.3.1', 'onedl-mmsegmentation>=1.4.0'],
        # mmsegmentation 1.2.2 refuses mmcv 2.2 and imports ftfy and regex without requiring them;
        # mmengine 0.10.7 needs pkg_resources, which newer setuptools no longer have.
        'openmmlab': [
            'mmengine>=0.10.7',
            'mmcv>=2.1.0,<2.2.0',
            'mmsegmentation>=1.2.2',
            'ftfy',
            'regex',
            'setuptools<81',
        ],
        # Reading and preparing data: CT and MRI, converters, tools/make_expressions.py, tools/doctor.py.
        'data': ['nibabel', 'pydicom', 'pycocotools', 'defusedxml', 'scikit-image', 'ImageHash'],
        # Comparing runs: tools/leaderboard.py, tools/audit_text.py; boundary measures (HD95, ASSD).
        'eval': ['pandas', 'statsmodels', 'matplotlib', 'monai'],
        # tools/export.py
        'export': ['onnx', 'onnxscript', 'onnxruntime'],
        # tools/webdemo.py
        'web': ['gradio>=6'],
        'dev': ['pytest', 'pytest-cov', 'pytest-xdist', 'hypothesis', 'ruff', 'scikit-learn', 'torchmetrics'],
    },
)
