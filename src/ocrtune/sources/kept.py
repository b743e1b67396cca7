"""Images that stay decoded while parts are cut out of them, within a number of bytes."""

import os
from collections import OrderedDict
from collections.abc import Callable, Hashable
from threading import Lock

from PIL import Image

BYTES_OF_A_PIXEL = 4
"""Pillow keeps RGB in four bytes."""


class KeptImages:
    """The images used last; each is made once, also where several threads ask for it at the same time.

    Attributes:
        most_bytes: All together take no more; a single one that is larger is kept alone, until the next one comes.
        num_bytes: What they take.
    """

    def __init__(self, most_bytes: int) -> None:
        self.most_bytes = most_bytes
        self.forget()
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self.forget)

    def forget(self) -> None:
        """Start anew, as after a fork: another process's thread may have held a lock."""
        self._lock = Lock()
        self._images: OrderedDict[Hashable, Image.Image] = OrderedDict()
        self._making: dict[Hashable, Lock] = {}
        self.num_bytes = 0

    def find(self, key: Hashable, make: Callable[[], Image.Image]) -> Image.Image:
        """The image of `key`, made where it is not kept; never to be changed.

        Raises:
            Exception: Whatever `make` raises; the next call tries again.
        """
        with self._lock:
            if (kept := self._used(key)) is not None:
                return kept
            making = self._making.setdefault(key, Lock())
        with making:
            with self._lock:
                if (kept := self._used(key)) is not None:
                    return kept
            try:
                image = make()
            except BaseException:
                with self._lock:
                    self._making.pop(key, None)
                raise
            # In one go: a thread that came in between would make it once more.
            with self._lock:
                self._keep(key, image)
                self._making.pop(key, None)
        return image

    def _used(self, key: Hashable) -> Image.Image | None:
        image = self._images.get(key)
        if image is not None:
            self._images.move_to_end(key)
        return image

    def _keep(self, key: Hashable, image: Image.Image) -> None:
        if (other := self._images.pop(key, None)) is not None:
            self.num_bytes -= _num_bytes(other)
        self._images[key] = image
        self.num_bytes += _num_bytes(image)
        while self.num_bytes > self.most_bytes and len(self._images) > 1:
            self.num_bytes -= _num_bytes(self._images.popitem(last=False)[1])


def _num_bytes(image: Image.Image) -> int:
    return image.width * image.height * BYTES_OF_A_PIXEL
