from bench import *
import numpy as np

for n in (1000, 2000):
    a = np.random.default_rng(0).standard_normal((n, n))
    a = a + a.T
    time("eigh %d f64" % n, lambda: np.linalg.eigh(a))
