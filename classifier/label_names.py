"""Names of labels (--label-names). They appear in reports and exports; the topic holds the numbers."""

from collections.abc import Sequence


def label_name(label: int, names: Sequence[str] = ()) -> str:
    """Return '2 spendthrift', or '2' if the label has no name."""
    return f"{label} {names[label]}" if label < len(names) else str(label)


def parse_label(text: str, names: Sequence[str] = ()) -> int:
    """Return the label of a number or a name.

    Raises
    ------
    ValueError
        If the text is neither, or is the number of one label and the name of another.
    """
    if not names:
        if text.isascii() and text.isdigit():
            return int(text)
        raise ValueError(
            f"a label is a number, 0 for the users who spend least, got {text!r}; for names add --label-names"
        )
    found = [label for label, name in enumerate(names) if text in (str(label), name)]
    if not found:
        known = ", ".join(label_name(label, names) for label in range(len(names)))
        raise ValueError(f"there is no label {text!r} among {known}")
    if len(found) > 1:
        raise ValueError(f"{text!r} is the name of one label and the number of another; choose other --label-names")
    return found[0]


def parse_label_names(text: str, n_clusters: int) -> tuple[str, ...]:
    """Return the names in 'stingy,standard,spendthrift', label 0 first.

    Raises
    ------
    ValueError
        If the number of names is not `n_clusters`, or a name is empty, repeated, or not printable.
    """
    names = tuple(name.strip() for name in text.split(","))
    if len(names) != n_clusters:
        raise ValueError(
            f"{n_clusters} clusters need {n_clusters} names, separated by commas, got {len(names)}: {text!r}"
        )
    for label, name in enumerate(names):
        if not name:
            raise ValueError(f"the name of label {label} is empty, got {text!r}")
        if not name.isprintable():
            raise ValueError(f"the name of label {label} has characters that cannot be printed, got {text!r}")
        if name in names[:label]:
            raise ValueError(f"labels {names.index(name)} and {label} are both named {name!r}; each needs its own name")
    return names


def label_names_from(given: str | None, n_clusters: int | None) -> Sequence[str]:
    """Return the names of --label-names, none if it was not given.

    Raises
    ------
    ValueError
        As `parse_label_names`. Any number of names is accepted while `n_clusters` is None.
    """
    if given is None:
        return ()
    expected = given.count(",") + 1 if n_clusters is None else n_clusters
    try:
        return parse_label_names(given, expected)
    except ValueError as error:
        raise ValueError(f"--label-names: {error}") from None


def missing_name_message(highest: int, names: Sequence[str], output: str) -> str:
    """Return a message if names were given and the highest label of the output has none; otherwise nothing."""
    if not names or highest < len(names):
        return ""
    return f"--label-names: {output} has a label {highest}, got {len(names)} names; add a name for it"
