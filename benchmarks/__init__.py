"""The measurements behind every figure in the docs."""

import os

# One thread for each matrix product, before NumPy is imported: several of BLAS's own in each of a worker's threads wait for one
# another by spinning, and where other programs run beside, what is measured is that: 8 times the processor time of a re-embedding.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
