"""Colours, markers and names in the book's plots and diagrams; `theme.mjs` has them for the animated figures."""

# Ten colours that colour-blind readers can tell apart (after Paul Tol's "muted"), each with its own marker.
COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#44AA99", "#999933", "#882255", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

# Colour and marker of the negatives of a positive pair, by their triplet loss.
ZONES = {"hard": ("#CC6677", "v"), "semi-hard": ("#DDCC77", "D"), "easy": ("#88CCEE", "o")}
ANCHOR, POSITIVE = ("black", "*"), ("black", "P")

INK, SOFT, PALE = "#222222", "#666666", "#E6E9EF"  # text and lines, background details, areas
PULL, PUSH = "#2F5FC4", "#B8354A"  # arrows that pull positives together (solid) and push negatives apart (dashed)

# Data sets and methods, by name in lower case without hyphens or spaces: pairs blue, triplets red, online dark.
SERIES = {
    "mnist": ("#332288", "o"),
    "fashionmnist": ("#117733", "s"),
    "omniglot": ("#CC6677", "^"),
    "softmax": ("#777777", "*"),
    "siamese": ("#88CCEE", "s"),
    "onlinecontrastive": ("#332288", "P"),
    "triplet": ("#CC6677", "v"),
    "onlinetriplet": ("#882255", ">"),
}


AS_IT_IS = {"parse_math": False}  # options of matplotlib's texts for names: a `$` in a name begins no formula


def class_style(label: int) -> tuple[str, str]:
    """Return colour and marker of the class `label`: the tables' own up to 9, then a new pair for each up to 99."""
    return COLOURS[label % 10], MARKERS[(label + label // 10) % 10]


def plain(name: object) -> str:
    """Return the text of `name` with escapes for what cannot be printed: the bytes of a file name that is no UTF-8."""
    return str(name).encode("utf-8", "backslashreplace").decode()


def series_style(name: str, number: int) -> tuple[str, str]:
    """Return colour and marker of a data set or method of the book by `name`, of any other series by `number`."""
    by_number = COLOURS[2 * number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    return SERIES.get(name.lower().replace("-", "").replace(" ", ""), by_number)
