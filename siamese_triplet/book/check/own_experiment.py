"""Exercises that are experiments: the reader's own runs, and the conclusion that they allow. Chapter 4."""

from collections.abc import Sequence

from siamese_triplet.book.check.verdict import describe

CONCLUSIONS = ("mined", "unmined", "no difference")
AS_MANY = 3  # seeds at least


def mining_experiment(mined: Sequence[float], unmined: Sequence[float], conclusion: str) -> None:
    """Check the conclusion from the MAP@R of mined and of unmined pairs, one number per seed (chapter 4).

    It must be one of `CONCLUSIONS`. One of the two is ahead if its worst seed is above the best of the other.
    """
    problem = _problem(mined, unmined, conclusion)
    if problem:
        print("not yet: your experiment", f"  given     {describe(conclusion)}", f"  hint      {problem}", sep="\n")
    else:
        print(f"correct: from the least to the greatest, {_range(mined)} mined and {_range(unmined)} unmined")


def _problem(mined: object, unmined: object, conclusion: object) -> str:
    """Say what is wrong with the results or the conclusion; nothing if they are right."""
    for name, results in (("mined", mined), ("unmined", unmined)):
        if not isinstance(results, (list, tuple)) or not all(isinstance(value, float) for value in results):
            return f"{name} must be a list of numbers, such as retrieval_metrics(…)['map_at_r']"
        if len(results) < AS_MANY:
            return f"{name} has {len(results)} results; take at least {AS_MANY} seeds"
        if not all(0 < value <= 1 for value in results):
            return f"{name} holds numbers that are no MAP@R, which lies between 0 and 1"
        if len(set(results)) < len(results):
            return f"{name} holds a result twice: does every run have a seed of its own?"
    if conclusion not in CONCLUSIONS:
        return f"conclude one of {', '.join(map(repr, CONCLUSIONS))}"
    if conclusion != _conclusion(mined, unmined):  # type: ignore[arg-type]
        return "one is ahead only if its worst seed is above the best seed of the other"
    return ""


def _conclusion(mined: Sequence[float], unmined: Sequence[float]) -> str:
    if min(mined) > max(unmined):
        return "mined"
    return "unmined" if min(unmined) > max(mined) else "no difference"


def _range(results: Sequence[float]) -> str:
    return f"{min(results):.3f} to {max(results):.3f}"
