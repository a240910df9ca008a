"""Exercises on pretrained networks: chapter 15."""

from collections.abc import Callable, Sequence

from siamese_triplet.book.check.verdict import Case, judge


def mean_and_std(function: Callable[[float, float], tuple[float, float]]) -> None:
    """Check the mean and standard deviation of pixels in [0, 1], from (x - subtracted) / divided (chapter 15)."""

    def case(name: str, subtracted: float, divided: float, hint: str) -> Case:
        expected = (subtracted / 255, divided / 255)
        return Case(f"{name}: (x - {subtracted}) / {divided}", (subtracted, divided), expected, hint)

    cases = [
        case("scaled to [0, 1] only", 0, 255, "nothing is subtracted, and the pixels are divided by 255 already"),
        case("EfficientNet-Lite", 127, 128, "with p = x / 255: (255 p - 127) / 128 = (p - mean) / std; what is mean?"),
        case("scaled to [-1, 1]", 127.5, 127.5, "both numbers are on the scale of the pixels"),
        case("only the mean, as some old networks", 104, 1, "std is the divisor on the scale of [0, 1]"),
    ]
    judge(function, cases, "this is what normalization(mean, std) takes", _as_numbers)


def parts_trained(function: Callable[[int, int, int], Sequence[int]]) -> None:
    """Check which of `n_parts` are trained in an epoch, if one is thawed `every` few (chapter 15)."""

    def case(name: str, epoch: int, n_parts: int, every: int, hint: str) -> Case:
        n_thawed = min((epoch - 1) // every, n_parts)
        expected = list(range(n_parts - n_thawed, n_parts))
        return Case(f"{name}: {epoch=}, {n_parts=}, {every=}", (epoch, n_parts, every), expected, hint)

    cases = [
        case("the first epoch", 1, 3, 1, "at first all parts are frozen, and only the head is trained"),
        case("the second epoch", 2, 3, 1, "the last part is thawed first: its features are the most special ones"),
        case("all but one", 3, 3, 1, "after two epochs, two parts are thawed"),
        case("two epochs for each", 4, 3, 2, "epoch 4 comes after 3 complete epochs, and 3 // 2 parts"),
        case("all of them", 9, 3, 2, "there are no more than n_parts"),
    ]
    judge(function, cases, "as LayerwiseThaw does it", _as_sorted_list)


def _as_numbers(answer: object) -> object:
    try:
        first, second = (float(value) for value in answer)  # type: ignore[attr-defined]  # an error leaves it as it is
    except Exception:
        return answer
    return (first, second)


def _as_sorted_list(answer: object) -> object:
    try:
        return sorted(int(value) for value in answer)  # type: ignore[attr-defined]  # an error leaves it as it is
    except Exception:
        return answer
