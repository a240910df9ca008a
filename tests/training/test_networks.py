from collections.abc import Callable

import pytest
import torch
from torch import nn

from siamese_triplet._devices import evaluating
from siamese_triplet.networks import (
    ClassificationNet,
    ConvEmbeddingNet,
    EmbeddingNet,
    EmbeddingNetL2,
    ResidualEmbeddingNet,
    SiameseNet,
    TripletNet,
)


def images(n: int = 3, size: tuple[int, int, int] = (1, 28, 28)) -> torch.Tensor:
    return torch.rand(n, *size, generator=torch.Generator().manual_seed(n))


def test_embedding_net_has_the_originals_layers() -> None:
    layers = [type(m).__name__ for m in EmbeddingNet().modules() if not list(m.children())]
    convolutions = ["Conv2d", "PReLU", "MaxPool2d"] * 2
    assert layers == [*convolutions, "Linear", "PReLU", "Linear", "PReLU", "Linear"]
    assert [tuple(p.shape) for p in EmbeddingNet().parameters() if p.ndim > 1] == [
        (32, 1, 5, 5),
        (64, 32, 5, 5),
        (256, 64 * 4 * 4),
        (256, 256),
        (2, 256),
    ]
    assert sum(p.numel() for p in EmbeddingNet().parameters()) == 380_806


@pytest.mark.parametrize("make", [EmbeddingNet, EmbeddingNetL2])
@pytest.mark.parametrize(
    ("embedding_size", "input_size"), [(2, (1, 28, 28)), (64, (3, 32, 40)), (1, (1, 16, 16)), (5, (2, 17, 105))]
)
def test_embedding_net_of_any_size(make: type, embedding_size: int, input_size: tuple[int, int, int]) -> None:
    net = make(embedding_size, input_size)
    x = images(4, input_size)
    assert net(x).shape == (4, embedding_size)
    assert torch.equal(net.get_embedding(x), net(x))
    assert net(x[:0]).shape == (0, embedding_size)


@pytest.mark.parametrize(("size", "input_size"), [(0, (1, 28, 28)), (2, (1, 15, 28)), (2, (1, 28, 15))])
def test_too_small_an_embedding_net_raises(size: int, input_size: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError, match=r"at least \(1, 16, 16\)"):
        EmbeddingNet(size, input_size)


@pytest.mark.parametrize("shape", [(3, 1, 32, 32), (3, 3, 28, 28), (3, 28, 28), (1, 28, 28)])
def test_images_of_another_size_raise(shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match=r"expects images of shape \(batch, 1, 28, 28\), got .*input_size"):
        EmbeddingNet()(torch.zeros(shape))


@pytest.mark.parametrize("make", [EmbeddingNet, EmbeddingNetL2])
def test_images_on_another_device_than_the_network_raise(make: type) -> None:
    with pytest.raises(ValueError, match=r"images are on cpu, the network on meta; .*\.to\(device\)"):
        make().to("meta")(images())


def test_l2_embeddings_have_length_one_and_the_direction_of_the_plain_ones() -> None:
    net = EmbeddingNetL2(8)
    embeddings, plain = net(images(20)), EmbeddingNet.forward(net, images(20))
    torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(20))
    torch.testing.assert_close(embeddings * plain.norm(dim=1, keepdim=True), plain)


def test_l2_gradient_is_right() -> None:
    net = EmbeddingNetL2(3, (1, 16, 16)).double()
    x = images(2, (1, 16, 16)).double()

    def embeddings(bias: torch.Tensor) -> torch.Tensor:
        return torch.func.functional_call(net, {"fc.4.bias": bias}, x)

    assert torch.autograd.gradcheck(embeddings, net.fc[-1].bias.detach().clone().requires_grad_())


def test_l2_of_a_zero_output_is_zero_with_a_finite_gradient() -> None:
    net = EmbeddingNetL2()
    for parameter in net.fc[-1].parameters():
        nn.init.zeros_(parameter)
    embeddings = net(images())
    assert torch.equal(embeddings, torch.zeros(3, 2))
    embeddings.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_l2_under_autocast_is_finite(dtype: torch.dtype) -> None:
    net = EmbeddingNetL2()
    with torch.autocast("cpu", dtype):
        embeddings = net(images())
    embeddings.float().square().sum().backward()
    torch.testing.assert_close(embeddings.float().norm(dim=1), torch.ones(3), atol=0.01, rtol=0)
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


def test_conv_embedding_net_has_the_layers_of_the_literature() -> None:
    net = ConvEmbeddingNet()
    layers = [type(m).__name__ for m in net.modules() if not list(m.children())]
    assert layers == [*["Conv2d", "BatchNorm2d", "ReLU", "MaxPool2d"] * 4, "Linear"]
    assert [tuple(p.shape) for p in net.parameters() if p.ndim > 1] == [
        (64, 1, 3, 3),
        *[(64, 64, 3, 3)] * 3,
        (128, 64),
    ]


CONV_NETS = [ConvEmbeddingNet, ResidualEmbeddingNet]


@pytest.mark.parametrize("make", CONV_NETS)
@pytest.mark.parametrize("unit_sphere", [True, False])
@pytest.mark.parametrize(
    ("embedding_size", "input_size"), [(2, (1, 28, 28)), (64, (3, 32, 40)), (1, (1, 16, 16)), (5, (2, 17, 105))]
)
def test_conv_embedding_net_of_any_size(
    make: type[nn.Module], embedding_size: int, input_size: tuple[int, int, int], unit_sphere: bool
) -> None:
    net = make(embedding_size, input_size, 8, unit_sphere).eval()
    x = images(4, input_size)
    embeddings = net(x)
    assert embeddings.shape == (4, embedding_size)
    assert (net.embedding_size, net.input_size) == (embedding_size, input_size)
    assert torch.equal(net.get_embedding(x), embeddings)
    assert net(x[:0]).shape == (0, embedding_size)
    plain = net.fc(net.convnet(x).flatten(1))
    torch.testing.assert_close(embeddings, plain / plain.norm(dim=1, keepdim=True) if unit_sphere else plain)


@pytest.mark.parametrize("make", CONV_NETS)
def test_conv_embeddings_of_training_have_length_one(make: type[nn.Module]) -> None:
    torch.testing.assert_close(make(width=8)(images(20)).norm(dim=1), torch.ones(20))


@pytest.mark.parametrize("make", CONV_NETS)
def test_a_zero_conv_embedding_is_zero_with_a_finite_gradient(make: type[nn.Module]) -> None:
    net = make(4, width=8)
    for parameter in net.fc.parameters():
        nn.init.zeros_(parameter)
    embeddings = net(images())
    assert torch.equal(embeddings, torch.zeros(3, 4))
    embeddings.sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("make", CONV_NETS)
@pytest.mark.parametrize("unit_sphere", [True, False])
def test_conv_embeddings_under_autocast_are_in_the_precision_of_the_weights(
    make: type[nn.Module], unit_sphere: bool
) -> None:
    net = make(4, width=8, unit_sphere=unit_sphere)
    with torch.autocast("cpu", torch.bfloat16):
        embeddings = net(images())
        assert net.convnet(images()).dtype == torch.bfloat16
    assert embeddings.dtype == torch.float32
    if unit_sphere:
        torch.testing.assert_close(embeddings.norm(dim=1), torch.ones(3))
    embeddings.square().sum().backward()
    assert all(parameter.grad.isfinite().all() for parameter in net.parameters())


@pytest.mark.parametrize("make", CONV_NETS)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"input_size": (1, 15, 28)}, r"input_size=\(1, 15, 28\) must be at least \(1, 16, 16\)"),
        ({"input_size": (1, 28, 15)}, r"input_size=\(1, 28, 15\) must be at least \(1, 16, 16\)"),
        ({"embedding_size": 0}, "embedding_size=0"),
        ({"width": 0}, "width=0"),
    ],
)
def test_too_small_a_conv_embedding_net_raises(make: type[nn.Module], options: dict, message: str) -> None:
    with pytest.raises(ValueError, match=f"{make.__name__}: .*{message}"):
        make(**options)


@pytest.mark.parametrize("make", CONV_NETS)
@pytest.mark.parametrize("shape", [(3, 1, 32, 32), (3, 3, 28, 28), (3, 28, 28), (1, 28, 28)])
def test_images_of_another_size_than_the_conv_embedding_nets_raise(
    make: type[nn.Module], shape: tuple[int, ...]
) -> None:
    with pytest.raises(ValueError, match=rf"{make.__name__} expects images of shape \(batch, 1, 28, 28\), got"):
        make()(torch.zeros(shape))


def test_a_residual_block_adds_its_input() -> None:
    """With its last scales at zero a block is ReLU of its input, or of the projection of it."""
    net = ResidualEmbeddingNet(width=4).eval()
    same, halved, _ = list(net.convnet)[4:]
    for block in (same, halved):
        nn.init.zeros_(block.residual[-1].weight)
    x = torch.randn(2, 4, 14, 14, generator=torch.Generator().manual_seed(0))
    assert torch.equal(same(x), x.relu())
    projected = halved.shortcut(x)
    assert torch.equal(halved(x), projected.relu())
    assert projected.shape == (2, 8, 7, 7)


class WithAttribute(nn.Module):
    """Ends with a linear layer that is not its last step: only the attribute tells the size."""

    embedding_size = 6

    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(784, 12)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.fc(x.flatten(1))[:, :6]


@pytest.mark.parametrize(
    "make",
    [
        EmbeddingNet,
        EmbeddingNetL2,
        lambda: EmbeddingNet(16),
        lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 9), nn.ReLU(), nn.Linear(9, 7)),
        WithAttribute,
    ],
)
def test_classification_net_takes_any_embedding_net_of_any_size(make: Callable[[], nn.Module]) -> None:
    embedding_net = make()
    net = ClassificationNet(embedding_net, n_classes=5)
    scores = net(images(4))
    assert scores.shape == (4, 5)
    torch.testing.assert_close(scores.exp().sum(dim=1), torch.ones(4))
    embeddings = net.get_embedding(images(4))
    torch.testing.assert_close(embeddings, nn.functional.prelu(embedding_net(images(4)), torch.tensor([0.25])))
    torch.testing.assert_close(scores, net.fc1(embeddings).log_softmax(dim=1))


def test_classification_net_of_no_classes_raises() -> None:
    with pytest.raises(ValueError, match="ClassificationNet: n_classes=0 must be at least 1"):
        ClassificationNet(EmbeddingNet(), 0)


def test_classification_net_of_a_net_of_unknown_size_raises() -> None:
    with pytest.raises(ValueError, match="Flatten has neither an attribute embedding_size nor a linear layer"):
        ClassificationNet(nn.Flatten(), 10)


@pytest.mark.parametrize(("make", "n_inputs"), [(SiameseNet, 2), (TripletNet, 3)])
def test_siamese_and_triplet_nets_share_one_net(make: type, n_inputs: int) -> None:
    embedding_net = EmbeddingNet()
    net = make(embedding_net)
    inputs = [images(2 + i) for i in range(n_inputs)]
    outputs = net(*inputs)
    assert len(outputs) == n_inputs
    for x, output in zip(inputs, outputs, strict=True):
        assert torch.equal(output, embedding_net(x))
        assert torch.equal(net.get_embedding(x), embedding_net(x))
    assert {id(p) for p in net.parameters()} == {id(p) for p in embedding_net.parameters()}


@pytest.mark.parametrize("fails", [False, True])
def test_evaluating_restores_the_mode_of_every_module(fails: bool) -> None:
    net = nn.Sequential(nn.Dropout(), nn.Sequential(nn.BatchNorm1d(2), nn.Dropout()))
    net[1][0].eval()  # frozen
    before = [module.training for module in net.modules()]
    try:
        with evaluating(net):
            assert not any(module.training for module in net.modules())
            assert not torch.is_grad_enabled()
            if fails:
                raise KeyError
    except KeyError:
        pass
    assert [module.training for module in net.modules()] == before
    assert torch.is_grad_enabled()


@pytest.mark.parametrize("wrap", [nn.DataParallel, torch.compile, torch.optim.swa_utils.AveragedModel])
def test_a_classifier_asks_a_wrapped_net_for_the_size_of_its_embeddings(wrap: type) -> None:
    net = nn.Sequential(nn.Flatten(), nn.Linear(4, 9), nn.Unflatten(1, (3, 3)), nn.AvgPool1d(3), nn.Flatten())
    net.embedding_size = 3
    assert ClassificationNet(wrap(net), 5)(torch.rand(2, 4)).shape == (2, 5)
