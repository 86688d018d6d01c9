"""Programs that run on a bare host, out of the release that was uploaded there."""
