"""The enhancement engine against the pipelines that it replaces: see __main__."""
