import pytest
import torch

from siamese_triplet._sorting import class_order, ranges

LABELS = [[], [7], [0, 0, 0], [3, 1, 2], [2, -1, 2, 5, -1, 2], [1, 0] * 20, [10**12, -(10**12), 10**12]]


@pytest.mark.parametrize("labels", LABELS, ids=len)
def test_class_order_equals_a_sorted_list(labels: list[int]) -> None:
    order = class_order(torch.tensor(labels, dtype=torch.int64))
    images = sorted(range(len(labels)), key=lambda i: labels[i])  # equal labels keep their order
    assert order.image.tolist() == images
    in_order = [labels[i] for i in images]
    assert order.start.tolist() == [in_order.index(label) for label in in_order]
    assert order.end.tolist() == [in_order.index(label) + in_order.count(label) for label in in_order]
    assert all(tensor.dtype == torch.int64 for tensor in order)


@pytest.mark.parametrize("dtype", [torch.uint8, torch.int8, torch.int32, torch.bool])
def test_class_order_accepts_every_integer_type(dtype: torch.dtype) -> None:
    labels = torch.tensor([1, 0, 1, 1, 0])
    for found, expected in zip(class_order(labels.to(dtype)), class_order(labels), strict=True):
        assert torch.equal(found, expected)


@pytest.mark.parametrize(
    ("first", "count"),
    [([], []), ([5], [0]), ([5], [3]), ([4, 0, 7, 7], [2, 0, 3, 1]), ([0, 0, 9], [0, 4, 0]), ([3, 2, 1], [1, 1, 1])],
)
def test_ranges_equal_plain_loops(first: list[int], count: list[int]) -> None:
    expected = [(row, first[row] + i) for row in range(len(first)) for i in range(count[row])]
    tensors = [torch.tensor(numbers, dtype=torch.int64) for numbers in (first, count)]
    row, number = ranges(*tensors)
    assert list(zip(row.tolist(), number.tolist(), strict=True)) == expected
    assert row.dtype == number.dtype == torch.int64
    for chosen in (list(range(len(expected)))[::-1], list(range(len(expected)))[1::2], [0, 0][: len(expected)], []):
        row, number = ranges(*tensors, torch.tensor(chosen, dtype=torch.int64))
        assert list(zip(row.tolist(), number.tolist(), strict=True)) == [expected[i] for i in chosen]
