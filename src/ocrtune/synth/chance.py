"""Yes or no, by a share."""

import random


def happens(rng: random.Random, share: float) -> bool:
    """True in `share` of the cases."""
    return rng.random() < share
