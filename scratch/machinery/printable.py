"""Text from files and from other people's code, for messages."""


def short(text: str, limit: int = 60) -> str:
    """One printable line of at most `limit` characters, for messages and labels."""
    line = "".join(letter if letter.isprintable() else "?" for letter in " ".join(text.split()))
    return line if len(line) <= limit else line[: limit - 1] + "…"
