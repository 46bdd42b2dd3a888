"""What sees to it that nothing of a training run is lost."""
