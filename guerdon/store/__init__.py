"""PostgreSQL: knows core records and SQL, decides nothing."""
