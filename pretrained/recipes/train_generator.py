"""The generator from F upward, trained as the decoder of the encoder (stage 1 of four; see README.md beside this).

    python pretrained/recipes/train_generator.py --photos PHOTOS --minutes 9

L1 + LPIPS + a projected critic on crops of the photos, some of them with hidden parts. Writes the averaged weights
into the run's folder as generator.safetensors and encoder.safetensors (float16).
"""

from __future__ import annotations

import argparse
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from common import Average, Run, arguments, decay, random_crops, random_visibility, sheet
from critic import CRITIC_RATE, Critic, separation
from data import Sample, load
from safetensors.torch import save_file
from torch import Tensor, nn

from benchmarks.lpips import LPIPS
from stylecine.networks.encoder import Encoder
from stylecine.networks.generator import Generator, merge
from stylecine.ops.image import push_pull
from stylecine.weights import read_tensors

CHANNELS = {4: 160, 8: 160, 16: 160, 32: 160, 64: 128, 128: 96, 256: 64, 512: 48, 1024: 24}
INJECTION = "b256.conv1"
MAPPING_LAYERS = 4
RATES = (2e-3, 7e-4)  # of Adam: generator, encoder
CROP = 192
AVERAGE_EVERY = 8  # steps


def decode(generator: Generator, latents: tuple[Tensor, Tensor], size: tuple[int, int]) -> Tensor:
    w_plus, feature = latents
    return merge(generator.from_feature(feature, w_plus))[:, :, :size[0], :size[1]]


def load_stage(folder: Path, device: torch.device) -> tuple[Generator, Encoder]:
    """The frozen networks in the folder of an earlier stage."""
    generator = Generator.from_tensors(read_tensors(folder / "generator.safetensors"), INJECTION)
    return generator.to(device), Encoder.from_tensors(read_tensors(folder / "encoder.safetensors")).to(device)


def pixel_loss(image: Tensor, photo: Tensor, visible: Tensor) -> Tensor:
    """L1, with a tenth of its weight where the photo was hidden: there texture matters, not single pixels."""
    return 2 * ((image - photo).abs() * (0.1 + 0.9 * visible)).mean()


def export(average: Average, names: tuple[str, ...], run: Run) -> None:
    """Writes the averaged weights of each network as float16 NAME.safetensors."""
    for name, shadow in zip(names, average.shadow, strict=True):
        tensors = {k: v.half().cpu().contiguous() for k, v in shadow.items()}
        save_file(tensors, run.folder / f"{name}.safetensors",
                  {"licence": "CC-BY-SA-4.0", "step": str(run.step), "minutes": f"{run.trained + run.elapsed:.1f}"})


def whole_crops(samples: list[Sample], batch: int, hidden: float, rng: np.random.Generator,
                ) -> tuple[Tensor, Tensor, Tensor]:
    """Crops of anything, a share `hidden` of them with hidden parts: photo, visible, known (everywhere)."""
    photo, _ = random_crops(samples, batch, CROP, rng)
    return photo, random_visibility(batch, CROP, hidden, rng), torch.ones(batch, 1, CROP, CROP)


def train(run: Run, options: argparse.Namespace, generator: Generator, encoder: Encoder, parameters: list[nn.Parameter],
          batches: Callable[..., tuple[Tensor, Tensor, Tensor]], warm: int) -> None:
    """Trains the encoder and the given parameters of the generator until the run is over.

    batches: (samples, N, share with hidden parts, rng) -> photo [N,3,h,w], visible and known [N,1,h,w] in {0,1}; the
    loss ignores what is not known. The adversarial loss begins after `warm` steps.
    """
    rng = np.random.default_rng(options.seed + int(1000 * run.trained) + 1)
    samples = load(options.photos)
    val = load(options.val or options.photos, "val.txt")[:16]
    critic = Critic().to(run.device)
    for network in (generator, encoder):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    lpips = LPIPS.published().to(run.device)
    groups = [{"params": parameters, "lr": RATES[0]}] if parameters else []
    groups += [{"params": list(encoder.parameters()), "lr": RATES[1]}]
    optimizer = torch.optim.Adam(groups, betas=(0.8, 0.99))
    rates = [group["lr"] for group in optimizer.param_groups]
    critic_optimizer = torch.optim.Adam(critic.parameters(), lr=CRITIC_RATE, betas=(0.0, 0.99))
    average = Average(generator, encoder)
    parts: dict[str, Any] = {"generator": generator, "encoder": encoder, "critic": critic, "optimizer": optimizer,
                             "critic_optimizer": critic_optimizer, "average": average}
    run.resume(**parts)
    for step in run.loop(lambda: report(run, average, critic, val, lpips), **parts):
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate * min(1.0, (step + 1) / 200) * decay(run)
        batch = batches(samples, options.batch, options.hidden, rng)
        photo, visible, known = (x.to(run.device).contiguous(memory_format=torch.channels_last) for x in batch)
        with run.autocast():
            image = decode(generator, encoder(push_pull(photo, visible), visible), (photo.shape[2], photo.shape[3]))
            image = image * known + photo * (1 - known)
            made, wanted = lpips.features(image), lpips.features(photo)
            loss = pixel_loss(image, photo, visible) + lpips.distance(made, wanted).mean()
            total = loss - options.adversarial * critic.realness(made) if step >= warm else loss
        optimizer.zero_grad(set_to_none=True)
        total.backward()
        nn.utils.clip_grad_norm_([*parameters, *encoder.parameters()], 1.0)
        optimizer.step()
        if step % AVERAGE_EVERY == 0:
            average.update(step // AVERAGE_EVERY)
        with run.autocast():
            hinge = critic.hinge(wanted, [x.detach() for x in made])
        critic_optimizer.zero_grad(set_to_none=True)
        hinge.backward()
        critic_optimizer.step()
        if step % 50 == 0:
            run.log(loss=loss.item(), critic=hinge.item())


@torch.no_grad()
def report(run: Run, average: Average, critic: Critic, val: list[Sample], lpips: LPIPS) -> None:
    """Logs the averaged weights' mean PSNR and LPIPS on the central 512×512 of each photo, and how well the critic
    tells these from photos; writes sheet and weights."""
    generator = Generator.from_tensors(average.shadow[0], INJECTION).to(run.device)
    encoder = Encoder.from_tensors(average.shadow[1]).to(run.device)
    figures, rows = [], []
    real: list[list[float]] = []
    made: list[list[float]] = []
    with run.autocast():
        for sample in val:
            y, x = ((n - 512) // 2 for n in sample.photo.shape[1:])
            photo = (sample.photo[:, y:y + 512, x:x + 512].float() / 127.5 - 1)[None].to(run.device)
            visible = torch.ones_like(photo[:, :1])
            visible[:, :, 160:352, 200:312] = 0
            image = decode(generator, encoder(photo), (512, 512)).clamp(-1, 1)
            filled = decode(generator, encoder(push_pull(photo, visible), visible), (512, 512)).clamp(-1, 1)
            mse = (image - photo).square().mean().item() / 4
            figures.append((-10 * math.log10(mse), lpips(image, photo).item()))
            rows.append([photo[0], image[0], (photo * visible)[0], filled[0]])
            for scores, shown in ((real, photo), (made, image)):
                scores.append([float(head.mean()) for head in critic(lpips.features(shown))])
    psnr, distance = np.mean(figures, 0).tolist()
    run.log(psnr=psnr, lpips=distance, **separation(*(list(np.array(scores).T) for scores in (real, made))))
    sheet(rows[:6], run.folder / "samples.png")
    export(average, ("generator", "encoder"), run)


def main() -> None:
    parser = arguments(__doc__, ".runs/generator")
    parser.add_argument("--adversarial", type=float, default=0.05, help="weight of the critic's opinion")
    parser.add_argument("--hidden", type=float, default=0.35, help="share of crops with hidden parts")
    options = parser.parse_args()
    run = Run(options)
    generator = Generator(CHANNELS, INJECTION, mapping_layers=MAPPING_LAYERS).to(run.device)
    encoder = Encoder(CHANNELS[generator.feature_resolution], generator.num_ws, generator.stride).to(run.device)
    above = [p for r in CHANNELS if r >= generator.feature_resolution for n, p in generator.block(r).named_parameters()
             if r > generator.feature_resolution or n.startswith("torgb")]
    train(run, options, generator, encoder, above, whole_crops, warm=2000)


if __name__ == "__main__":
    main()
