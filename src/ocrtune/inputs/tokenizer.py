"""Text ↔ ids, over the `tokenizers` library."""

import shutil
from collections.abc import Iterable
from pathlib import Path

import tokenizers

from ocrtune.errors import TokenizerError
from ocrtune.families.family import Vocabulary
from ocrtune.families.vocabulary import VOCABULARY

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_FILES = (TOKENIZER_FILE, "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json")
"""The files a checkpoint carries for its tokenizer; only the first is read here."""


class Tokenizer:
    """A checkpoint's tokenizer: adds nothing, cuts nothing, and keeps tables and boxes when it decodes.

    Attributes:
        folder: Where it was read from.
        bos_id: Id of the begin of a sequence.
        eos_id: Id of the end of an answer.
        pad_id: Id of padding.
        image_id: Id that stands for one vision feature.
        kept_ids: Special tokens that belong to an answer: boxes and tables.
        unguarded_ids: Ids the repetition guard never forbids.
        size: One more than the highest id.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, folder: Path, vocabulary: Vocabulary) -> None:
        # A tokenizer.json can ask for both; a silent cut here would cost image tokens or EOS.
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.folder = folder
        ids = _special_ids(tokenizer, folder, vocabulary)
        self.bos_id = ids[vocabulary.bos]
        self.eos_id = ids[vocabulary.eos]
        self.pad_id = ids[vocabulary.pad]
        self.image_id = ids[vocabulary.image]
        self.kept_ids = frozenset(ids[text] for text in vocabulary.kept)
        self.unguarded_ids = frozenset(ids[text] for text in vocabulary.unguarded)
        self.size = max(tokenizer.get_vocab(with_added_tokens=True).values()) + 1

    @classmethod
    def read(cls, folder: Path, vocabulary: Vocabulary = VOCABULARY) -> "Tokenizer":
        """The tokenizer of a checkpoint folder.

        Raises:
            TokenizerError: There is no `tokenizer.json`, it cannot be read, or a special token is missing.
        """
        path = folder / TOKENIZER_FILE
        if not path.is_file():
            raise TokenizerError(
                f"no {TOKENIZER_FILE}",
                where=str(folder),
                hint="copy tokenizer.json and tokenizer_config.json of the base model into the folder",
            )
        try:
            tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises bare Exception for every fault of the file
            raise TokenizerError(f"not a tokenizer: {error}", where=str(path)) from error
        return cls(tokenizer, folder, vocabulary)

    @property
    def control_ids(self) -> frozenset[int]:
        """Ids that no text may hold: BOS, EOS, padding and image tokens are placed by the layout alone."""
        return frozenset({self.bos_id, self.eos_id, self.pad_id, self.image_id})

    def encode(self, text: str) -> list[int]:
        """Ids of `text`, nothing added; special tokens written in the text become their ids."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def decode(self, ids: Iterable[int]) -> str:
        """The text of an answer: BOS, EOS, padding and image tokens are dropped, boxes and tables stay."""
        kept = [int(token) for token in ids if int(token) not in self.control_ids]
        return str(self._tokenizer.decode(kept, skip_special_tokens=False))

    def token_text(self, token_id: int) -> str:
        """The text of one token, special or not; a part of a character is shown as the replacement character."""
        return str(self._tokenizer.decode([token_id], skip_special_tokens=False))

    def write(self, folder: Path) -> None:
        """Copy the tokenizer files, as they were read, to another folder."""
        if folder.resolve() == self.folder.resolve():
            return
        folder.mkdir(parents=True, exist_ok=True)
        for name in TOKENIZER_FILES:
            source = self.folder / name
            if source.is_file():
                temporary = folder / f"{name}.tmp"
                shutil.copyfile(source, temporary)
                temporary.replace(folder / name)


def _special_ids(tokenizer: tokenizers.Tokenizer, folder: Path, vocabulary: Vocabulary) -> dict[str, int]:
    texts = (vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.image, *vocabulary.kept)
    found = {text: tokenizer.token_to_id(text) for text in texts}
    # A plain vocabulary entry is not enough: only an added token is cut out of a text as a whole.
    missing = [
        text
        for text, token_id in found.items()
        if tokenizer.encode(text, add_special_tokens=False).ids != [token_id]
    ]
    if missing:
        raise TokenizerError(
            f"the tokenizer lacks the special token{'s' if len(missing) > 1 else ''} {', '.join(missing)}",
            where=str(folder / TOKENIZER_FILE),
            hint="take the tokenizer files of the model that is fine-tuned, not of another one",
        )
    return {text: token_id for text, token_id in found.items() if token_id is not None}
