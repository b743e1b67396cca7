"""A checkpoint → a folder that others load: merged weights, or its adapter alone."""

import json
from dataclasses import dataclass, replace
from pathlib import Path

import torch

from ocrtune.export.adapter import write_adapter
from ocrtune.export.basis import Base, copy_base_files, find_base, name_published_architecture
from ocrtune.export.comparing import difference, page_logits, require_close, require_same
from ocrtune.export.serving import serving_findings
from ocrtune.export.staging import staged_folder
from ocrtune.inputs import CARD_FILE
from ocrtune.models import OcrModel, locate_model, save_published
from ocrtune.models.checkpoint import CheckpointCard, LoadedCheckpoint, load_checkpoint, merge
from ocrtune.models.precision import TORCH_DTYPES, Dtype
from ocrtune.progress import say
from ocrtune.records import Finding
from ocrtune.sources.writing import write_text_atomically


@dataclass(frozen=True, slots=True, kw_only=True)
class ExportResult:
    """An export that was compared with its checkpoint.

    Attributes:
        folder: What others load.
        dtype: Of the weights in it.
        max_difference: Between the export and the checkpoint, at the logit where they differ most, relative to the
            largest logit; for an adapter alone at the merged weight, relative to the largest of its matrix.
        findings: What to know before it is served.
    """

    folder: Path
    dtype: Dtype
    max_difference: float
    findings: tuple[Finding, ...]

    def as_dict(self) -> dict[str, object]:
        """The result for `--json`."""
        return {
            "folder": str(self.folder),
            "dtype": self.dtype,
            "max_difference": self.max_difference,
            "findings": [finding.as_dict() for finding in self.findings],
        }


def export(
    checkpoint: str | Path,
    out: Path,
    *,
    base: str | Path | None = None,
    dtype: Dtype | None = None,
    adapter: bool = False,
    overwrite: bool = False,
) -> ExportResult:
    """Write a checkpoint in the form that others load, and compare what was written with it.

    The folder holds merged weights under published names, the base's `config.json`, tokenizer files and code, and the
    inputs recipe in `ocrtune.json`. It is written under another name, loaded again, and gets its own name only if it
    computes the same logits. Work is done in float32 on the CPU, whatever the dtype of the files: a model of 3.3
    billion parameters takes about 14 GB of memory, an adapter alone about twice that.

    Args:
        checkpoint: A checkpoint of a run, or any model folder.
        out: The folder to write.
        base: The base model, a folder or hub id; the one the checkpoint names without it.
        dtype: Of the weights; that of the base without it.
        adapter: Write the decoder's adapter alone, in PEFT's layout under published names.
        overwrite: Replace `out` if it has files in it.

    Raises:
        ExportError: `out` may not be written, what was written computes something else, or an adapter was asked for
            that cannot stand alone.
        CheckpointError: The checkpoint or its base cannot be loaded.
    """
    folder = Path(checkpoint) if Path(checkpoint).is_dir() else locate_model(str(checkpoint))
    loaded = load_checkpoint(folder, device="cpu", dtype="float32", base=base)
    origin = find_base(folder, loaded.card, base)
    # Adapters learn in float32, and servers cast them to their own dtype.
    chosen = dtype or ("float32" if adapter else origin.dtype)
    keep = [folder, *([] if origin.folder is None else [origin.folder])]
    with staged_folder(out, overwrite=overwrite, keep=keep) as staged:
        if adapter:
            apart, findings = write_adapter(loaded, staged, origin, chosen), list[Finding]()
        else:
            apart, findings = (
                _write_model(loaded, staged, origin, chosen),
                origin.findings(loaded.recipe.family),
            )
        _write_card(loaded.card, staged, adapter=adapter)
    return ExportResult(
        folder=out,
        dtype=chosen,
        max_difference=apart,
        findings=(*findings, *serving_findings(loaded.recipe)),
    )


def _write_model(loaded: LoadedCheckpoint, folder: Path, base: Base, dtype: Dtype) -> float:
    """Merged weights and all that belongs to them; the largest difference to the checkpoint."""
    say("export: the checkpoint reads a synthetic page")
    wanted = page_logits(loaded.model, loaded.recipe, loaded.tokenizer)
    model = merge(loaded.model)
    _cast(model, TORCH_DTYPES[dtype])
    say(f"export: writing merged weights in {dtype}")
    save_published(model, folder, config_from=base.folder)
    if not base.is_published:
        name_published_architecture(folder, model.family)
    if base.folder is not None:
        copy_base_files(base.folder, folder)
    loaded.tokenizer.write(folder)
    _cast(model, torch.float32)
    written = page_logits(model, loaded.recipe, loaded.tokenizer)
    require_close(written, wanted, dtype)
    say("export: reading it back")
    # Two whole models need not be in memory: what is compared are logits.
    model.to("meta")
    read = _read_back(folder, loaded)
    require_same(read, written, folder=str(folder))
    return difference(read, wanted).largest


def _read_back(folder: Path, loaded: LoadedCheckpoint) -> torch.Tensor:
    """The logits of what lies in `folder`, its tokenizer included."""
    again = load_checkpoint(folder, device="cpu", dtype="float32")
    return page_logits(again.model, loaded.recipe, again.tokenizer)


def _write_card(card: CheckpointCard, folder: Path, *, adapter: bool) -> None:
    """The recipe, and for a merged model nothing of how it was tuned: it is a model of its own."""
    own = card if adapter else replace(card, tuning=None, base=None)
    write_text_atomically(folder / CARD_FILE, json.dumps(own.as_dict(), ensure_ascii=False, indent=1) + "\n")


def _cast(model: OcrModel, dtype: torch.dtype) -> None:
    """Parameters only: the frequencies of position embeddings are computed, and must not be rounded."""
    for parameter in model.parameters():
        parameter.data = parameter.data.to(dtype)
