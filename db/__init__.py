"""SQLAlchemy models, Alembic migrations, repositories and the ledger: the only room that speaks SQL."""
