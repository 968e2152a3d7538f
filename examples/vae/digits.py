"""Writes scikit-learn's digits, 1,797 images of 8x8 pixels, as vectors of numbers from 0 to 1: digits.npz."""

import numpy as np
import sklearn.datasets

x = sklearn.datasets.load_digits().data
np.savez("digits.npz", x=(x / 16).astype("f4"))
