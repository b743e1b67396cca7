import jiwer
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from torchmetrics.functional.text import char_error_rate, word_error_rate

from ocrtune.evaluation import score_page, summarize
from ocrtune.records import Prediction
from ocrtune.text import Normalization

# Words of one script each, combining marks, letters beyond the first plane and right-to-left ones among them.
ALPHABETS = (
    "abcdefgz",
    "éüßñœſ",
    "абвгдѣѳ",
    "αβγδωΐ",
    "אבגדשׁ",
    "ابتثؤَ",
    "अकखिीु्",
    "กขคิ่",
    "中文字漢語",
    "かなカナー",
    "가나다각",
    "😀👩🇩🇪\u200d",
    "𝔄𐍈𒀀",
    "0123.,;-",
)
words = st.one_of([st.text(alphabet, min_size=1, max_size=6) for alphabet in ALPHABETS])
lines = st.lists(words, min_size=1, max_size=10).map(" ".join)
RAW = Normalization(unicode="none", whitespace="keep")


@st.composite
def readings(draw):
    """A line and what was read: the same with words changed, lost and added, so that much is equal."""
    reference = draw(lines)
    found = [draw(st.sampled_from([word, word, word, draw(words)])) for word in reference.split()]
    kept = [word for word in found if draw(st.integers(0, 5))]
    return reference, " ".join([*kept, *draw(st.lists(words, max_size=2))])


def card_of(pairs):
    scores = [
        score_page(reference, Prediction(image=str(number), text=text), RAW)
        for number, (reference, text) in enumerate(pairs)
    ]
    return summarize(scores, RAW)


@settings(max_examples=200, deadline=None)
@given(st.lists(readings(), min_size=1, max_size=6))
def test_cer_and_wer_agree_with_jiwer_and_torchmetrics_in_every_script(pairs):
    references, predictions = map(list, zip(*pairs, strict=True))
    card = card_of(pairs)
    assert card.cer.micro == pytest.approx(jiwer.cer(references, predictions))
    assert card.wer.micro == pytest.approx(jiwer.wer(references, predictions))
    # In float32, as torchmetrics counts.
    assert card.cer.micro == pytest.approx(float(char_error_rate(predictions, references)), rel=1e-6)
    assert card.wer.micro == pytest.approx(float(word_error_rate(predictions, references)), rel=1e-6)
