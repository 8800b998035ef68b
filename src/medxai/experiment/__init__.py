"""The experiment that chapters share: labelled images, a network trained on them, and a panel that explains it."""
