"""How concentrated a map is on few pixels. Neither number says whether they are the right ones.

Maps are float (..., h, w), results float64 (...). A ValueError says if there are fewer than two axes or no pixels, or
if a value is NaN or infinite.
"""

import numpy as np

from medxai.evaluation._checks import finite_maps
from medxai.evaluation.sums import ratio


def gini(maps: np.ndarray) -> np.ndarray:
    r"""Return the Gini index of the absolute values of each map; higher is sparser.

    With the absolute values :math:`|v_1| \le \dots \le |v_N|` of a map and their sum :math:`S`:
    :math:`1 - 2 \sum_k \frac{|v_k|}{S} \frac{N - k + 1/2}{N}`.

    In [0, 1 - 1 / N]: 0 if all absolute values are equal, the most if one pixel holds all. NaN for a map of zeros.
    Hurley and Rickard 2009, definition of the Gini index; for maps Chalasani et al. 2020.
    """
    shares = np.sort(_shares(maps), axis=-1)
    count = shares.shape[-1]
    return 1 - 2 * shares @ ((count - np.arange(1, count + 1) + 0.5) / count)


def entropy(maps: np.ndarray) -> np.ndarray:
    r"""Return the entropy of the absolute values of each map, in nats; lower is simpler.

    With the share :math:`p_k = |v_k| / \sum_j |v_j|` of each pixel: :math:`-\sum_k p_k \ln p_k`.

    In [0, ln(h w)]: 0 if one pixel holds all, the most if all absolute values are equal. NaN for a map of zeros. It
    grows with the number of pixels: compare maps of one size. Bhatt, Weller, Moura 2020, the criterion of low
    complexity.
    """
    from scipy.special import entr

    return entr(_shares(maps)).sum(-1)


def _shares(maps: np.ndarray) -> np.ndarray:
    """Share of each pixel in the sum of the absolute values, (..., h w); NaN for maps of zeros."""
    size = np.abs(finite_maps(maps, "maps", "(..., h, w)"))
    size = size.reshape(*size.shape[:-2], -1)
    most = size.max(-1, keepdims=True)  # first: the sum of huge values is infinite
    size = ratio(size, most)
    return size / size.sum(-1, keepdims=True)
