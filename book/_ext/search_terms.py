"""Search that knows other spellings of what the book writes, and shows excerpts where the browser may fetch pages.

Words of a query are replaced, not those of the index, so that excerpts show and mark what the pages say.
"""

import json
import re

from sphinx.application import Sphinx
from sphinx.search import languages
from sphinx.search.en import SearchEnglish

from medxai.book import methods

SYNONYMS = {
    "cnn": "convnet",
    "cnns": "convnet",
    "explainability": "explanation",
    "gbp": "guided backpropagation",
    "heatmap": "explanation map",
    "heatmaps": "explanation map",
    "ig": "integrated gradients",
    "interpretability": "explanation",
    "xai": "explanation",
}
"""What readers may look for, and the words for it that the book uses."""

SPLIT = """
const OTHER_WORDS = %s;
var splitQuery = (query) =>
  query
    .split(/[^\\p{Letter}\\p{Number}_]+/gu)
    .filter((word) => word)
    .flatMap((word) => (OTHER_WORDS[word.toLowerCase()] ?? word).split(" "));
"""

FROM_DISK = 'if (location.protocol === "file:") DOCUMENTATION_OPTIONS.SHOW_SEARCH_SUMMARY = false;'
"""Excerpts are taken from pages that the browser fetches, which it does not from disk."""


def other_words() -> dict[str, str]:
    """Return what stands for which words of a query: `SYNONYMS`, and methods' names without their hyphens."""
    names = re.findall(r"\w+(?:-\w+)+", " ".join(method["title"].lower() for method in methods.methods()))
    return {name.replace("-", ""): name.replace("-", " ") for name in names} | SYNONYMS


class English(SearchEnglish):
    """English as Sphinx searches it, with `other_words`."""

    js_splitter_code = SPLIT % json.dumps(other_words(), sort_keys=True)


def setup(app: Sphinx) -> dict[str, bool]:
    """Register the language and the script of the search page."""
    languages["en"] = English
    app.add_js_file(None, body=FROM_DISK)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
