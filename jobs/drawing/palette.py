"""The colours of everything that is drawn: montage, plots, report."""

GROUND, CARD, INK, QUIET = "#f4f1ea", "#ffffff", "#22252b", "#6d7078"
QUERY, SAME, OTHER = "#1f4e8c", "#1b8a5a", "#c9c4b8"
WRONG = "#a4452c"
