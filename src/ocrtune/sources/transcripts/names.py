"""Ids of strangers → names that are there once."""


class UniqueNames:
    """Gives each element a name of its own, whatever ids a file has twice."""

    def __init__(self) -> None:
        self._taken: dict[str, int] = {}

    def take(self, name: str) -> str:
        """The name itself the first time; then `name~2`, and so on, unless an element is called so already."""
        unique = name
        while unique in self._taken:
            self._taken[name] += 1
            unique = f"{name}~{self._taken[name]}"
        self._taken[unique] = 1
        return unique
