"""What others wrote, before it is printed: it may not move a terminal, nor hide in a line, nor fill a screen."""


def printable(text: str) -> str:
    """Return what somebody else wrote without what moves a terminal, or hides in a line."""
    return "".join(character if character.isprintable() else " " for character in text)


def one_line(text: str | None, longest: int) -> str:
    """Return what somebody else wrote on one line of printable characters, cut where it is longer than that."""
    line = " ".join(printable(text or "").split())
    return line if len(line) <= longest else line[:longest] + "…"
