"""Checks of the exercises of the chapter on explanations that are no heat maps."""

import numpy as np

from medxai.checks import Check, Mistake

check_intervention = Check(
    reference=lambda concepts, weights, truth, place: (
        weights @ np.where(np.arange(len(concepts)) == place, truth, concepts)
    ),
    mistakes=(
        Mistake(
            lambda concepts, weights, truth, place: weights @ concepts,
            "These are the logits before anybody set anything right.",
        ),
        Mistake(
            lambda concepts, weights, truth, place: weights @ truth,
            "Here everything is set right. Only one characteristic was looked at.",
        ),
        Mistake(
            lambda concepts, weights, truth, place: (
                weights @ np.where(np.arange(len(concepts)) == place, 1 - truth, concepts)
            ),
            "The characteristic was set to the opposite of what the expert says.",
        ),
    ),
    example=lambda: (
        np.array([0.5, 0.8, 0.2]),
        np.array([[2.0, -1.0, 1.0], [0.0, 3.0, -2.0]]),
        np.array([1.0, 0.0, 1.0]),
        1,
    ),
    hint="Replace one of the probabilities, then multiply as the network does.",
    meaning=lambda found, concepts, weights, truth, place: (
        f"The most probable class is now number {found.argmax()}; before the expert spoke it was number "
        f"{(weights @ concepts).argmax()}."
    ),
)


check_tcav = Check(
    reference=lambda slopes, vector: float((slopes @ vector > 0).mean()),
    mistakes=(
        Mistake(
            lambda slopes, vector: float((slopes @ vector).mean()),
            "This is the mean derivative. TCAV counts images and does not ask how steep they are.",
        ),
        Mistake(
            lambda slopes, vector: float((slopes @ vector < 0).mean()),
            "This counts the images whose score falls along the vector.",
        ),
        Mistake(
            lambda slopes, vector: float((slopes > 0).mean()),
            "This counts derivatives by single features. The concept has a direction of its own.",
        ),
    ),
    example=lambda: (np.array([[1.0, 2.0], [3.0, 1.0], [0.5, -1.0], [4.0, 1.0]]), np.array([-0.6, 0.8])),
    hint="One number for each image, the derivative along the vector; then a share.",
    meaning=lambda share, slopes, vector: (
        f"Along the vector the score rises in {share:.0%} of {len(slopes)} images; by itself that says nothing before "
        "vectors of random pictures were asked, too."
    ),
)


def _f1(spoken: set[str], marked: set[str]) -> float:
    return 2 * len(spoken & marked) / (len(spoken) + len(marked))


check_terms = Check(
    reference=_f1,
    mistakes=(
        Mistake(
            lambda spoken, marked: len(spoken & marked) / len(spoken),
            "This is the precision: what was missed does not count in it.",
        ),
        Mistake(
            lambda spoken, marked: len(spoken & marked) / len(marked),
            "This is the recall: what was said and is not there does not count in it.",
        ),
        Mistake(
            lambda spoken, marked: len(spoken & marked) / len(spoken | marked),
            "This is the share of all terms of either. F1 counts what both have twice.",
        ),
    ),
    example=lambda: ({"plaque", "scale", "patch"}, {"plaque", "papule"}),
    hint="Count what is in both descriptions, what is in one, and what is in the other.",
    meaning=lambda value, spoken, marked: (
        f"Of {len(spoken)} terms said and {len(marked)} marked, {len(spoken & marked)} are the same; "
        "compare it with what the most frequent terms would have got."
    ),
)


def _triplets(near: np.ndarray, far: np.ndarray, margin: float) -> float:
    return float(np.maximum(0, near - far + margin).mean())


check_triplets = Check(
    reference=_triplets,
    mistakes=(
        Mistake(
            lambda near, far, margin: float((near - far + margin).mean()),
            "Triplets that are in order outweigh the others here. They have no loss, but no gain either.",
        ),
        Mistake(
            lambda near, far, margin: _triplets(near, far, 0),
            "The margin is missing: to be nearer is not enough.",
        ),
        Mistake(
            lambda near, far, margin: _triplets(far, near, margin),
            "This pushes images that are alike away from each other.",
        ),
        Mistake(
            lambda near, far, margin: len(near) * _triplets(near, far, margin),
            "This is the sum over the triplets.",
        ),
    ),
    example=lambda: (np.array([0.2, 0.9, 0.5]), np.array([1.0, 0.8, 0.6]), 0.4),
    hint="One loss for each triplet, never below zero; then their mean.",
    meaning=lambda loss, near, far, margin: (
        f"{(near - far + margin > 0).sum()} of {len(near)} triplets still teach; the others are in order."
    ),
)
