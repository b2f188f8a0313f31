"""The system of record: PostgreSQL, its tables, migrations and the embedded server."""
