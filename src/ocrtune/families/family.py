"""What a model family is: a record of facts, with no behaviour of its own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Fit = Literal["pad", "stretch"]
Grounding = Literal["ref-det", "det"]

VIEW_STEP_PX = 64
"""Views are cut in 16 px patches and merged 4 by 4, so their sides are multiples of 64 px."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Mode:
    """How a page becomes views.

    Attributes:
        name: Its name in configurations and messages.
        global_px: Side of the global view.
        tile_px: Side of a tile; None where the mode cuts none.
        max_tiles: Most tiles of one page; 0 where the mode cuts none.
        fit: `pad` keeps the aspect ratio and fills with grey, `stretch` loses it.
    """

    name: str
    global_px: int
    tile_px: int | None = None
    max_tiles: int = 0
    fit: Fit = "pad"


@dataclass(frozen=True, slots=True, kw_only=True)
class Decoding:
    """Greedy decoding with a guard against repetition.

    Attributes:
        no_repeat_ngram_tokens: An n-gram of this length may not come twice within the window.
        window_tokens: How far back the guard looks.
    """

    no_repeat_ngram_tokens: int
    window_tokens: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """Special tokens by text, and the ids they have in the published tokenizer.

    Small models keep the texts and have ids of their own; ids at run time come from the tokenizer.

    Attributes:
        bos: Begin of sequence.
        eos: End of sequence.
        pad: Padding.
        image: Stands for one vision feature.
        kept: Special tokens that belong to an answer: boxes and tables; a decode must not delete them.
        unguarded: Tokens the repetition guard never forbids.
        published_ids: Text → id in the published tokenizer.
        published_vocabulary_size: Rows of the published embedding.
    """

    bos: str
    eos: str
    pad: str
    image: str
    kept: tuple[str, ...]
    unguarded: tuple[str, ...]
    published_ids: Mapping[str, int]
    published_vocabulary_size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """Facts about one model family.

    Attributes:
        name: Its name in configurations, checkpoints and messages; the native `model_type`.
        title: Its name for people.
        modes: By name.
        default_mode: The mode the published model is used with most.
        vocabulary: Special tokens.
        prompts: Published prompts by a short name.
        default_prompt: Key of `prompts`.
        decoding: Published settings by use; `evaluation` and `single` or `pages` are what prediction asks for.
        max_new_tokens: Published limit of an answer.
        newline_after_row: A newline feature follows each row of a view's features.
        view_sides_px: The only sides the vision encoder has queries for; empty for any multiple of 64.
        several_images: An example may hold several images, if the mode cuts no tiles.
        reference_window: The decoder sees prompt and image tokens and a window of generated ones only.
        decodes_padded: A batch may be decoded with left padding; otherwise only equal lengths together.
        grid_argument: The native model wants the tile grids.
        max_positions: Positions the published decoder was trained for.
        architectures: `architectures` of the published and the native `config.json`.
        vision_model_name: `vision_config.model_name` of the published `config.json`.
        published_model_type: `model_type` of the published `config.json`.
        native_class: Name of the class that computes it.
        grounding: How an answer writes a box: `<|ref|>label<|/ref|><|det|>[[x1, y1, x2, y2]]<|/det|>` and the text on
            the next line, or `<|det|>label [x1, y1, x2, y2]<|/det|>` and the text behind it.
        unused_tensors: Published tensors no code reads; an export carries them because servers ask for them.
        published_modules: Native module path → published module path, for parts named in messages and adapters.
        served_max_tiles: Most tiles the usual servers cut; where fewer than the mode's, an export says so.
    """

    name: str
    title: str
    modes: Mapping[str, Mode]
    default_mode: str
    vocabulary: Vocabulary
    prompts: Mapping[str, str]
    default_prompt: str
    decoding: Mapping[str, Decoding]
    max_new_tokens: int
    newline_after_row: bool
    several_images: bool
    reference_window: bool
    decodes_padded: bool
    grid_argument: bool
    max_positions: int
    architectures: tuple[str, ...]
    vision_model_name: str
    published_model_type: str
    native_class: str
    grounding: Grounding
    view_sides_px: tuple[int, ...] = ()
    unused_tensors: tuple[str, ...] = ()
    published_modules: Mapping[str, str] = field(default_factory=dict)
    served_max_tiles: int | None = None
