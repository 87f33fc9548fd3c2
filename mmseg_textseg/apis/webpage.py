"""The page of tools/webdemo.py: a picture and a sentence in, the mask over the picture out.

Nothing is loaded from elsewhere and nothing is sent anywhere: no analytics, no shared link, no fonts of a CDN, no
history in the browser.
"""

import inspect
import os

from .inferencer import Query
from .webdemo import Opened, UserError, WebDemo, summary

MOST_BYTES = 500 * 2**20  # of a file that a user opens
DISCLAIMER = 'For research only. Not a medical device: not for diagnosis or treatment.'
CSS = """
.gradio-container, .gradio-container main {width: 100% !important; max-width: 1120px !important; margin: 0 auto}
.picture img {width: 100%; height: 100%; object-fit: contain}
#file {height: 128px; min-height: 128px}
#file .icon-wrap {display: none}
#examples .grid-wrap {height: auto; min-height: 0; max-height: none; overflow: hidden}
#examples .thumbnail-item {display: block; height: auto; aspect-ratio: auto; border: 1px solid #e5e7eb}
#examples .thumbnail-item img {height: auto; aspect-ratio: 1}
#examples .caption-label {position: static; max-width: none; white-space: normal; font-size: 13px; box-shadow: none}
#examples .caption-label {opacity: 1 !important}
.problem {background: #fdecea; border: 1px solid #e6483d; border-radius: 8px; padding: 10px 14px}
.problem, .problem * {color: #8c1d18 !important}
.note, .note * {color: #8a5a00 !important; font-size: 14px}
.foot, .foot * {color: #6b7280 !important; font-size: 14px}
footer {display: none !important}
"""


def _gradio():
    os.environ['GRADIO_ANALYTICS_ENABLED'] = 'False'  # some of its calls look here, before any page is made
    try:
        import gradio
    except ModuleNotFoundError as error:
        if error.name != 'gradio':
            raise
        raise ImportError("the web page needs gradio: pip install 'mmseg_textseg[web]'", name='gradio') from error
    return gradio


def build_page(demo: WebDemo, examples: list[Query], title: str):
    """The page as ``gradio.Blocks``.

    Args:
        demo: what the page does.
        examples: to be clicked.
        title: names the model.

    Raises:
        ImportError: without gradio.
        UserError: an example cannot be read.
    """
    gr = _gradio()
    os.environ['GRADIO_TEMP_DIR'] = str(demo.folder)  # what users open goes there, and with it
    text_free = demo.segment.text_free
    pictures = [demo.open(query.image, attributes=query.attributes) for query in examples]
    look = dict(height=340, interactive=False, elem_classes='picture', format='png', buttons=['download', 'fullscreen'])
    # The pictures of a page that runs for days do not stay on the disk.
    with gr.Blocks(analytics_enabled=False, title='Segment by a sentence', delete_cache=(600, 3600)) as page:
        source, opened, answered = gr.State(), gr.State(), gr.State()
        gr.Markdown(f'## Segment by a sentence\nModel **{title}** on {demo.segment.device}. {DISCLAIMER}')
        problem = gr.Markdown(visible=False, elem_classes='problem', elem_id='problem')
        with gr.Row(equal_height=False):
            with gr.Column():
                file = gr.File(label='Open a picture, NIfTI or DICOM file', height=128, elem_id='file')
                shown = gr.Image(label='Picture', elem_id='shown', **look)
                with gr.Row(visible=False) as deep:
                    number = gr.Slider(0, 1, step=1, label='Slice', elem_id='slice')
                    window = gr.Dropdown(
                        demo.windows, value=demo.window, label='Window', allow_custom_value=True, elem_id='window'
                    )
                text = gr.Textbox(
                    label='Sentence',
                    placeholder='The largest lesion in the right lobe.',
                    info='This model does not read sentences.' if text_free else None,
                    interactive=not text_free,
                    elem_id='text',
                )
                button = gr.Button('Segment', variant='primary', elem_id='segment')
            with gr.Column():
                result = gr.Image(label='Mask over the picture', elem_id='result', **look)
                said = gr.Markdown(elem_id='said')
                note = gr.Markdown(elem_classes='note', elem_id='note')
                opacity = gr.Slider(0, 1, 0.4, step=0.05, label='Opacity', elem_id='opacity')
                threshold = gr.Slider(
                    0.01, 0.99, demo.threshold, step=0.01, label='Threshold of the probability', elem_id='threshold'
                )
                mask = gr.DownloadButton('Download the mask (PNG)', interactive=False, elem_id='mask')
        if examples:
            gr.Markdown('**Examples** (click one)')
        gallery = gr.Gallery(
            [(one.picture.shown, query.text) for one, query in zip(pictures, examples, strict=True)],
            show_label=False,
            columns=max(1, len(examples)),
            height='auto',
            object_fit='contain',
            allow_preview=False,
            buttons=[],
            interactive=False,
            visible=bool(examples),
            elem_id='examples',
        )
        gr.Markdown('Pictures stay on the machine that runs this page.', elem_classes='foot')

        def warn(error: UserError | None = None):
            return gr.Markdown(str(error or ''), visible=error is not None)

        def no_answer() -> dict:
            return {answered: None, result: None, said: '', note: '', mask: gr.DownloadButton(interactive=False)}

        def show_picture(what: Opened | None) -> dict:
            many = what is not None and what.slices > 1
            return {
                **no_answer(),
                opened: what,
                shown: None if what is None else what.picture.shown,
                number: gr.Slider(maximum=what.slices - 1, value=what.slice, visible=True)
                if many
                else gr.Slider(visible=False),
                problem: warn(),
            }

        def open_file(path):
            row = {source: path, window: demo.window, deep: gr.Row(visible=demo.is_deep(path))}
            return {**row, **open_slice(path, None, demo.window)}

        def open_slice(path, which, choice):
            try:
                return show_picture(demo.open(path, which, choice))
            except UserError as error:
                return {**show_picture(None), problem: warn(error)}

        def open_example(chosen: gr.SelectData):
            query, what = examples[chosen.index], pictures[chosen.index]
            row = {source: query.image, window: demo.window, deep: gr.Row(visible=what.deep), file: None}
            return {**row, **show_picture(what), text: query.text}

        def show_answer(found, strength, least) -> dict:
            if found is None:
                return {result: None}
            answer, name = found[0].above(least), found[1]
            return {
                result: answer.overlay(strength),
                said: summary(answer),
                mask: gr.DownloadButton(value=demo.write_mask(answer, name), interactive=True),
            }

        def ask(what, sentence, strength, least):
            try:
                answer = demo.ask(what, sentence)
            except UserError as error:
                return {**no_answer(), problem: warn(error)}
            found, remarks = (answer, what.name), ' '.join(demo.remarks(answer.text))
            return {answered: found, note: remarks, problem: warn(), **show_answer(found, strength, least)}

        views = [answered, result, said, note, mask, problem]
        views_of_picture = [opened, shown, number, *views]
        whole = [source, window, deep, *views_of_picture]
        asked = [opened, text, opacity, threshold]
        quiet = dict(api_visibility='private')
        file.upload(open_file, file, whole, **quiet)
        file.clear(lambda: {source: None, deep: gr.Row(visible=False), **show_picture(None)}, None, whole, **quiet)
        number.release(open_slice, [source, number, window], views_of_picture, **quiet)
        window.input(open_slice, [source, number, window], views_of_picture, **quiet)
        button.click(ask, asked, views, **quiet)
        text.submit(ask, asked, views, **quiet)
        gallery.select(open_example, None, [*whole, text, file], **quiet).then(ask, asked, views, **quiet)
        for control in (opacity, threshold):
            # Only draws: the model is not run again.
            control.input(
                show_answer,
                [answered, opacity, threshold],
                [result, said, mask],
                show_progress='hidden',
                trigger_mode='always_last',
                **quiet,
            )
    return page


def serve(page, host: str, port: int | None) -> str:
    """Serve a page until the process ends or ``page.close()``.

    Args:
        page: of :func:`build_page`.
        host: name or address to listen on; ``'127.0.0.1'`` is this machine alone.
        port: default: the first free one from 7860.

    Returns:
        Its address.

    Raises:
        OSError: the port is taken.
    """
    gr = _gradio()
    # Gradio asks its own server whether it is up, and would ask a proxy for it.
    for name in ('no_proxy', 'NO_PROXY'):
        os.environ[name] = ','.join(filter(None, [os.environ.get(name), 'localhost', '127.0.0.1', host]))
    settings = dict(
        share=False,
        max_file_size=MOST_BYTES,
        quiet=True,
        prevent_thread_lock=True,
        footer_links=[],
        enable_monitoring=False,
        ssr_mode=False,
        pwa=False,
        mcp_server=False,
        state_session_capacity=50,
        theme=gr.themes.Soft(primary_hue='blue', font=['system-ui', 'sans-serif'], font_mono=['monospace']),
        css=CSS,
    )
    if 'run_history' in inspect.signature(page.launch).parameters:  # not in all of gradio 6
        settings['run_history'] = False
    try:
        return page.launch(server_name=host, server_port=port, **settings)[1]
    except OSError as error:
        if port is None:
            raise
        raise OSError(f'port {port} is taken, or {host} is no address of this machine: choose another') from error
