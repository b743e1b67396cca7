import pytest

from ocrtune.errors import EvaluationError
from ocrtune.evaluation import omnidocbench_overall

# Text edit distance, CDM, TEDS, overall, as OmniDocBench 1.5 publishes them.
PUBLISHED = {
    "PaddleOCR-VL": (0.035, 91.22, 90.89, 92.86),
    "MinerU2.5": (0.047, 88.46, 88.22, 90.67),
    "dots.ocr": (0.048, 83.22, 86.78, 88.41),
    "Deepseek-OCR": (0.073, 83.37, 84.97, 87.01),
    "Dolphin": (0.125, 67.85, 68.70, 74.67),
    "Qwen2.5-VL": (0.094, 88.27, 82.15, 87.02),
    "GPT-4o": (0.217, 79.70, 67.07, 75.02),
    "Marker-1.8.2": (0.206, 76.66, 57.88, 71.30),
}


@pytest.mark.parametrize("model", PUBLISHED)
def test_published_overall_scores_are_reproduced(model):
    text_edit_distance, cdm, teds, overall = PUBLISHED[model]
    found = omnidocbench_overall(text_edit_distance=text_edit_distance, teds=teds / 100, cdm=cdm / 100)
    # The distance is published to three digits, which are 0.017 of the overall score.
    assert found == pytest.approx(overall, abs=0.025)


def test_percentages_are_refused():
    with pytest.raises(EvaluationError, match="TEDS is 90, not from 0 to 1"):
        omnidocbench_overall(text_edit_distance=0.1, teds=90, cdm=0.9)
