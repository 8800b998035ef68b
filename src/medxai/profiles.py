"""Run sizes: every size that a run depends on is a field of one frozen dataclass."""

from dataclasses import asdict, dataclass, fields

KINDS = ("auto", "real", "simulated")
"""Which annotations a run can ask for; ``auto`` takes real ones where they are there."""


@dataclass(frozen=True)
class Profile:
    """Sizes of one kind of run.

    Attributes
    ----------
    name
        ``smoke`` (tests), ``quick`` (two CPU cores, minutes) or ``full`` (paper settings).
    simulated_images
        How many images the simulated DermXDB has. The real one is always used whole.
    bootstrap
        Resamples behind each confidence interval.
    painted_images
        How many photographs are painted, spread over the diseases; ``None`` for all of the paper.
    painted_size
        Their side in pixels.
    convnet_epochs
        Length of training of the small ConvNet that looks at them, and at real ultrasound.
    network_epochs
        Length of training of a large network as a whole; 0 for not at all: only a linear head on it is trained.
    transfer_epochs
        Length of training of the upper stages of the network with weights of ImageNet, see `medxai.training.transfer`.
    dermx_epochs
        Length of training of a DermX. Its rate restarts after 3, 9 and 21 epochs, which is when to stop.
    robust_epochs
        Most epochs of a network of the robustness chapter; training stops earlier once validation does not improve.
    robust_images
        How many images of each split it has at most; ``None`` for all.
    robust_explained
        How many test images of each class are explained there at most, in all versions.
    failure_seeds
        How many networks, each of another seed, are doubted in the chapter on failure detection.
    failure_images
        How many images they are asked about at most.
    failure_shifts
        Under how many corruptions they are asked, besides the images as they are.
    explained_size
        Side of the images on which methods are compared, in pixels.
    explained_folds
        In how many of the five folds, each with its own network, images are explained.
    explained_images
        How many images of a fold are explained by all methods.
    sanity_images
        How many of those are explained again for changed images and changed networks.
    removal_images
        How many paintings of a fold are painted again without each of their characteristics.
    impact_images
        How many paintings of a fold are covered, and patched, where maps call them critical.
    attributed_images
        How many paintings the attribution chapter measures all methods on, each for two classes; at least two.
    random_networks
        How many such networks, each with more random weights than the one before; at least two.
    benchmark_images
        How many paintings the eleven architectures are compared on, half of them for training; ``None`` for all.
    benchmark_size
        Side of these in pixels; InceptionV3 needs 75.
    benchmark_epochs
        Length of fine-tuning on their half.
    benchmark_runs
        How many trainings of each architecture, of other seeds.
    benchmark_explained
        How many paintings each of them explains by other methods than Grad-CAM.
    pretraining_images, pretraining_epochs
        How many paintings of simulated annotations an architecture sees before, and how many times.
    gaze_training, gaze_test
        How many chest phantoms the gaze-supervised networks learn from and are tested on; half as many as these choose
        the epoch.
    gaze_side
        Their side in pixels, and that of real films with scores of zones.
    gaze_epochs
        Length of training.
    gaze_explained
        How many test films are explained, at least three.
    gaze_seeds
        How many trainings of each of the eight models, of other seeds.
    quality_photos
        How many photographs of good and bad quality are taken, four of each patient.
    quality_side
        Their side in pixels.
    quality_epochs
        Length of training of an ImageQX. Its rate restarts after 3, 12 and 39 epochs, which is when to stop.
    quality_runs
        How many trainings, of other seeds.
    quality_retakes
        How many patients take their photograph again, under each kind of advice.
    samples
        Random draws or steps of a method or a metric that takes some; others take a fixed multiple of it.
    """

    name: str
    simulated_images: int
    bootstrap: int
    painted_images: int | None
    painted_size: int
    convnet_epochs: int
    network_epochs: int
    transfer_epochs: int
    dermx_epochs: int
    robust_epochs: int
    robust_images: int | None
    robust_explained: int
    failure_seeds: int
    failure_images: int
    failure_shifts: int
    explained_size: int
    explained_folds: int
    explained_images: int
    sanity_images: int
    removal_images: int
    impact_images: int
    attributed_images: int
    random_networks: int
    benchmark_images: int | None
    benchmark_size: int
    benchmark_epochs: int
    benchmark_runs: int
    benchmark_explained: int
    pretraining_images: int
    pretraining_epochs: int
    gaze_training: int
    gaze_test: int
    gaze_side: int
    gaze_epochs: int
    gaze_explained: int
    gaze_seeds: int
    quality_photos: int
    quality_side: int
    quality_epochs: int
    quality_runs: int
    quality_retakes: int
    samples: int


SIZES = frozenset(field.name for field in fields(Profile))


class RecordingProfile(Profile):
    """A profile that notes in ``sizes_read`` which of its sizes a computation reads: the others cannot matter to it.

    Whatever takes it as a whole (comparing, hashing, copying) reads all.
    """

    sizes_read: set[str]

    def __init__(self, **sizes: object) -> None:
        object.__setattr__(self, "sizes_read", set())
        super().__init__(**sizes)

    def __getattribute__(self, name: str) -> object:
        """Note the name, if it is that of a size."""
        if name in SIZES or name == "__dict__":
            object.__getattribute__(self, "sizes_read").update(SIZES if name == "__dict__" else [name])
        return super().__getattribute__(name)


def recording(profile: Profile) -> RecordingProfile:
    """Return a copy that notes what is read of it."""
    return RecordingProfile(**asdict(profile))


PROFILES = {
    profile.name: profile
    for profile in (
        Profile(
            "smoke",
            simulated_images=72,
            bootstrap=50,
            painted_images=30,
            painted_size=128,
            convnet_epochs=2,
            network_epochs=0,
            transfer_epochs=1,
            dermx_epochs=1,
            robust_epochs=1,
            robust_images=24,
            robust_explained=2,
            failure_seeds=2,
            failure_images=12,
            failure_shifts=1,
            explained_size=64,
            explained_folds=1,
            explained_images=3,
            sanity_images=1,
            removal_images=2,
            impact_images=3,
            attributed_images=2,
            random_networks=2,
            benchmark_images=36,
            benchmark_size=80,
            benchmark_epochs=1,
            benchmark_runs=1,
            benchmark_explained=1,
            pretraining_images=12,
            pretraining_epochs=1,
            gaze_training=12,
            gaze_test=12,
            gaze_side=64,
            gaze_epochs=1,
            gaze_explained=6,
            gaze_seeds=1,
            quality_photos=120,
            quality_side=64,
            quality_epochs=1,
            quality_runs=1,
            quality_retakes=12,
            samples=4,
        ),
        Profile(
            "quick",
            simulated_images=554,
            bootstrap=1000,
            painted_images=360,
            painted_size=160,
            convnet_epochs=7,
            network_epochs=0,
            transfer_epochs=6,
            dermx_epochs=9,
            robust_epochs=2,
            robust_images=None,
            robust_explained=4,
            failure_seeds=2,
            failure_images=120,
            failure_shifts=1,
            explained_size=128,
            explained_folds=1,
            explained_images=3,
            sanity_images=1,
            removal_images=2,
            impact_images=8,
            attributed_images=4,
            random_networks=2,
            benchmark_images=72,
            benchmark_size=80,
            benchmark_epochs=2,
            benchmark_runs=1,
            benchmark_explained=1,
            pretraining_images=72,
            pretraining_epochs=1,
            gaze_training=80,
            gaze_test=60,
            gaze_side=96,
            gaze_epochs=3,
            gaze_explained=12,
            gaze_seeds=1,
            quality_photos=200,
            quality_side=128,
            quality_epochs=3,
            quality_runs=1,
            quality_retakes=60,
            samples=12,
        ),
        Profile(
            "full",
            simulated_images=554,
            bootstrap=10_000,
            painted_images=None,
            painted_size=260,
            convnet_epochs=20,
            network_epochs=30,
            transfer_epochs=10,
            dermx_epochs=9,
            robust_epochs=200,
            robust_images=None,
            robust_explained=100,
            failure_seeds=5,
            failure_images=1000,
            failure_shifts=5,
            explained_size=288,
            explained_folds=5,
            explained_images=4,
            sanity_images=1,
            removal_images=20,
            impact_images=24,
            attributed_images=6,
            random_networks=3,
            benchmark_images=None,
            benchmark_size=128,
            benchmark_epochs=20,
            benchmark_runs=3,
            benchmark_explained=4,
            pretraining_images=2_000,
            pretraining_epochs=4,
            gaze_training=600,
            gaze_test=300,
            gaze_side=128,
            gaze_epochs=10,
            gaze_explained=150,
            gaze_seeds=3,
            quality_photos=1600,
            quality_side=160,
            quality_epochs=12,
            quality_runs=5,
            quality_retakes=400,
            samples=32,
        ),
    )
}


def get(name: str) -> Profile:
    """Return the profile called `name`.

    Raises
    ------
    ValueError
        If there is no such profile.
    """
    try:
        return PROFILES[name]
    except KeyError:
        raise ValueError(f"profile is {name!r}: expected one of {', '.join(PROFILES)}") from None
