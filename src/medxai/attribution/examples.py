"""Explanation by example: the images that the network finds most alike."""

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from medxai.attribution import _inputs, feature_maps
from medxai.errors import positive

IMAGES_AT_ONCE = 32


def nearest(
    model: nn.Module,
    images: Tensor,
    references: Tensor,
    *,
    layer: str | nn.Module | None = None,
    number: int = 5,
    metric: str = "euclidean",
) -> pd.DataFrame:
    """Return the references nearest to each image in the space of a layer's mean maps.

    Parameters
    ----------
    model
        Takes both kinds of images.
    images
        (n, channels, height, width), those to explain.
    references
        (m, channels, height, width), those to choose from, often the training images; leave the images themselves out.
    layer
        Name or module; the last that gives maps without one.
    number
        Neighbours of an image, at most m.
    metric
        Distance, as `sklearn.neighbors.NearestNeighbors` names it; ``cosine`` leaves out how strongly maps respond.

    Returns
    -------
    pandas.DataFrame
        A row for each image and neighbour: ``image``, ``rank`` (1 is nearest), ``reference`` (index), ``distance``.

    Raises
    ------
    ValueError
        If there are fewer references than neighbours; else as `medxai.attribution.explain`.

    Source
    ------
    Papernot and McDaniel 2018, "Deep k-nearest neighbors", for neighbours in the space of a layer.
    """
    ours, theirs = (mean_maps(model, some, layer=layer).cpu().numpy() for some in (images, references))
    return nearest_features(ours, theirs, number=number, metric=metric)


def nearest_features(
    features: np.ndarray, references: np.ndarray, *, number: int, metric: str = "euclidean"
) -> pd.DataFrame:
    """Return the table of `nearest` for features (n, k) and references (m, k) that are there already."""
    from sklearn.neighbors import NearestNeighbors

    positive("number", number)
    if number > len(references):
        raise ValueError(f"number is {number}: expected at most {len(references)}, the number of references")
    distances, indices = NearestNeighbors(n_neighbors=number, metric=metric).fit(references).kneighbors(features)
    return pd.DataFrame(
        {
            "image": [image for image in range(len(features)) for _ in range(number)],
            "rank": list(range(1, number + 1)) * len(features),
            "reference": indices.ravel(),
            "distance": distances.ravel(),
        }
    )


def mean_maps(model: nn.Module, images: Tensor, *, layer: str | nn.Module | None = None) -> Tensor:
    """Return the means (n, k) over the pixels of a layer's maps."""
    return layer_maps(model, images, layer=layer).mean((2, 3))


def layer_maps(model: nn.Module, images: Tensor, *, layer: str | nn.Module | None = None) -> Tensor:
    """Return the maps (n, k, h, w) of a layer, without a graph."""
    with _inputs.prepared(model, images) as (images, _), torch.no_grad():
        layers = feature_maps.named_layers(model, images, layer)
        (name,) = layers
        maps = []
        with feature_maps.recorded(layers) as outputs:
            for some in images.split(IMAGES_AT_ONCE):
                model(some.clone())
                maps.append(layers[name].layout.maps(outputs[name]).clone())
        return torch.cat(maps)
