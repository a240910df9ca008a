"""Algorithms of the original tutorial (Bielski, 2018), for comparison: selection, data and training."""
