"""Training jobs: `python -m train --config=FILE --workdir=DIR`."""
