"""Results for people: figures, tables, the page, the live view."""
