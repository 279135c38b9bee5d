"""Networks that see the pixels before each pixel, and what they share."""
