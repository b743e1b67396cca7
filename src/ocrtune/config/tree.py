"""The recipe of a run: one frozen tree, every key documented, unknown keys refused.

The tree says what to do, never what the machine is: device and dtype are decisions made later, with a reason.
"""

from collections.abc import Mapping
from typing import Annotated, Literal, get_args

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    field_validator,
    model_validator,
)

from ocrtune.families import Fit
from ocrtune.text import Normalization

Part = Literal["decoder", "projector", "vision"]
CheckpointedPart = Literal["decoder", "vision"]
Positive = Annotated[int, Field(ge=1)]
NotNegative = Annotated[int, Field(ge=0)]
Rate = Annotated[float, Field(gt=0)]
Share = Annotated[float, Field(ge=0, le=1)]


class Section(BaseModel):
    """A part of the tree: frozen, and strict about its keys."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class RunSection(Section):
    """Where the run lives.

    Attributes:
        folder: The run folder; the resolved recipe, metrics, checkpoints and report land there.
        seed: Seeds weights, order of examples and dropout.
        resume: Go on from the last checkpoint of the folder, if there is one.
    """

    folder: str = "runs/ocrtune"
    seed: NotNegative = 0
    resume: bool = False


class SourceSection(Section):
    """One of several sources that a run learns from.

    Attributes:
        uri: As `data.uri`.
        name: What pages, documents and the mixture call it; made of `uri` without it.
        weight: Its share of the examples, as a weight beside those of the other sources: small sources come more
            often than once an epoch, of large ones each epoch takes others. All sources have a weight, or none.
        repeats: How often each page comes in an epoch, where there are no weights.
        max_pages: So many pages at most, drawn by `run.seed`.
        prompts: Prompts of its pages with weights, such as `{free: 3, markdown: 1}`; each page keeps the one drawn
            for it by `run.seed`. Without them `data.prompt`; a page's own prompt goes before both.
    """

    uri: str
    name: Annotated[str, Field(pattern=r"^[^/]+$")] | None = None
    weight: Rate | None = None
    repeats: Positive = 1
    max_pages: Positive | None = None
    prompts: dict[str, Rate] = {}

    @model_validator(mode="after")
    def _check(self) -> "SourceSection":
        if self.weight is not None and self.repeats != 1:
            raise ValueError("give weight or repeats, not both")
        return self


class DataSection(Section):
    """Which pages, and how their texts become targets.

    Attributes:
        uri: A JSONL manifest, a folder of images with a text of the same stem each, transcriptions in
            PAGE XML, ALTO or hOCR as `page:FOLDER?level=line` and the like, PDFs with a text layer as
            `pdf:FOLDER?level=line`, a table as `csv:FILE?image=COLUMN`, chats of other trainers as `chat:FILE`,
            shards as `webdataset:shards/{000..099}.tar` or `parquet:FOLDER?image=COLUMN`,
            `builtin` for the sample lines, or `synth:` and a recipe of synthetic pages, which are made while they are
            learned from.
        sources: Several sources in place of `uri`, mixed by weights, caps and repeats.
        validation_uri: Held-out pages, of a source of any kind; without it a share of the documents of `uri` is held
            out, and nothing of synthetic pages.
        validation_documents: Documents of `uri` to hold out, by name; goes before `validation_fraction`.
        validation_fraction: Share of the documents to hold out.
        test_documents: Documents of `uri` used for neither, by name.
        prompt: A prompt of the family by its short name, or a text with one `<image>` per image.
        normalization: What is made equal in targets before they are learned.
        on_error: A page with an error stops the run, or is skipped, counted and listed.
        max_skipped_share: Share of the pages that may be skipped, of streams of the last 1000; over it the run stops.
        json_schema: A file with a JSON Schema: every text is JSON that satisfies it, and is learned in one form, with
            the keys in the schema's order.
        shuffle_pages: Of shards: pages that are shuffled with each other, which follow each other in a shard; the more,
            the better mixed, and the more is read anew or kept in memory.
        allow: Codes of findings whose errors are only warned of.
    """

    uri: str | None = None
    sources: tuple[SourceSection, ...] = ()
    validation_uri: str | None = None
    validation_documents: tuple[str, ...] = ()
    validation_fraction: Share = 0.05
    test_documents: tuple[str, ...] = ()
    prompt: str | None = None
    normalization: Normalization = Normalization()
    on_error: Literal["stop", "skip"] = "stop"
    max_skipped_share: Share = 0.1
    json_schema: str | None = None
    shuffle_pages: Positive = 1000
    allow: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _check(self) -> "DataSection":
        if (self.uri is None) != bool(self.sources):
            raise ValueError("give uri, or sources in its place")
        _check_sources(self.sources)
        if self.validation_uri is not None and self.validation_documents:
            raise ValueError("give validation_uri or validation_documents, not both")
        both = sorted(set(self.validation_documents) & set(self.test_documents))
        if both:
            raise ValueError(f"documents {', '.join(both)} are in validation_documents and test_documents")
        return self

    @property
    def mixed(self) -> tuple[SourceSection, ...]:
        """The sources, `uri` being one by itself."""
        return self.sources or (SourceSection(uri=self.uri or ""),)

    @property
    def title(self) -> str:
        """What the data are called."""
        return " + ".join(source.uri for source in self.mixed)


def _check_sources(sources: tuple[SourceSection, ...]) -> None:
    weights = [source.weight for source in sources]
    if None in weights and any(weights):
        raise ValueError("sources: give each a weight, or none of them")
    names = [source.name for source in sources if source.name is not None]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(f"sources: several are called {', '.join(map(repr, twice))}")


MODE_TAGS = ("a mode's name", "a mode of one's own")
"""Pydantic puts one of them into the place of a mistake in `inputs.mode`; users never wrote them."""


def _tag_of_mode(value: object) -> str | None:
    """Which of the two ways to give a mode is meant, so that a mistake is told in its terms only."""
    if isinstance(value, str):
        return MODE_TAGS[0]
    return MODE_TAGS[1] if isinstance(value, Mapping | ModeSection) else None


class ModeSection(Section):
    """A mode of the run's own.

    Attributes:
        global_px: Side of the global view, a multiple of 64.
        tile_px: Side of a tile, a multiple of 64; without it there are no tiles.
        max_tiles: Most tiles of a page.
        fit: `pad` keeps the aspect ratio of the global view, `stretch` loses it.
    """

    global_px: Positive
    tile_px: Positive | None = None
    max_tiles: NotNegative = 0
    fit: Fit = "pad"


ModeName = Annotated[str, Field(min_length=1)]
ModeChoice = Annotated[
    Annotated[ModeName, Tag(MODE_TAGS[0])] | Annotated[ModeSection, Tag(MODE_TAGS[1])],
    Discriminator(
        _tag_of_mode,
        custom_error_type="mode",
        custom_error_message="must be a mode's name, or a mapping with global_px",
    ),
]
"""A mode of the family by its name, or one of the run's own."""


class InputsSection(Section):
    """How a page becomes model inputs; saved with every checkpoint and obeyed by prediction.

    Attributes:
        mode: A mode of the family by name, or one of the run's own; without it the one the base model was tuned in,
            or the family's default.
        max_tokens: Longest sequence, image tokens and EOS included; the model's own limit without it.
        on_too_long: An example over the limit stops the run, or is skipped, counted and listed.
    """

    mode: ModeChoice | None = None
    max_tokens: Positive | None = None
    on_too_long: Literal["error", "skip"] = "error"


class LoraSection(Section):
    """Low-rank adapters.

    Attributes:
        preset: `attention` adapts attention, dense and shared layers; `experts` the routed experts too.
        rank: Rank of the adapters.
        alpha: Scale; an adapter's output is multiplied by alpha / rank.
        dropout: Dropout before the adapter; must be 0 with `experts`.
    """

    preset: Literal["attention", "experts"] = "attention"
    rank: Positive = 16
    alpha: Positive = 32
    dropout: Annotated[float, Field(ge=0, lt=1)] = 0.0


class TuningSection(Section):
    """What learns.

    Attributes:
        method: `full` trains the weights themselves, `lora` adapters beside them, `qlora` adapters beside
            4-bit weights.
        parts: Parts that learn; the others are frozen. The projector part, newline and separator included,
            always learns in full.
        lora: For `lora` and `qlora`.
    """

    method: Literal["full", "lora", "qlora"] = "lora"
    parts: tuple[Part, ...] = ("decoder",)
    lora: LoraSection = LoraSection()

    @model_validator(mode="after")
    def _check(self) -> "TuningSection":
        if not self.parts:
            raise ValueError("name at least one part that learns: decoder, projector, vision")
        if self.lora.preset == "experts" and self.lora.dropout:
            raise ValueError(f"lora.dropout must be 0 with preset 'experts', not {self.lora.dropout}")
        return self


class OptimizerSection(Section):
    """AdamW and its schedule.

    Attributes:
        learning_rate: Peak rate.
        learning_rates: Peak rate of a part, instead of `learning_rate`.
        weight_decay: On matrices; biases, norms and embeddings have none.
        betas: Of AdamW.
        epsilon: Of AdamW.
        max_grad_norm: Gradients are clipped to this norm; 0 for no clipping.
        schedule: Shape after the warm-up.
        warmup_fraction: Share of the steps in which the rate rises.
        moments: What AdamW's two moments are kept in; `int8`, by bitsandbytes on CUDA, takes a quarter of the memory.
    """

    learning_rate: Rate = 1e-4
    learning_rates: dict[Part, Rate] = {}
    weight_decay: Annotated[float, Field(ge=0)] = 0.01
    betas: tuple[Share, Share] = (0.9, 0.98)
    epsilon: Rate = 1e-8
    max_grad_norm: Annotated[float, Field(ge=0)] = 1.0
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    warmup_fraction: Share = 0.05
    moments: Literal["float32", "int8"] = "float32"


def _checkpointed_parts(value: object) -> object:
    """All parts for true, none for false."""
    return {True: get_args(CheckpointedPart), False: ()}[value] if isinstance(value, bool) else value


class GuidanceSection(Section):
    """Help for a small model that learns to read from nothing, where it is known what stands where.

    For synthetic lines in modes of one vision feature a tile. Letter heads ask vision features and the decoder's image
    positions which letters stand in their width, and two heads of attention are told to look at the tile of the next
    letter. Nothing of it is left in the model.

    Attributes:
        letters_weight: Of the losses of both letter heads.
        attention_weight: Of the loss of guided attention.
        garbled: Up to this share of the answer that the model continues is replaced by other tokens, so that it keeps
            its place after a mistake; what it is to say stays.
        letters_layer: Decoder layer, from 0, whose outputs at image positions are asked for letters.
        attention_layers: Decoder layers, from 0, of which heads are guided.
        attention_heads: How many heads of each of them.
    """

    letters_weight: Annotated[float, Field(ge=0)] = 0.7
    attention_weight: Annotated[float, Field(ge=0)] = 0.5
    garbled: Share = 0.2
    letters_layer: NotNegative = 1
    attention_layers: tuple[NotNegative, ...] = (2, 3)
    attention_heads: Positive = 2


class FeatureCacheSection(Section):
    """Vision features that are computed once and read afterwards, where vision and projector do not learn.

    Attributes:
        use: `auto` where pages come more than once and their features fit the limit and the disk; `on` as far as they
            fit; `off`. The decision and its reason are printed.
        folder: Where they lie, for any number of runs; without it beside what is fetched from the hub, or where
            `OCRTUNE_FEATURES` says.
        limit_gb: Most gigabytes (10⁹ bytes) that the folder may take, features of other models and modes included.
    """

    use: Literal["auto", "on", "off"] = "auto"
    folder: str | None = None
    limit_gb: Rate = 20.0

    @field_validator("use", mode="before")
    @classmethod
    def _read_switch(cls, value: object) -> object:
        # YAML 1.1 reads a bare `on` or `off` as a truth value.
        return {True: "on", False: "off"}[value] if isinstance(value, bool) else value


class TrainingSection(Section):
    """The loop.

    Attributes:
        epochs: Passes over the examples; `max_steps` goes before it.
        max_steps: Optimizer steps.
        batch_size: Examples in a forward, on each device; with `pack_tokens` rows of it.
        accumulation_steps: Forwards in an optimizer step; the loss is the token mean over all of them.
        precision: `auto` decides by device; the decision and its reason are printed and saved.
        device: `auto`, `cpu`, `cuda` or `mps`.
        gradient_checkpointing: Parts whose activations are recomputed instead of kept, such as `[vision]`; `true` for
            both, `false` for none.
        compile: Compile the decoder's layers for learning; needs a C++ compiler on a CPU, triton on CUDA.
        bucket_by_length: Batches of examples of like length, in random order; packed rows need none.
        pack_tokens: Most tokens of a row in which several examples stand that do not see each other, so that nothing is
            padded; without it each example has a row of its own. A row takes the memory of so many tokens. Four times a
            usual example fill it to 95 % and more; a longer example has a row by itself. Of a stream `max_steps` must be
            given, and each worker packs by itself.
        vision_chunk_views: Most views in one vision forward; without it as many as keep it busy in bounded memory.
        router_loss: Weight of the padding-aware load-balancing loss of the router; 0 for none.
        workers: Who encodes pages: `auto` for threads that are ahead of the learning, one on a CPU or for a stream, else one
            for each core but one, at most 8; a number of processes; 0 to do it between steps.
        log_every_steps: How often loss and speed are logged.
        save_every_steps: How often a checkpoint is written; without it at each evaluation.
        keep_checkpoints: Most checkpoints kept, the best among them.
        early_stop_evaluations: Stop after so many evaluations without a better score; without it never.
        guidance: Help for a model that learns to read from nothing; without it none.
        feature_cache: Vision features read instead of computed, from the second time on that a page comes.
    """

    epochs: Annotated[float, Field(gt=0)] = 3.0
    max_steps: Positive | None = None
    batch_size: Positive = 1
    accumulation_steps: Positive = 1
    precision: Literal["auto", "fp32", "bf16", "fp16"] = "auto"
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    gradient_checkpointing: Annotated[tuple[CheckpointedPart, ...], BeforeValidator(_checkpointed_parts)] = ()
    compile: bool = False
    bucket_by_length: bool = True
    pack_tokens: Positive | None = None
    vision_chunk_views: Positive | None = None
    router_loss: Annotated[float, Field(ge=0)] = 0.0
    workers: Literal["auto"] | NotNegative = "auto"
    log_every_steps: Positive = 10
    save_every_steps: Positive | None = None
    keep_checkpoints: Positive = 2
    early_stop_evaluations: Positive | None = None
    guidance: GuidanceSection | None = None
    feature_cache: FeatureCacheSection = FeatureCacheSection()

    @property
    def num_readers(self) -> int:
        """Processes that read pages for a device: as many as encode them, or the run's own."""
        return 1 if self.workers == "auto" else max(self.workers, 1)


class DecodingSection(Section):
    """Greedy decoding and its guard against repetition.

    Attributes:
        use: Published settings to take where the fields below are empty.
        no_repeat_ngram_tokens: An n-gram of this length may not come twice in the window; 0 for no guard.
        window_tokens: How far back the guard looks.
        max_new_tokens: Longest answer; the family's limit without it.
        batch_size: Pages decoded together.
    """

    use: Literal["single", "pages", "evaluation"] = "evaluation"
    no_repeat_ngram_tokens: NotNegative | None = None
    window_tokens: Positive | None = None
    max_new_tokens: Positive | None = None
    batch_size: Positive = 8


class EvaluationSection(Section):
    """Held-out pages decoded during training.

    Attributes:
        every_steps: How often; without it at the end of each epoch.
        max_pages: Most held-out pages decoded; the same ones each time.
        normalization: What is made equal before texts are compared.
        decoding: How answers are decoded.
    """

    every_steps: Positive | None = None
    max_pages: Positive = 100
    normalization: Normalization = Normalization()
    decoding: DecodingSection = DecodingSection()


class Config(Section):
    """The whole recipe of a run.

    Attributes:
        model: A folder in published or native layout, a hub id, `builtin` for the small model of the demo, or
            `builtin-random` for the same with random weights, drawn from `run.seed`.
        family: `deepseek_ocr`, `deepseek_ocr2` or `unlimited_ocr`; read from the model without it.
        run: Where the run lives.
        data: Which pages.
        inputs: How a page becomes model inputs.
        tuning: What learns.
        optimizer: AdamW and its schedule.
        training: The loop.
        evaluation: Held-out pages decoded during training.
    """

    model: str
    family: str | None = None
    run: RunSection = RunSection()
    data: DataSection
    inputs: InputsSection = InputsSection()
    tuning: TuningSection = TuningSection()
    optimizer: OptimizerSection = OptimizerSection()
    training: TrainingSection = TrainingSection()
    evaluation: EvaluationSection = EvaluationSection()

    @model_validator(mode="after")
    def _check(self) -> "Config":
        if self.training.guidance is not None and self.tuning.method != "full":
            raise ValueError(f"training.guidance needs tuning.method 'full', not {self.tuning.method!r}")
        if self.training.guidance is not None and self.training.gradient_checkpointing:
            raise ValueError("training.guidance does not go with training.gradient_checkpointing")
        if self.training.guidance is not None and self.training.pack_tokens is not None:
            raise ValueError("training.guidance does not go with training.pack_tokens")
        _check_feature_cache(self.training, self.tuning)
        return self


def _check_feature_cache(training: TrainingSection, tuning: TuningSection) -> None:
    if training.feature_cache.use != "on":
        return
    learning = [part for part in tuning.parts if part != "decoder"]
    if learning:
        raise ValueError(
            f"training.feature_cache.use 'on' keeps what changes: {' and '.join(learning)} learn by tuning.parts; "
            "take 'off', or let the decoder learn alone"
        )
    if training.guidance is not None:
        raise ValueError(
            "training.feature_cache.use 'on' does not go with training.guidance, which asks vision"
        )
