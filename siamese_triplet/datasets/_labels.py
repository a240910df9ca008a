"""Labels that stand elsewhere than in the names of folders: in a list, or in a table of file names."""

import csv
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from siamese_triplet.datasets._listing import find_images
from siamese_triplet.datasets._naming import MAX_NAMED, expand, listed, printable

UNKNOWN = -1  # the target of an image whose class is not known
LABEL_COLUMNS = ("label", "labels", "class", "classes", "target", "category", "species", "identity", "product", "name")
TABLES = (".csv", ".tsv")
MAX_CSV_FIELD = 2**20


def number_labels(labels: Any, n_images: int, classes: Sequence[str] | None) -> tuple[list[str], Tensor]:
    """Return the names of the classes and the number of each image's class, int64 (N,), `UNKNOWN` for none.

    `labels` are names or whole numbers, one per image; None, NaN and −1 are unknown, and so are all without `labels`.
    Without `classes` the names are sorted, numbers by their size. With them, numbers are positions in `classes`.
    """
    if classes is not None and (isinstance(classes, str) or len(set(classes)) < len(classes)):
        raise ValueError(f"classes must be a list of different names, got {listed(classes)}")
    values: list[int | str | None] = (
        [None] * n_images if labels is None else [_plain(label) for label in _as_list(labels)]
    )
    if len(values) != n_images:
        raise ValueError(f"got {n_images} paths but {len(values)} labels; there must be one label each")
    known = {value for value in values if value is not None}
    if classes is None:
        if len({type(value) for value in known}) > 1:  # numbers and names
            values, known = [value if value is None else str(value) for value in values], set(map(str, known))
        classes, position = list(map(str, sorted(known))), {value: number for number, value in enumerate(sorted(known))}
    else:
        position = {name: number for number, name in enumerate(classes)} | {n: n for n in range(len(classes))}
        if missing := known - position.keys():
            raise ValueError(
                printable(
                    f"{len(missing):,} labels are not among the {len(classes):,} given classes: "
                    f"{listed(sorted(missing, key=str))}; name all classes, or leave classes out"
                )
            )
    return list(classes), torch.tensor([UNKNOWN if value is None else position[value] for value in values]).long()


def existing_files(paths: Iterable[Any]) -> list[Path]:
    """Return `paths` as a list; raise FileNotFoundError for those that are no files, naming ten."""
    if isinstance(paths, (str, bytes, Path)):
        raise ValueError(f"paths must be a list of paths, got one: {printable(paths)!r}")
    files = [expand(path) for path in paths]
    if missing := [str(path) for path in files if not path.is_file()]:
        raise FileNotFoundError(printable(f"{len(missing):,} of {len(files):,} paths are no files: {listed(missing)}"))
    return files


def read_labels(
    table: Path, root: Path, file_column: str | None = None, label_column: str | None = None
) -> tuple[list[Path], list[str | None]]:
    """Read the files and their labels from a CSV `table` of file names below `root`; an empty label is unknown.

    Commas, semicolons and tabs separate columns. The column of files is the first one whose first value is a file, with
    or without its ending, in `root` or deeper. That of labels has one of the usual names, or is the only other one.
    """
    header, rows = _rows(table)
    files = _Files(root)
    column = _find_column(table, header, file_column, "file")
    if column is None:
        if any(map(files.find, header)):  # it is none, but the first row
            rows, header = [header, *rows], [str(number) for number in range(len(header))]
        column = next((number for number, value in enumerate(rows[0]) if files.find(value)), None)
    if column is None:
        raise ValueError(
            printable(f"{table}: none of {listed(header)} has the names of files in {root}; name it by file_column")
        )
    label = _find_column(table, header, label_column, "label")
    if label is None:
        usual = [number for number, name in enumerate(header) if name.strip().lower() in LABEL_COLUMNS]
        others = usual or [number for number in range(len(header)) if number != column]
        if not others or (len(others) > 1 and not usual):
            raise ValueError(printable(f"{table}: which of {listed(header)} has the labels? Name it by label_column"))
        label = others[0]
    found = [files.find(row[column]) for row in rows]
    if missing := [row[column] for row, path in zip(rows, found, strict=True) if path is None]:
        raise FileNotFoundError(
            printable(
                f"{len(missing):,} of {len(rows):,} files of {table} are not in {root}, or there are several of that "
                f"name: {listed(missing, MAX_NAMED)}"
            )
        )
    return [path for path in found if path is not None], [row[label].strip() or None for row in rows]


def table_of(root: Path) -> Path | None:
    """Return the CSV file in `root`, if there is a single one; a ValueError if there are several."""
    tables = sorted(path for path in root.iterdir() if path.suffix.lower() in TABLES) if root.is_dir() else []
    if len(tables) > 1:
        raise ValueError(
            printable(f"{root} has several tables: {listed([path.name for path in tables])}; read one by from_csv")
        )
    return tables[0] if tables else None


class _Files:
    """The files below a folder, to be found by name, with or without their ending."""

    def __init__(self, root: Path) -> None:
        self.root, self.by_name = root, dict[str, Path | None]()

    def find(self, name: str) -> Path | None:
        """Return the file of that name, which may be a path from the folder; None if there is none, or several."""
        name = name.strip()
        if name and (path := self.root / name).is_file():
            return path
        if not self.by_name:
            for path in find_images(self.root):
                for key in (path.name, path.stem):
                    self.by_name[key] = path if key not in self.by_name else None
        return self.by_name.get(name)


def _rows(table: Path) -> tuple[list[str], list[list[str]]]:
    """Return the header and the other rows of a CSV file, all of the same length; empty rows are left out."""
    try:
        text = table.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise ValueError(printable(f"{table} cannot be read as a table in UTF-8: {error}")) from error
    first = text.partition("\n")[0]
    delimiter = max(",;\t", key=first.count)
    csv.field_size_limit(MAX_CSV_FIELD)
    try:
        rows = [row for row in csv.reader(text.splitlines(), delimiter=delimiter) if any(row)]
    except csv.Error as error:
        raise ValueError(printable(f"{table} is not a CSV file: {error}")) from error
    if len(rows) < 2 or len(rows[0]) < 2:
        raise ValueError(printable(f"{table} must have a header, two columns and a row for each image"))
    wrong = [number for number, row in enumerate(rows) if len(row) != len(rows[0])]
    if wrong:
        some = ", ".join(str(number + 1) for number in islice(wrong, MAX_NAMED))
        raise ValueError(printable(f"{table}: {len(wrong):,} rows do not have {len(rows[0])} columns: rows {some}"))
    return rows[0], rows[1:]


def _find_column(table: Path, header: list[str], name: str | None, kind: str) -> int | None:
    if name is None:
        return None
    if name not in header:
        raise ValueError(printable(f"{table} has no column {name!r}; {kind}_column must be one of {listed(header)}"))
    return header.index(name)


def _as_list(labels: Any) -> list[Any]:
    if isinstance(labels, str):
        raise ValueError(f"labels must be a list of names or numbers, got one: {labels!r}")
    return labels.tolist() if hasattr(labels, "tolist") else list(labels)


def _plain(label: Any) -> int | str | None:
    """Convert a label to an integer or text; None for one that is unknown."""
    label = label.item() if hasattr(label, "item") else label
    if isinstance(label, float):
        label = None if label != label else int(label) if label.is_integer() else label
    if label is None or (isinstance(label, int) and label == UNKNOWN):
        return None
    if not isinstance(label, (int, str)):
        raise ValueError(f"labels must be names or whole numbers, one per image, got {label!r}")
    return int(label) if isinstance(label, int) else label
