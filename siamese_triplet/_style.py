"""The colours and markers of every picture of the book: plots, diagrams, and (in `theme.mjs`) figures that move."""

# Ten colours that stay apart for colour-blind readers (after Paul Tol's "muted"), each with a marker of its own.
COLOURS = ("#332288", "#88CCEE", "#117733", "#DDCC77", "#CC6677", "#AA4499", "#44AA99", "#999933", "#882255", "#777777")
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "<", ">", "*")

# The negatives of a positive pair, by what the triplet loss says of them: colour and marker.
ZONES = {"hard": ("#CC6677", "v"), "semi-hard": ("#DDCC77", "D"), "easy": ("#88CCEE", "o")}
ANCHOR, POSITIVE = ("black", "*"), ("black", "P")

INK, SOFT, PALE = "#222222", "#666666", "#E6E9EF"  # text and lines, what stands back, areas
PULL, PUSH = "#2F5FC4", "#B8354A"  # what draws a positive pair together (solid), what drives a negative apart (dashed)

# What is compared, by its name in small letters and without hyphens: pairs blue, triplets red, online ones dark.
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


def series_style(name: str, number: int) -> tuple[str, str]:
    """Colour and marker of a data set or method of the book, by `name`; of any other series, by its `number`."""
    by_number = COLOURS[2 * number % len(COLOURS)], MARKERS[number % len(MARKERS)]
    return SERIES.get(name.lower().replace("-", "").replace(" ", ""), by_number)
