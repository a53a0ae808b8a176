"""A page with Gradio: a photo in, a loop as a video out.

pip install gradio
python examples/gradio_app.py        # then open http://127.0.0.1:7860
"""

from functools import cache
from html import escape
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import uuid4

from stylecine import Animator, StylecineError
from stylecine.machine.progress import Progress
from stylecine.options import OPTIONS, PACES, STYLES, Pace

AS_IT_IS = "as it is"
SIZE = 720  # pixels of the short side


@cache
def animator() -> Animator:
    return Animator.from_pretrained()


def make_video(
    photo: str, pace: Pace, style: str, seconds: float, folder: Path, progress: Progress
) -> tuple[Path, str]:
    """Writes the loop into the folder; returns its path, and a warning or "". Raises StylecineError."""
    chosen = None if style == AS_IT_IS else style
    scene = animator().invert(photo, size=SIZE, progress=progress)
    loop = animator().render(scene, pace=pace, style=chosen, seconds=seconds, progress=progress)
    video = folder / f"{uuid4().hex}.mp4"
    loop.save(video)
    return video, loop.warning


def page() -> Any:
    """The page, a gradio.Blocks."""
    import gradio as gr

    loop = gr.Video(label="Loop", autoplay=True, loop=True)

    def animate(photo: str | None, pace: Pace, style: str, seconds: float, bar: Any = gr.Progress()) -> str:  # noqa: B008
        if photo is None:
            raise gr.Error("Choose a photo first.", print_exception=False)

        def show(stage: str, done: int, total: int) -> None:
            bar((done, total), desc=stage, unit="steps")

        with TemporaryDirectory() as folder:
            try:
                video, warning = make_video(photo, pace, style, seconds, Path(folder), show)
            except StylecineError as error:
                raise gr.Error(escape(str(error)), print_exception=False) from None
            cached: str = loop.move_resource_to_block_cache(video)  # from where Gradio deletes it
        if warning:
            gr.Warning(escape(warning))
        return cached

    return gr.Interface(
        animate,
        [
            gr.Image(label="Photo", type="filepath", image_mode=None),  # None: the file itself, not a copy
            gr.Radio(PACES, value=OPTIONS["pace"]["default"], label="Pace"),
            gr.Dropdown([AS_IT_IS, *STYLES], value=AS_IT_IS, label="Light, season and weather"),
            gr.Slider(2, 10, value=OPTIONS["seconds"]["default"], step=1, label="Seconds"),
        ],
        loop,
        title="stylecine",
        submit_btn="Animate",
        flagging_mode="never",
        delete_cache=(3600, 3600),
    )


if __name__ == "__main__":
    page().launch()
