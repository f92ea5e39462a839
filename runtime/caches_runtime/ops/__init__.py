"""What runs beside servers, or once, to keep caches whole."""
