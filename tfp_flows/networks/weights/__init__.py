"""How weights are held, and what follows from weights alone."""
