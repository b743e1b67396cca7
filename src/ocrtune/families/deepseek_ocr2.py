"""Facts about DeepSeek-OCR-2."""

from types import MappingProxyType

from ocrtune.families.family import Decoding, Family, Mode
from ocrtune.families.vocabulary import VOCABULARY

DEEPSEEK_OCR2 = Family(
    name="deepseek_ocr2",
    title="DeepSeek-OCR-2",
    modes=MappingProxyType(
        {
            "small": Mode(name="small", global_px=768, fit="stretch"),
            "base": Mode(name="base", global_px=1024),
            "gundam": Mode(name="gundam", global_px=1024, tile_px=768, max_tiles=6),
        }
    ),
    default_mode="gundam",
    vocabulary=VOCABULARY,
    prompts=MappingProxyType(
        {
            "free": "<image>\nFree OCR.",
            "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
        }
    ),
    default_prompt="free",
    decoding=MappingProxyType(
        {
            "single": Decoding(no_repeat_ngram_tokens=30, window_tokens=90),
            "pages": Decoding(no_repeat_ngram_tokens=20, window_tokens=50),
            "evaluation": Decoding(no_repeat_ngram_tokens=20, window_tokens=90),
        }
    ),
    max_new_tokens=8192,
    newline_after_row=False,
    several_images=False,
    reference_window=False,
    decodes_padded=True,
    grid_argument=False,
    max_positions=8192,
    view_sides_px=(768, 1024),
    architectures=("DeepseekOCR2ForCausalLM", "DeepseekOcr2ForConditionalGeneration"),
    vision_model_name="deepencoderv2",
    published_model_type="deepseek_vl_v2",
    native_class="DeepseekOcr2ForConditionalGeneration",
    grounding="ref-det",
    published_modules=MappingProxyType(
        {
            "model.vision_tower.sam_encoder": "model.sam_model",
            "model.vision_tower.vision_encoder": "model.qwen2_model.model.model",
            "model.vision_tower.query_768_resolution": "model.qwen2_model.query_768",
            "model.vision_tower.query_1024_resolution": "model.qwen2_model.query_1024",
            "model.multi_modal_projector": "model.projector.layers",
            "model.view_separator": "model.view_seperator",
            "model.language_model.": "model.",
        }
    ),
)
