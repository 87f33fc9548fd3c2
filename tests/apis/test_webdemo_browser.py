"""The web page in a real browser: Chromium without a window, driven by selenium. Skipped where they are missing."""

import json
import shutil
import time
import urllib.request
from collections import Counter
from pathlib import Path

import cv2
import nibabel as nib
import numpy as np
import pytest

from mmseg_textseg.apis.examples import read_examples
from mmseg_textseg.apis.webdemo import WebDemo

pytest.importorskip('gradio')
webdriver = pytest.importorskip('selenium.webdriver')
CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='needs chromium and chromedriver'),
]
LEFT = 'The lesion in the left lobe.'
PATIENCE = 60


@pytest.fixture(scope='module')
def demo(segment, tmp_path_factory) -> WebDemo:
    return WebDemo(segment, tmp_path_factory.mktemp('web'))


@pytest.fixture(scope='module')
def examples(phantom) -> list:
    return read_examples(str(phantom / 'test.jsonl'))


@pytest.fixture(scope='module')
def address(demo, examples):
    from mmseg_textseg.apis.webpage import build_page, serve

    page = build_page(demo, examples, 'tiny model')
    yield serve(page, '127.0.0.1', None)
    page.close()


@pytest.fixture(scope='module')
def downloads(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp('downloads')


@pytest.fixture(scope='module')
def browser(downloads):
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in ('headless=new', 'no-sandbox', 'disable-dev-shm-usage', 'no-proxy-server', 'window-size=1200,1200'):
        options.add_argument(f'--{argument}')
    options.add_experimental_option('prefs', {'download.default_directory': str(downloads)})
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    driver = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    driver.set_page_load_timeout(PATIENCE)
    yield driver
    driver.quit()


class Page:
    """What a user sees and does."""

    def __init__(self, browser, address: str):
        self.browser, self.address = browser, address

    def find(self, css: str):
        return self.browser.find_elements('css selector', css)

    def wait(self, condition, what: str):
        """Until it is true: a page that is drawn anew loses its elements meanwhile."""
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            try:
                found = condition()
            except webdriver.support.expected_conditions.StaleElementReferenceException:
                found = None
            if found:
                return found
            time.sleep(0.1)
        raise AssertionError(f'{what} did not come')

    def upload(self, path) -> None:
        for button in self.find('#file button[aria-label="Clear"]'):
            button.click()
        self.wait(lambda: self.find('#file input[type=file]'), 'the file box')[0].send_keys(str(path))

    def write(self, text: str) -> None:
        (box,) = self.find('#text textarea')
        box.clear()
        box.send_keys(text)

    def press(self) -> None:
        self.find('#segment')[0].click()

    def set_slider(self, name: str, value: float) -> None:
        (box,) = self.find(f'#{name} input[type=number]')
        box.send_keys('\ue009a', '\ue000', str(value), '\ue004')  # all of it, and Tab to leave

    def picture(self, name: str) -> np.ndarray | None:
        """RGB of an image of the page."""
        images = self.find(f'#{name} img')
        return None if not images else fetch(images[0].get_attribute('src'))[..., ::-1]

    def text(self, name: str) -> str:
        return ' '.join(element.text for element in self.find(f'#{name}'))


def fetch(url: str) -> np.ndarray:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    content = opener.open(url, timeout=PATIENCE).read()
    return cv2.imdecode(np.frombuffer(content, np.uint8), cv2.IMREAD_UNCHANGED)


@pytest.fixture
def page(browser, address) -> Page:
    browser.get(address)
    page = Page(browser, address)
    page.wait(lambda: page.find('#segment') and page.find('#file input[type=file]'), 'the page')
    return page


@pytest.fixture
def runs(segment, monkeypatch) -> Counter:
    """How often the model has run."""
    counts, predict = Counter(), segment.model.predict

    def counting(*args, **kwargs):
        counts['model'] += 1
        return predict(*args, **kwargs)

    monkeypatch.setattr(segment.model, 'predict', counting)
    return counts


def shows(page: Page, name: str, expected: np.ndarray):
    def same() -> bool:
        picture = page.picture(name)
        return picture is not None and picture.shape == expected.shape and np.array_equal(picture, expected)

    page.wait(same, f'the expected picture in #{name}')


def test_picture_sentence_mask(page, segment, phantom, runs, downloads):
    png = sorted((phantom / 'images').iterdir())[0]
    expected = segment(png, LEFT)
    page.upload(png)
    shows(page, 'shown', expected.picture)
    page.write(LEFT)
    runs.clear()
    page.press()
    shows(page, 'result', expected.above(0.5).overlay(0.4))
    assert runs['model'] == 1
    # Drawn anew, not run anew.
    page.set_slider('opacity', 1)
    shows(page, 'result', expected.above(0.5).overlay(1))
    low = round(float(np.quantile(expected.probability, 0.6)), 2)
    page.set_slider('threshold', low)
    other = expected.above(low)
    shows(page, 'result', other.overlay(1))
    assert f'{other.mask.sum():,} pixels' in page.text('said')
    assert runs['model'] == 1
    page.find('#mask')[0].click()
    file = downloads / f'{png.stem}_mask.png'
    page.wait(file.exists, 'the mask')
    assert np.array_equal(cv2.imread(str(file), cv2.IMREAD_UNCHANGED), other.mask * np.uint8(255))
    assert 'Not a medical device' in page.browser.page_source


def test_mistakes_are_shown_in_the_page_and_go_away(page, phantom, tmp_path):
    page.press()
    page.wait(lambda: 'Open a picture first' in page.text('problem'), 'the message')
    (tmp_path / 'notes.png').write_text('no picture')
    page.upload(tmp_path / 'notes.png')
    page.wait(lambda: 'notes.png is not a picture that can be read' in page.text('problem'), 'the message')
    page.upload(sorted((phantom / 'images').iterdir())[0])
    page.wait(lambda: page.find('#shown img') and not page.text('problem'), 'the picture')
    page.press()
    page.wait(lambda: 'Write a sentence' in page.text('problem'), 'the message')
    page.write('a zebra')
    page.press()
    page.wait(lambda: 'zebra' in page.text('note') and page.find('#result img'), 'the remark')
    assert not page.text('problem')


def test_slices_and_windows_of_a_volume(page, segment, tmp_path):
    values = np.random.default_rng(0).normal(100, 50, (6, 5, 4)).repeat(8, 0).repeat(8, 1)
    nib.save(nib.Nifti1Image(values.astype(np.int16), np.diag([-2.0, -3.0, 5.0, 1.0])), tmp_path / 'ct.nii.gz')
    assert not [element for element in page.find('#slice, #window') if element.is_displayed()]
    page.upload(tmp_path / 'ct.nii.gz')
    load = lambda number, window: segment.load(tmp_path / 'ct.nii.gz', dict(slice=number), window=window).shown  # noqa: E731
    shows(page, 'shown', load(2, 'p0.5,p99.5'))
    page.set_slider('slice', 1)
    shows(page, 'shown', load(1, 'p0.5,p99.5'))
    box = page.find('#window input')[0]
    box.send_keys('\ue009a', '\ue000', '90,60', '\ue007')
    shows(page, 'shown', load(1, '90,60'))
    page.write(LEFT)
    page.press()
    answer = segment(tmp_path / 'ct.nii.gz', LEFT, slice=1, window='90,60')
    shows(page, 'result', answer.above(0.5).overlay(0.4))
    assert f'{6 * answer.above(0.5).mask.sum():,} mm²' in page.text('said')
    box.send_keys('\ue009a', '\ue000', 'livr', '\ue007')
    page.wait(lambda: "window 'livr' is unknown" in page.text('problem'), 'the message')
    assert box.is_displayed(), 'it can be mended'


def test_an_example_is_opened_and_run(page, segment, examples):
    page.wait(lambda: len(page.find('#examples button')) == len(examples), 'the examples')
    page.find('#examples button')[-1].click()
    example = examples[-1]
    answer = segment(example.image, example.text)
    shows(page, 'result', answer.above(0.5).overlay(0.4))
    assert page.find('#text textarea')[0].get_attribute('value') == example.text
    assert 'mm²' in page.text('said')


def test_the_browser_asks_nobody_else(page, browser):
    """Over all that the tests before have done."""
    messages = [json.loads(entry['message'])['message'] for entry in browser.get_log('performance')]
    asked = [m['params']['request']['url'] for m in messages if m['method'] == 'Network.requestWillBeSent']
    assert any(url.startswith(page.address) for url in asked)
    assert [url for url in asked if not url.startswith((page.address, 'data:', 'blob:'))] == []
