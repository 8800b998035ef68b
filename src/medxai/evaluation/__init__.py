"""Agreement between raters and between maps."""
