"""How well a model's vocabulary fits the texts: tokens a character by script, and characters it does not have."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from ocrtune.records import Finding

FEWEST_CHARS_OF_SCRIPT = 200
MANY_TOKENS_PER_CHAR = 0.9
"""Texts in Latin and Cyrillic letters take about 0.4, in Chinese 0.7."""

_MOST_SHOWN = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class ScriptTokens:
    """What the texts of one script take.

    Attributes:
        script: Such as `Cyrillic`; digits, signs and spaces count to the script before them.
        characters: Of all texts.
        tokens: For them.
        tokens_per_character: Of both.
    """

    script: str
    characters: int
    tokens: int
    tokens_per_character: float


@dataclass(slots=True, kw_only=True)
class Vocabulary:
    """Counts of texts and their tokens; those of parts add up to those of the whole.

    Attributes:
        characters: By script.
        tokens: By script.
        lost: Characters that the tokenizer cannot write, and how often they stand in the texts.
    """

    characters: Counter[str] = field(default_factory=Counter)
    tokens: Counter[str] = field(default_factory=Counter)
    lost: Counter[str] = field(default_factory=Counter)

    @classmethod
    def from_dict(cls, values: Mapping[str, Mapping[str, int]]) -> "Vocabulary":
        """The counts that `as_dict` wrote."""
        return cls(**{name: Counter(counts) for name, counts in values.items()})

    def as_dict(self) -> dict[str, dict[str, int]]:
        """Plain values for JSON."""
        return {
            "characters": dict(self.characters),
            "tokens": dict(self.tokens),
            "lost": dict(self.lost),
        }

    def merge(self, other: "Vocabulary") -> None:
        """Add what was counted of other texts with the same tokenizer."""
        self.characters.update(other.characters)
        self.tokens.update(other.tokens)
        self.lost.update(other.lost)

    def scripts(self) -> tuple[ScriptTokens, ...]:
        """What each script takes, the most written one first."""
        return tuple(
            ScriptTokens(
                script=script,
                characters=count,
                tokens=self.tokens[script],
                tokens_per_character=round(self.tokens[script] / count, 3),
            )
            for script, count in sorted(self.characters.items(), key=lambda item: (-item[1], item[0]))
        )

    def findings(self) -> Iterator[Finding]:
        """A note for each script that takes many tokens, and a warning for characters that get lost."""
        for each in self.scripts():
            if (
                each.characters >= FEWEST_CHARS_OF_SCRIPT
                and each.tokens >= MANY_TOKENS_PER_CHAR * each.characters
            ):
                rate = each.tokens / each.characters
                yield Finding(
                    code="vocabulary-fit",
                    severity="note",
                    message=f"{each.script}: {rate:.1f} tokens a character, over {each.characters} characters",
                    hint="answers get long and slow; leave room in inputs.max_tokens and evaluation.decoding",
                )
        if self.lost:
            often = sorted(self.lost.items(), key=lambda item: (-item[1], item[0]))[:_MOST_SHOWN]
            shown = " ".join(_tell(character) for character, _ in often)
            yield Finding(
                code="character-unknown",
                severity="warning",
                message=f"the tokenizer cannot write {len(self.lost)} characters of the texts: {shown}",
                hint="replace them in the texts: the model can never answer them",
                count=sum(self.lost.values()),
            )


def _tell(character: str) -> str:
    return character if character.isprintable() and not character.isspace() else f"U+{ord(character):04X}"
