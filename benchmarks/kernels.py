"""Each native kernel against its PyTorch reference, torch.compile of that, and a memory copy.

    python -m benchmarks.kernels

Arguments are those of real loops: of benchmarks/moving.py, and of cloth all over the same photo. The roofline of a
kernel is the time in which a plain copy of memory, measured in the same run, would move its bytes: every input read
once and every output written once, as if everything moved (render and compare skip most of what is static). A copy
counts reading and writing, too.
"""

if __name__ == "__main__":  # tests, and the servers that they start, are not alone on the machine
    import benchmarks.spinning  # noqa: F401 - before PyTorch

# isort: split
import argparse
import logging
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import numpy as np
import torch
from torch import Tensor
from torch.utils._pytree import register_dataclass, tree_leaves

from benchmarks.machine import machine
from benchmarks.moving import FRAMES, PHOTO, loop_of, setting
from benchmarks.tables import command_line, save, table, to_json, write
from benchmarks.timing import copy_bandwidth, median_seconds, rotating, threads, time_limit
from stylecine import Animator
from stylecine.engine.cinemagraph import BATCH
from stylecine.ops import compare, drape, integrate, native, recolour, render, splat, warp_features, weather
from stylecine.ops.displacement import Displacement

logging.getLogger("torch._dynamo").setLevel(logging.ERROR)  # it logs what it could not compile
register_dataclass(Displacement)  # whose tensors are arguments of render, too

KERNELS: dict[str, Callable[..., Any]] = {
    "compare": compare.compare,
    "integrate": integrate.integrate,
    "splat": splat.splat,
    "warp_features": warp_features.warp_features,
    "render": render.render,
    "drape": drape.drape_,
    "recolour": recolour.recolour_,
    "weather": weather.weather_,
}
REFERENCES = {name: sys.modules[kernel.__module__].reference for name, kernel in KERNELS.items()}
IN_PLACE = "drape", "recolour", "weather"  # these change their first argument, and their references return it changed
SEVERAL = f"render, {BATCH} frames"  # together, as loops render them
CASES = (*KERNELS, SEVERAL)
PIXELS: dict[str, Callable[["Call", Any], int]] = {  # of the arguments and the result
    "compare": lambda call, result: call[0][2].numel(),
    "integrate": lambda call, result: result[0].numel() // 2,  # points, at each knot
    "splat": lambda call, result: result[0][0].numel(),
    "warp_features": lambda call, result: result[0].numel(),
    "render": lambda call, result: result[..., 0].numel(),
    "drape": lambda call, result: result[..., 0].numel(),
    "recolour": lambda call, result: result[..., 0].numel(),
    "weather": lambda call, result: result[..., 0].numel(),
}
TIME = 1 / 3  # of the loop: the frame that is rendered
EDGE = 1 / 16  # of the photo, around the cloth
TIMES: tuple[str, ...] = "kernel", "device", "threads", "shape", "native_ms", "reference_ms", "compiled_ms"
TIMES += "times_reference", "times_compiled", "largest_difference"
ROOFLINE: tuple[str, ...] = "kernel", "device", "threads", "bytes_per_pixel", "megabytes", "native_ms", "roofline_ms"
ROOFLINE += "gb_per_second", "copy_gb_per_second", "share_of_copy"

Row = dict[str, Any]
Call = tuple[Sequence[Any], Mapping[str, Any]]  # positional and keyword arguments


@contextmanager
def calls() -> Iterator[dict[str, Call]]:
    """Records the arguments of the first call of each kernel, wherever it has been imported."""
    made: dict[str, Call] = {}

    def recorder(name: str, kernel: Callable[..., Any]) -> Callable[..., Any]:
        def record(*args: Any, **options: Any) -> Any:
            made.setdefault(name, (args, options))
            return kernel(*args, **options)

        return record

    with ExitStack() as patches:
        for name, kernel in KERNELS.items():
            record = recorder(name, kernel)
            for module in [one for key, one in sys.modules.items() if key.startswith("stylecine")]:
                if vars(module).get(kernel.__name__) is kernel:
                    patches.enter_context(mock.patch.object(module, kernel.__name__, record))
        yield made


def real_arguments(animator: Animator, size: int) -> tuple[dict[str, Call], Row]:
    """Each kernel's arguments in rendering a frame of size x size, those of `SEVERAL`, and what was animated."""
    scene = animator.invert(PHOTO, size=(size, size))
    cloth = np.zeros((size, size), dtype=bool)
    edge = int(EDGE * size)
    cloth[edge:-edge, edge:-edge] = True
    options: tuple[dict[str, Any], ...] = (
        {},
        {"sampling": "splat"},
        {"warp": "dfw"},
        {"subject": "cloth", "mask": cloth, "wind": (0, 1.0)},
        {"style": "dusk"},
        {"weather": "snow"},
    )
    with calls() as preparing:
        loops = [loop_of(animator, scene, FRAMES, **each) for each in options]
    with calls() as rendering:
        for loop in loops:
            loop[TIME * FRAMES]
    with calls() as together:
        list(loops[0].frames([TIME * FRAMES + n for n in range(BATCH)]))
    made = preparing | rendering | {SEVERAL: together["render"]}
    return made, setting(loops[0])


def kernel_of(case: str) -> str:
    return case.split(",")[0]


def computed(name: str, compute: Callable[..., Any], call: Call) -> Any:
    """The result of a kernel, or of its reference; those that change a frame in place get a copy of it."""
    (first, *others), options = call
    return compute(first.clone() if name in IN_PLACE else first, *others, **options)


@torch.inference_mode()
def measure(case: str, call: Call, device: torch.device, count: int, copied: float) -> Row:
    """One row: milliseconds of the kernel and its reference, bandwidth relative to a copy of `copied` bytes per
    second, and the largest difference of the results."""
    name = kernel_of(case)
    kernel, reference = KERNELS[name], REFERENCES[name]
    row: Row = {"kernel": case, "device": device.type, "threads": count, "shape": shape(name, call)}
    if not native.available(device):
        raise SystemExit(f"There is nothing to measure: {native.why(device)}")
    with threads(count):
        result, expected = (computed(name, compute, call) for compute in (kernel, reference))
        turn = rotating(call, device)
        row["native_ms"] = 1e3 * median_seconds(lambda: run(kernel, next(turn)), device, fewest=20)
        row["reference_ms"] = 1e3 * median_seconds(lambda: run(reference, next(turn)), device)
    row |= roofline(traffic(name, call, result), PIXELS[name](call, result), row["native_ms"], copied)
    apart = [(a.float() - b.float()).abs().max() for a, b in zip(tensors(result), tensors(expected), strict=True)]
    return row | {
        "times_reference": row["reference_ms"] / row["native_ms"],
        "largest_difference": float(max(apart)),
    }


def run(compute: Callable[..., Any], call: Sequence[Any]) -> Any:
    positional, options = call
    return compute(*positional, **options)


def roofline(moved: int, pixels: int, milliseconds: float, copied: float) -> Row:
    """How fast `moved` bytes are moved, and the shortest time for it if a copy moves `copied` bytes per second."""
    speed = moved / milliseconds * 1e3
    return {
        "bytes_per_pixel": moved / pixels,
        "megabytes": moved / 1e6,
        "roofline_ms": moved / copied * 1e3,
        "gb_per_second": speed / 1e9,
        "copy_gb_per_second": copied / 1e9,
        "share_of_copy": speed / copied,
    }


@torch.inference_mode()
def measure_compiled(case: str, call: Call, device: torch.device, count: int, limit: float) -> Row:
    """Milliseconds of the compiled reference, or why it failed; compiling may take `limit` seconds."""
    torch.compiler.reset()  # compiled code keeps its number of threads
    from torch._inductor import config as inductor  # takes seconds

    inductor.compile_threads = 1  # no workers that continue after the time limit
    compiled = torch.compile(REFERENCES[kernel_of(case)], dynamic=False)
    try:
        with threads(count), time_limit(limit):
            run(compiled, call)
        with threads(count):
            turn = rotating(call, device)
            return {"compiled_ms": 1e3 * median_seconds(lambda: run(compiled, next(turn)), device)}
    except Exception as error:  # the compiler fails in many ways; each is a result
        says = next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
        return {"compiled_ms": "failed: " + says[says.find("took longer") :] if "took longer" in says else says[:100]}


def traffic(name: str, call: Call, result: Any) -> int:
    """Bytes of the inputs and outputs. Of render's knots, the two around each copy's age, for each phase; of cloth's
    keyframes none, as their field is the argument."""
    needed = sum(x.numel() * x.element_size() for x in (*tensors(call), *tensors(result)))
    if name == "render":
        rendering = render.Rendering(*call[0], **call[1])
        moved, frames = rendering.displacement, len(rendering.moments)
        held = moved.positions.nbytes + moved.rates.nbytes
        read = 2 * frames * len(moved.lengths) / len(moved.positions)
        needed -= int(held * max(0, 1 - read))
    return needed


def tensors(values: Any) -> list[Tensor]:
    """All tensors among arguments or results, including those in lists and in a displacement."""
    return [x for x in tree_leaves(values) if isinstance(x, Tensor)]


def shape(name: str, call: Call) -> str:
    """Shape of the first argument, and whatever else determines the amount of work."""
    arguments, _ = call
    first = f"{'x'.join(map(str, arguments[0].shape))} {str(arguments[0].dtype).removeprefix('torch.')}"
    if name == "integrate":
        return f"{first}, {arguments[1]} knots"
    return f"{first}, {len(arguments[2])} levels" if name == "render" else first


def main() -> None:
    options = _options()
    present = ["cpu"] + ["cuda"] * torch.cuda.is_available()
    devices = [torch.device(name) for name in ([options.device] if options.device else present)]
    result: dict[str, Any] = {"machine": machine(), "kernels": {}, "copy_gb_per_second": [], "rows": []}
    for device in devices:
        result["kernels"][device.type] = native.why(device)
        arguments, result["setting"] = real_arguments(Animator.from_pretrained(device=device), options.size)
        rows: list[Row] = []
        for count in options.threads if device.type == "cpu" else [1]:
            with threads(count):
                copied = copy_bandwidth(device)
            result["copy_gb_per_second"].append({"device": device.type, "threads": count, "copy": copied / 1e9})
            rows += [measure(case, arguments[case], device, count, copied) for case in CASES]
        result["rows"] += rows
        failures: dict[str, Row] = {}
        for row in rows if options.limit else []:  # last: an interrupted compiler may leave work behind
            case = row["kernel"]
            compiled = failures.get(case) or measure_compiled(
                case, arguments[case], device, row["threads"], options.limit
            )
            if isinstance(compiled["compiled_ms"], str):
                failures[case] = compiled
            else:
                compiled["times_compiled"] = compiled["compiled_ms"] / row["native_ms"]
            row |= compiled
            write(options.out, to_json(result))
    save(options.out, result, markdown(result))


def markdown(result: Mapping[str, Any]) -> str:
    where = result["machine"]
    copies = ", ".join(f"{row['copy']:.1f} ({row['device']}, {row['threads']})" for row in result["copy_gb_per_second"])
    return (
        f"{where['cpu']}, {where['cores']} cores; GPU: {where['gpu'] or 'none'}. {result['kernels']['cpu']}.\n\n"
        f"Copy of memory, GB/s read and written (device, threads): {copies}.\n\n{table(result['rows'], TIMES)}\n"
        f"Bytes against those of the copy:\n\n{table(result['rows'], ROOFLINE)}"
    )


def _options() -> argparse.Namespace:
    parser = command_line(__doc__, "kernels")
    parser.add_argument("--size", type=int, default=1024, help="side of the photo in pixels (default 1024)")
    parser.add_argument("--threads", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--device", choices=["cpu", "cuda"], help="by default each that there is")
    says = "seconds that torch.compile may take, 0: it is not measured (default 90)"
    parser.add_argument("--limit", type=float, default=90, help=says)
    return parser.parse_args()


if __name__ == "__main__":
    main()
