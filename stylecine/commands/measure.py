"""Measures a video loop."""

import argparse
import json
from time import perf_counter

from stylecine.commands.arguments import as_path
from stylecine.commands.console import progress_bar, say
from stylecine.errors import VideoError
from stylecine.machine.given import check_file
from stylecine.machine.progress import MEASURES, Stages
from stylecine.output.formats import LIVE_ARCHIVE, LIVE_PHOTO, ending_of


def add_arguments(measure: argparse.ArgumentParser) -> None:
    measure.add_argument("video", metavar="VIDEO", type=as_path)
    measure.add_argument("--json", action="store_true", help="print JSON")


def run(options: argparse.Namespace, start: float) -> int:
    if ending_of(options.video) != LIVE_PHOTO:  # which is two files
        check_file(options.video, "video", VideoError)

    from stylecine.output.metadata import json_figures
    from stylecine.output.video import read_video
    from stylecine.output.wallpaper import wallpaper_faults
    from stylecine.quality.measures import measure_video

    with progress_bar(MEASURES) as bar, Stages(bar).stage("measures") as report:
        frames, fps = read_video(options.video)
        if len(frames) < 2:
            raise VideoError(f"'{options.video}' has only one frame, so nothing in it moves; name a video.")
        figures = {"frames": len(frames), "fps": fps} | measure_video(frames, fps, report)
    figures["seconds"] = round(perf_counter() - start, 3)
    live = ending_of(options.video) in (LIVE_PHOTO, LIVE_ARCHIVE)
    faults = wallpaper_faults(options.video) if live else []
    if options.json:
        say(json.dumps(json_figures(figures) | ({"wallpaper": faults} if live else {}), allow_nan=False))
        return 0
    for name, figure in figures.items():
        say(f"{name:17}{figure:.4g}")
    for fault in faults or ["Nothing known keeps iOS from moving it; this was tried on no phone."] * live:
        say(f"{'wallpaper':17}{fault}")
    return 0
