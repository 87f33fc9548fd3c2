"""The tests on other versions of Python, of torch and of the stack, and the audits.

pipx run nox -s tests-3.12                      newest versions that pip finds
pipx run nox -s lowest                          oldest versions that the package means to run on
pipx run nox -s openmmlab -- mmcv-2.1.0-....whl OpenMMLab's own stack, with an mmcv compiled before
pipx run nox -s audit                           pip-audit and bandit
Arguments after -- go to pytest: pipx run nox -s tests-3.13 -- tests/datasets
"""

import nox

nox.options.sessions = ['tests']
nox.options.default_venv_backend = 'uv|venv'  # uv installs in a minute what pip takes ten for

EXTRAS = 'data,eval,export,web,dev'
LOWEST = (
    'torch==2.8.0',
    'transformers==4.41.0',
    'onedl-mmengine==0.10.8',
    'onedl-mmcv==2.3.1',
    'onedl-mmsegmentation==1.4.0',
)


def _pytest(session: nox.Session, arguments: list[str]) -> None:
    session.run(
        'pytest', '-n', 'auto', '--maxprocesses', '8', '--dist', 'loadfile', '-m', 'not shared_data', *arguments,
        env={'HF_HUB_OFFLINE': '1'},
    )  # fmt: skip


@nox.session(python=['3.10', '3.11', '3.12', '3.13'])
def tests(session: nox.Session) -> None:
    """OneDL's stack, newest versions."""
    session.install('-e', f'.[onedl,{EXTRAS}]')
    _pytest(session, session.posargs)


@nox.session(python='3.10')
def lowest(session: nox.Session) -> None:
    """OneDL's stack, oldest versions."""
    session.install(*LOWEST, '-e', f'.[onedl,{EXTRAS}]')
    _pytest(session, session.posargs)


@nox.session(python='3.11')
def openmmlab(session: nox.Session) -> None:
    """OpenMMLab's own stack; the first argument is the wheel of its mmcv."""
    wheel, *arguments = session.posargs or session.error('give the mmcv wheel: nox -s openmmlab -- WHEEL')
    session.install('torch', wheel, '-e', f'.[openmmlab,{EXTRAS}]', '-c', 'constraints.txt')
    _pytest(session, arguments)


@nox.session(python='3.11')
def audit(session: nox.Session) -> None:
    """Known vulnerabilities of the dependencies, and patterns of unsafe code."""
    session.install('-e', f'.[onedl,{EXTRAS}]', '-c', 'constraints.txt')
    session.install('pip-audit', 'bandit')
    session.run('bandit', '-r', 'mmseg_textseg', 'tools', '-ll', '-q')
    session.run('pip-audit', '--skip-editable')
