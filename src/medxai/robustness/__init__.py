"""What becomes of predictions and of their explanations when images are corrupted."""
