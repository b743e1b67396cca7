"""Bytes that tensors hold: those kept for the backward, and the most at any moment."""

import weakref

import torch
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


class SavedBytes:
    """Counts storages that autograd keeps, those of the model apart; `pack` goes into `saved_tensors_hooks`."""

    def __init__(self, model):
        self._held = {tensor.untyped_storage()._cdata for tensor in (*model.parameters(), *model.buffers())}
        self._sizes = {}

    def pack(self, tensor):
        storage = tensor.untyped_storage()
        if storage._cdata not in self._held:
            self._sizes[storage._cdata] = storage.nbytes()
        return tensor

    @property
    def total(self):
        return sum(self._sizes.values())


class PeakBytes(TorchDispatchMode):
    """The most bytes that tensors made within hold at once; those of `held` are not counted."""

    def __init__(self, held=()):
        super().__init__()
        self._held = {tensor.untyped_storage()._cdata for tensor in held}
        self._sizes = {}
        self._now = self.peak = 0

    def __torch_dispatch__(self, operation, types, args=(), kwargs=None):
        output = operation(*args, **(kwargs or {}))
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "cpu":
                self._add(leaf.untyped_storage())
        return output

    def _add(self, storage):
        key = storage._cdata
        if key in self._sizes or key in self._held or not storage.nbytes():
            return
        self._sizes[key] = storage.nbytes()
        self._now += storage.nbytes()
        self.peak = max(self.peak, self._now)
        weakref.finalize(storage, self._drop, key)

    def _drop(self, key):
        self._now -= self._sizes.pop(key, 0)
