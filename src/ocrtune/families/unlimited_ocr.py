"""Facts about Unlimited-OCR: DeepSeek-OCR's encoder and layout, another attention."""

from types import MappingProxyType

from ocrtune.families.deepseek_ocr import CLIP_ENCODER_MODULES, UNUSED_CLIP_TENSORS
from ocrtune.families.family import Decoding, Family, Mode
from ocrtune.families.vocabulary import VOCABULARY

UNLIMITED_OCR = Family(
    name="unlimited_ocr",
    title="Unlimited-OCR",
    modes=MappingProxyType(
        {
            "base": Mode(name="base", global_px=1024),
            "gundam": Mode(name="gundam", global_px=1024, tile_px=640, max_tiles=32),
        }
    ),
    default_mode="gundam",
    vocabulary=VOCABULARY,
    prompts=MappingProxyType(
        {
            "document": "<image>document parsing.",
            "pages": "<image>Multi page parsing.",
        }
    ),
    default_prompt="document",
    decoding=MappingProxyType(
        {
            "single": Decoding(no_repeat_ngram_tokens=35, window_tokens=128),
            "pages": Decoding(no_repeat_ngram_tokens=35, window_tokens=1024),
            "evaluation": Decoding(no_repeat_ngram_tokens=35, window_tokens=128),
        }
    ),
    max_new_tokens=32768,
    newline_after_row=True,
    several_images=True,
    reference_window=True,
    decodes_padded=False,
    grid_argument=True,
    max_positions=32768,
    architectures=("UnlimitedOCRForCausalLM", "UnlimitedOcrForConditionalGeneration"),
    vision_model_name="deeplip_b_l",
    published_model_type="unlimited-ocr",
    native_class="UnlimitedOcrForConditionalGeneration",
    grounding="det",
    unused_tensors=UNUSED_CLIP_TENSORS,
    published_modules=CLIP_ENCODER_MODULES,
)
