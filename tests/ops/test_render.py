import torch

from stylecine.ops.pyramid import split
from stylecine.ops.render import composite, on_level, render


def test_fields_are_read_at_the_pixel_centres_of_any_level():
    cell, grid = 4, 16
    ramp = ((torch.arange(grid) + 0.5) * cell).expand(1, grid, grid)
    for scale in (1, 2, 4, 8, 16):
        fields = on_level(ramp, cell=cell, scale=scale, region=(16, 16, 48, 48))
        expected = (torch.arange(32 // scale) + 0.5) * scale + 16
        torch.testing.assert_close(fields, expected.expand(1, 32 // scale, -1))


def test_only_what_moves_differs_from_the_photo():
    photo = torch.randint(0, 256, (3, 20, 24)).float()
    moving = torch.zeros(20, 24)
    moving[5:9, 6:12] = 1
    moving[7, 7] = 0.5
    frame = composite(photo, moving, torch.ones(3, 16, 16), margin=8, region=(8, 8, 24, 24))
    still = moving == 0
    assert torch.equal(frame[still], photo.permute(1, 2, 0)[still].to(torch.uint8))
    assert (frame[moving == 1] == 255).all()
    assert (frame[7, 7] - (photo[:, 7, 7] + 255) / 2).abs().max() < 1


def test_a_part_rendered_alone_equals_the_same_part_of_the_whole():
    torch.manual_seed(0)
    margin, cell, levels = 32, 4, split(torch.rand(3, 128, 160) * 2 - 1, bands=3)
    photo, moving = torch.randint(0, 256, (3, 64, 96)).float(), torch.zeros(64, 96)
    moving[20:40, 30:60] = 1
    sources = torch.randn(4, 32, 40)
    weights = torch.rand(4, 2, 32, 40)
    kwargs = {"cell": cell, "margin": margin}
    whole = render(photo, moving, levels, [1, 2, 4, 8], sources, weights, region=(0, 0, 128, 160), **kwargs)
    part = render(photo, moving, levels, [1, 2, 4, 8], sources, weights, region=(40, 48, 80, 104), **kwargs)
    assert (whole.int() - part.int()).abs().max() <= 1
    assert (whole != part).float().mean() < 1e-3
