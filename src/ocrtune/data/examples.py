"""Pages → examples: the prompt the model is given and the target it should answer."""

from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches

from ocrtune.data.json_targets import JsonTarget
from ocrtune.errors import InputsError, SeveralImagesError
from ocrtune.families import Family
from ocrtune.records import Example, Page
from ocrtune.text import Normalization, normalize


def build_examples(
    pages: Sequence[Page],
    family: Family,
    *,
    prompt: str | None,
    normalization: Normalization,
    with_targets: bool = True,
    json_target: JsonTarget | None = None,
) -> list[Example]:
    """The examples of the pages, in their order; the first page that gives none stops it.

    Args:
        pages: What was read.
        family: Knows the prompts by short names, and whether several images may be in one example.
        prompt: For pages without their own: a short name of the family's prompts, or a text; None for the
            family's default.
        normalization: Made equal in targets.
        with_targets: False to predict; then texts are left aside.
        json_target: Texts are JSON, and targets are written in its one form; None for any text.

    Raises:
        InputsError: See `build_example`.
    """
    return [
        build_example(
            page,
            family,
            prompt=prompt,
            normalization=normalization,
            with_targets=with_targets,
            json_target=json_target,
        )
        for page in pages
    ]


@dataclass(frozen=True, slots=True, kw_only=True)
class ExampleMaker:
    """Makes an example of a page, wherever it is wanted; the arguments are those of `build_examples`."""

    family: Family
    prompt: str | None
    normalization: Normalization
    with_targets: bool = True
    json_target: JsonTarget | None = None

    def __call__(self, page: Page) -> Example:
        """The example of a page.

        Raises:
            InputsError: See `build_example`.
        """
        return build_example(
            page,
            self.family,
            prompt=self.prompt,
            normalization=self.normalization,
            with_targets=self.with_targets,
            json_target=self.json_target,
        )


def build_example(
    page: Page,
    family: Family,
    *,
    prompt: str | None,
    normalization: Normalization,
    with_targets: bool = True,
    json_target: JsonTarget | None = None,
) -> Example:
    """The example of one page; the arguments are those of `build_examples`.

    Raises:
        SeveralImagesError: The page has several images and the family takes one.
        NotJson: `json_target` is given, and the text is no JSON.
        InputsError: The prompt's `<image>` marks are not as many as the images, the page has no text to
            learn, or its text holds a token that would end or break the sequence.
    """
    target = _target(page, family, normalization, json_target) if with_targets else None
    return Example(
        name=page.name,
        images=page.images,
        prompt=_with_marks(_prompt_text(page, prompt, family), page, family),
        target=target,
        document=page.document,
        where=page.where,
        # Places belong to the letters as they were set; a text made equal to others has other letters.
        letters=page.letters if target == page.text else None,
    )


def find_prompt(prompt: str | None, family: Family) -> str:
    """The text of a prompt: the family's own by its short name, its default for None, any other as it is.

    Raises:
        InputsError: A single word that is no short name of the family.
    """
    name = family.default_prompt if prompt is None else prompt
    if name in family.prompts:
        return family.prompts[name]
    if name.isidentifier():
        close = get_close_matches(name, family.prompts, n=1)
        known = (
            f"known: {', '.join(family.prompts)}; or give a text with one {family.vocabulary.image} per image"
        )
        raise InputsError(
            f"{family.name} has no prompt {name!r}",
            hint=f"did you mean {close[0]!r}? {known}" if close else known,
        )
    return name


def control_tokens(family: Family) -> tuple[str, ...]:
    """Special tokens that may not stand in a target: they would end it, or take a place that is not theirs."""
    vocabulary = family.vocabulary
    return (vocabulary.bos, vocabulary.eos, vocabulary.pad, vocabulary.image)


def _prompt_text(page: Page, prompt: str | None, family: Family) -> str:
    if page.prompt is None:
        return find_prompt(prompt, family)
    # The family's prompts ask for an image; a page of text alone may say anything, a single word included.
    return find_prompt(page.prompt, family) if page.images else page.prompt


def _with_marks(prompt: str, page: Page, family: Family) -> str:
    """The prompt with one `<image>` for each image of the page."""
    mark = family.vocabulary.image
    images, marks = len(page.images), prompt.count(mark)
    if images > 1 and not family.several_images:
        raise SeveralImagesError(
            f"the page has {images} images; {family.name} takes one per example",
            where=page.where,
            hint="give each image its own page, or use a family that takes several",
        )
    if marks == images:
        return prompt
    if marks == 1 and images > 1:
        return prompt.replace(mark, mark * images)
    raise _wrong_marks(prompt, marks, page, family)


def _wrong_marks(prompt: str, marks: int, page: Page, family: Family) -> InputsError:
    mark, images = family.vocabulary.image, len(page.images)
    if images == 0:
        hint = f"a page of text alone needs a prompt of its own, without {mark}"
    else:
        hint = f"write {mark} once for each image, as in {family.prompts[family.default_prompt]!r}"
    return InputsError(
        f"the prompt {prompt!r} has {marks} {mark} for {images} {'image' if images == 1 else 'images'}",
        where=page.where,
        hint=hint,
    )


def _target(page: Page, family: Family, normalization: Normalization, json_target: JsonTarget | None) -> str:
    if page.text is None:
        raise InputsError(
            "the page has no text to learn",
            where=page.where,
            hint='give it a `text`; "" says that nothing stands on the page',
        )
    # After normalisation: NFKC makes a special token of its full-width look-alike.
    if json_target is None:
        target = normalize(page.text, normalization)
    else:
        target = json_target.canonical(page.text, normalization, page.where)
    found = [token for token in control_tokens(family) if token in target]
    if found:
        raise InputsError(
            f"the text holds {' and '.join(found)}, which the model takes as control",
            where=page.where,
            hint="delete it: ocrtune adds these tokens itself",
        )
    return target
