"""Our own images, and what runs beside the programs of other images."""
