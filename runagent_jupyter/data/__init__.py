"""Values, tables and pictures, as agents send them and as they are sent."""
