"""The PReLU of the networks equals PyTorch's in values and gradients, and keeps embeddings float32 under autocast."""

import pytest
import torch
from torch import Tensor, nn

from siamese_triplet._prelu import PReLU
from siamese_triplet.networks import ClassificationNet, EmbeddingNet, EmbeddingNetL2, SiameseNet

SHAPES = [(7,), (5, 4), (3, 4, 6), (2, 3, 5, 4), (0, 4), (0, 2, 3, 3), ()]


def pair(slope: float, dtype: torch.dtype) -> tuple[nn.Module, nn.Module]:
    ours, theirs = PReLU().to(dtype), nn.PReLU().to(dtype)
    for module in (ours, theirs):
        nn.init.constant_(module.weight, slope)
    return ours, theirs


def numbers(shape: tuple[int, ...], dtype: torch.dtype = torch.float64) -> Tensor:
    generator = torch.Generator().manual_seed(len(shape))
    x = torch.randn(shape, generator=generator, dtype=torch.float64)
    if x.numel() > 2:
        x.view(-1)[1] = 0
    return x.to(dtype)


def outcome(module: nn.Module, x: Tensor, direction: Tensor) -> list[Tensor]:
    x = x.detach().requires_grad_()
    y = module(x)
    return [y.detach(), *torch.autograd.grad(y, (x, module.weight), direction)]


@pytest.mark.parametrize("slope", [0.25, 0.0, 1.5, -0.7])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_equal_pytorchs(shape: tuple[int, ...], dtype: torch.dtype, slope: float) -> None:
    ours, theirs = pair(slope, dtype)
    x, direction = numbers(shape, dtype), numbers((1, *shape), dtype)[0]
    torch.testing.assert_close(outcome(ours, x, direction), outcome(theirs, x, direction))


def test_channels_last_images_keep_their_layout() -> None:
    ours, theirs = pair(0.3, torch.float32)
    x = numbers((2, 3, 5, 4), torch.float32).to(memory_format=torch.channels_last)
    results = outcome(ours, x, x), outcome(theirs, x, x)
    torch.testing.assert_close(*results)
    assert all(tensor.is_contiguous(memory_format=torch.channels_last) for tensor in results[0][:2])


@pytest.mark.parametrize("slope", [0.25, -0.7])
@pytest.mark.parametrize("shape", [(6,), (2, 3), (2, 2, 3, 2)])
def test_first_and_second_derivatives_are_right(shape: tuple[int, ...], slope: float) -> None:
    ours, _ = pair(slope, torch.float64)
    x = numbers(shape).requires_grad_()
    with torch.no_grad():
        x += 0.1 * x.sign() + 0.1 * (x == 0)  # away from the kink
    for check in (torch.autograd.gradcheck, torch.autograd.gradgradcheck):
        assert check(lambda x, weight: torch.func.functional_call(ours, {"weight": weight}, x), (x, ours.weight))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_close_to_full_precision(dtype: torch.dtype) -> None:
    ours, theirs = pair(0.25, dtype), pair(0.25, torch.float64)
    x = numbers((64, 4, 6, 6), dtype)
    values, grad_x, grad_slope = outcome(ours[0], x, x)
    expected = outcome(theirs[1], x.double(), x.double())
    assert (values.dtype, grad_x.dtype, grad_slope.dtype) == (dtype, dtype, dtype)
    torch.testing.assert_close([values.double(), grad_x.double()], expected[:2], rtol=0.01, atol=0.01)
    torch.testing.assert_close(grad_slope.double(), expected[2], rtol=0.02, atol=0)


def test_half_precision_activations_with_a_full_precision_slope_as_under_autocast() -> None:
    ours, theirs = pair(0.25, torch.float32)
    x = numbers((64, 4, 6, 6), torch.bfloat16)
    values, grad_x, grad_slope = outcome(ours, x, x)
    expected = outcome(theirs, x.float(), x.float())
    assert (values.dtype, grad_x.dtype, grad_slope.dtype) == (torch.bfloat16, torch.bfloat16, torch.float32)
    torch.testing.assert_close([values.float(), grad_x.float(), grad_slope], expected, rtol=0.01, atol=0.01)
    with torch.no_grad():
        assert torch.equal(ours(x), values)


def test_without_gradients_it_equals_pytorchs() -> None:
    ours, theirs = pair(-0.3, torch.float32)
    x = numbers((4, 5), torch.float32)
    with torch.no_grad():
        assert torch.equal(ours(x), theirs(x))
    with torch.inference_mode():
        assert torch.equal(ours(x), theirs(x))


def test_only_tensors_that_need_a_gradient_get_one() -> None:
    ours, _ = pair(0.25, torch.float32)
    x = numbers((4, 5), torch.float32)
    ours(x).sum().backward()
    torch.testing.assert_close(ours.weight.grad, x.clamp(max=0).sum().view(1))
    ours.requires_grad_(False)
    x.requires_grad_()
    ours(x).sum().backward()
    assert torch.equal(x.grad, torch.where(x > 0, 1.0, 0.25))


def test_the_input_is_not_changed() -> None:
    ours, _ = pair(0.25, torch.float32)
    x = numbers((4, 5), torch.float32).requires_grad_()
    before, direction = x.detach().clone(), torch.ones(4, 5)
    ours(x).backward(direction)
    assert torch.equal(x, before)
    assert torch.equal(direction, torch.ones(4, 5))


def test_weights_load_from_and_into_pytorchs() -> None:
    ours, theirs = PReLU(), nn.PReLU()
    assert ours.state_dict() == theirs.state_dict()
    assert isinstance(ours, nn.PReLU)
    nn.init.constant_(theirs.weight, 0.7)
    ours.load_state_dict(theirs.state_dict())
    assert ours.weight.item() == pytest.approx(0.7)


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize(
    "make",
    [EmbeddingNet, EmbeddingNetL2, lambda size, shape: ClassificationNet(EmbeddingNet(size, shape), 4)],
    ids=["embedding", "unit sphere", "classification"],
)
def test_outputs_are_in_full_precision_under_autocast(make: type, training: bool) -> None:
    torch.manual_seed(0)
    net = make(3, (1, 16, 16))
    x = torch.rand(8, 1, 16, 16)
    with torch.set_grad_enabled(training):
        expected = net(x)
        with torch.autocast("cpu", torch.bfloat16):
            y = net(x)
    assert y.dtype == torch.float32
    assert not torch.equal(y, expected)
    torch.testing.assert_close(y, expected, rtol=0.1, atol=0.05)
    if training:
        y.square().sum().backward()
        assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in net.parameters())


def test_a_siamese_net_gives_full_precision_under_autocast() -> None:
    with torch.autocast("cpu", torch.bfloat16):
        outputs = SiameseNet(EmbeddingNet(2, (1, 16, 16)))(torch.rand(2, 1, 16, 16), torch.rand(2, 1, 16, 16))
    assert [output.dtype for output in outputs] == [torch.float32] * 2


def test_it_supports_the_transforms_of_torch_func() -> None:
    layer, x = PReLU(), torch.randn(3, 4)
    slopes = torch.func.jacrev(lambda weight: torch.func.functional_call(layer, {"weight": weight}, x))(layer.weight)
    torch.testing.assert_close(slopes.squeeze(-1), x.clamp(max=0))
    assert torch.func.vmap(layer)(x).shape == (3, 4)
