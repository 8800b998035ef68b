"""Agreement between raters and between maps, and what can be measured of a map."""
