"""What a DermX is worth on images that it has not seen, in a few numbers: to be watched while it is trained.

`medxai.training.dermx_training.train_dermx` takes `scores` as its judge, since training may not evaluate.
"""

import numpy as np
import torch
from torch.nn import functional

from medxai.evaluation import classification, localisation
from medxai.evaluation.sums import ratio
from medxai.models.dermx import DermXOutput
from medxai.training.dermx_examples import Examples


def scores(output: DermXOutput, examples: Examples) -> dict[str, float]:
    """Return scores in [0, 1] by name, NaN where undefined.

    Parameters
    ----------
    output
        Of n images, on the CPU, as `medxai.training.dermx_training.predict` gives it.
    examples
        The same n images.

    Returns
    -------
    dict of str to float
        ``accuracy`` and ``macro f1`` of the diagnosis. ``characteristic f1``: the mean over those characteristics that
        are there or found, of the explained images; found means a probability of at least 1/2. ``localisation f1``,
        ``sensitivity`` and ``specificity``: means over all present characteristics of all images, found or not, of
        `medxai.evaluation.localisation.fuzzy_scores` of attention over its maximum, interpolated to the size of the
        experts' maps (Jalaboi et al. 2023, Medical Image Analysis 83:102647, tables B.19 and B.21).
    """
    probabilities = output.diagnosis_logits.double().softmax(1).numpy()
    names = [str(number) for number in range(probabilities.shape[1])]
    table = classification.scores(examples.labels, {"": probabilities}, names)
    found = {
        "accuracy": float((probabilities.argmax(1) == examples.labels).mean()),
        "macro f1": float(table["macro_f1"].iloc[0]),
    }
    if output.attention is None:
        return found
    known = examples.explained
    present, seen = examples.present[known], (output.characteristic_logits >= 0).numpy()[known]
    f1 = ratio(2 * (present & seen).sum(0), present.sum(0) + seen.sum(0))
    found["characteristic f1"] = _mean(f1)
    there = torch.from_numpy(examples.present & known[:, None])
    reference = examples.maps[there.numpy()]
    if len(reference) == 0:
        return found | dict.fromkeys(
            ("localisation f1", "localisation sensitivity", "localisation specificity"), np.nan
        )
    fine = functional.interpolate(output.attention[there][:, None], reference.shape[1:], mode="bilinear")[:, 0]
    fuzzy = localisation.fuzzy_scores(localisation.attention(fine.numpy()), reference)
    return found | {f"localisation {name}": _mean(values) for name, values in fuzzy._asdict().items()}


def _mean(values: np.ndarray) -> float:
    """Return the mean of what is defined."""
    defined = values[np.isfinite(values)]
    return float(defined.mean()) if defined.size else float("nan")
