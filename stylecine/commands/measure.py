"""stylecine measure: how seamless a video is."""

import argparse
import json
from time import perf_counter

from stylecine.commands.arguments import Commands, as_path
from stylecine.commands.console import Bar, say
from stylecine.errors import VideoError
from stylecine.machine.given import check_file
from stylecine.machine.progress import MEASURES, Stages
from stylecine.output.formats import LIVE_PHOTO, ending_of


def add_to(commands: Commands) -> None:
    measure = commands.add_parser("measure", help="measure a video loop", description="Measures a video loop.")
    measure.set_defaults(run=run)
    measure.add_argument("video", metavar="VIDEO", type=as_path)
    measure.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, start: float) -> int:
    if ending_of(options.video) != LIVE_PHOTO:  # which is two files
        check_file(options.video, "video", VideoError)

    from stylecine.output.metadata import json_figures
    from stylecine.output.video import read_video
    from stylecine.quality.measures import measure_video

    with Bar(MEASURES) as bar, Stages(bar).stage("measures") as report:
        frames, fps = read_video(options.video)
        if len(frames) < 2:
            raise VideoError(f"'{options.video}' has only one frame, so nothing in it moves; name a video.")
        figures = {"frames": len(frames), "fps": fps} | measure_video(frames, fps, report)
    figures["seconds"] = round(perf_counter() - start, 3)
    if options.json:
        say(json.dumps(json_figures(figures), allow_nan=False))
    for name, figure in {} if options.json else figures.items():
        say(f"{name:17}{figure:.4g}")
    return 0
