"""Results of a sweep: schema, description, versions, holding in memory or in a store, and reading."""
