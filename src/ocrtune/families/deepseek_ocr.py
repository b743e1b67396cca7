"""Facts about DeepSeek-OCR."""

from types import MappingProxyType

from ocrtune.families.family import Decoding, Family, Mode
from ocrtune.families.vocabulary import VOCABULARY

CLIP_ENCODER_MODULES = MappingProxyType(
    {
        "model.vision_tower.sam_encoder": "model.sam_model",
        "model.vision_tower.vision_encoder": "model.vision_model",
        "model.multi_modal_projector": "model.projector.layers",
        "model.image_newline": "model.image_newline",
        "model.view_separator": "model.view_seperator",
        "model.language_model.": "model.",
    }
)

UNUSED_CLIP_TENSORS = ("model.vision_model.embeddings.patch_embedding.weight",)

DEEPSEEK_OCR = Family(
    name="deepseek_ocr",
    title="DeepSeek-OCR",
    modes=MappingProxyType(
        {
            "tiny": Mode(name="tiny", global_px=512, fit="stretch"),
            "small": Mode(name="small", global_px=640, fit="stretch"),
            "base": Mode(name="base", global_px=1024),
            "large": Mode(name="large", global_px=1280),
            "gundam": Mode(name="gundam", global_px=1024, tile_px=640, max_tiles=9),
            "gundam-m": Mode(name="gundam-m", global_px=1280, tile_px=1024, max_tiles=9),
        }
    ),
    default_mode="gundam",
    vocabulary=VOCABULARY,
    prompts=MappingProxyType(
        {
            "free": "<image>\nFree OCR.",
            "markdown": "<image>\n<|grounding|>Convert the document to markdown.",
            "grounded": "<image>\n<|grounding|>OCR this image.",
            "figure": "<image>\nParse the figure.",
            "describe": "<image>\nDescribe this image in detail.",
        }
    ),
    default_prompt="free",
    decoding=MappingProxyType(
        {
            "single": Decoding(no_repeat_ngram_tokens=30, window_tokens=90),
            "pages": Decoding(no_repeat_ngram_tokens=20, window_tokens=50),
            "evaluation": Decoding(no_repeat_ngram_tokens=40, window_tokens=90),
        }
    ),
    max_new_tokens=8192,
    newline_after_row=True,
    several_images=False,
    reference_window=False,
    decodes_padded=True,
    grid_argument=True,
    max_positions=8192,
    architectures=("DeepseekOCRForCausalLM", "DeepseekOcrForConditionalGeneration"),
    vision_model_name="deeplip_b_l",
    published_model_type="deepseek_vl_v2",
    native_class="DeepseekOcrForConditionalGeneration",
    grounding="ref-det",
    unused_tensors=UNUSED_CLIP_TENSORS,
    published_modules=CLIP_ENCODER_MODULES,
    served_max_tiles=6,
)
