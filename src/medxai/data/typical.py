"""Images and terms of DermXDB that are worth showing."""

from medxai.data.dermxdb import CHARACTERISTICS, DermXDB


def describe(db: DermXDB) -> str:
    """Say in one line what the data set holds and where it comes from."""
    origin = (
        "DermXDB, annotations CC0" if db.kind == "real" else "drawn by medxai.data.simulate in the schema of DermXDB"
    )
    return (
        f"{origin}: {db.images['paper'].sum()} images, {db.evaluations['rater'].nunique()} raters, "
        f"{len(db.evaluations)} evaluations, {len(db.instances)} outlined regions."
    )


def typical_image(db: DermXDB, disease: str, source: str | None = None, *, recognised: bool = False) -> str:
    """Return the paper's image of `disease` with the median number of outlined regions.

    It comes from the collection `source`, such as ``DermNetNZ``, if one is named; if `recognised`, from the images that
    all raters diagnosed right, or, where there is none, those with the most right diagnoses.
    """
    mine = db.images["paper"] & (db.images["reference"] == disease)
    if source:
        mine &= db.images["source"] == source
    images = db.images.index[mine].sort_values()
    if recognised:
        right = db.select("paper").groupby("image")["correct"].sum().reindex(images, fill_value=0)
        images = images[right == right.max()]
    regions = db.instances.query("round == 1").groupby("image").size().reindex(images, fill_value=0)
    return regions.sort_values(kind="stable").index[len(regions) // 2]


def most_used(db: DermXDB, image: str, number: int) -> list[str]:
    """Return the characteristics that most raters marked on `image`, most used first."""
    marks = db.select([image])[list(CHARACTERISTICS)].sum()
    return list(marks.sort_values(ascending=False, kind="stable").index[:number])
