"""The one tokenizer of the three families."""

from types import MappingProxyType

from ocrtune.families.family import Vocabulary

BOS = "<｜begin▁of▁sentence｜>"
EOS = "<｜end▁of▁sentence｜>"
PAD = "<｜▁pad▁｜>"
IMAGE = "<image>"

VOCABULARY = Vocabulary(
    bos=BOS,
    eos=EOS,
    pad=PAD,
    image=IMAGE,
    kept=(
        "<|ref|>",
        "<|/ref|>",
        "<|det|>",
        "<|/det|>",
        "<|grounding|>",
        "<td>",
        "</td>",
        "<tr>",
        "</tr>",
    ),
    unguarded=("<td>", "</td>"),
    published_ids=MappingProxyType(
        {
            BOS: 0,
            EOS: 1,
            PAD: 2,
            IMAGE: 128815,
            "<|ref|>": 128816,
            "<|/ref|>": 128817,
            "<|det|>": 128818,
            "<|/det|>": 128819,
            "<|grounding|>": 128820,
            "<td>": 128821,
            "</td>": 128822,
            "<tr>": 128823,
            "</tr>": 128824,
        }
    ),
    published_vocabulary_size=129280,
)
