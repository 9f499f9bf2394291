"""Wire dialects, one module each, found by ``ranklet.service.dialect``."""
