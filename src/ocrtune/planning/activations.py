"""Bytes that autograd keeps from the forward to the backward, of all parts.

Source: `torch.autograd.graph.saved_tensors_hooks` on small models of all families, compared in
`tests/planning/test_memory.py`.
"""

from ocrtune.planning.operations import Widths
from ocrtune.planning.shapes import Learning, ModelShape, Work
from ocrtune.planning.text_activations import decoder_layers, embeddings, head
from ocrtune.planning.vision_activations import chunks, projector, view_layers


def saved_bytes(shape: ModelShape, work: Work, learning: Learning, widths: Widths) -> int:
    """All bytes kept from forward to backward, without checkpointing."""
    decoder = shape.decoder
    total = embeddings(decoder, work, learning, widths) + head(decoder, work, learning, widths)
    total += sum(decoder_layers(decoder, work, learning, widths))
    for chunk in chunks(shape, work):
        rows = chunk.count * shape.encoder.queries(chunk.features)
        total += chunk.times * projector(shape, rows, learning, widths)
        if learning.vision_runs_backward:
            kept = sum(kept for kept, _ in view_layers(shape, chunk.side_px, chunk.count, learning, widths))
            total += chunk.times * kept
    return total
